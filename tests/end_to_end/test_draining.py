"""A gateway that is asked to end turns callers away in order; a mesh that is stopped leaves no process behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.end_to_end import digits
from tests.end_to_end.conftest import serving
from tests.end_to_end.processes import TRAINING, of_runs, until
from tests.end_to_end.refusals import Code, Raw
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client, Patience
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
COMPLETED = job_state_pb2.JOB_STATE_COMPLETED
SERVICE = "visionmesh.v1.TrainingService"
# An epoch takes about a tenth of a second: enough of them for a training to outlive a gateway, or a few of its own.
EPOCHS = 60
FEW_EPOCHS = 25


class Following:
    """Reads a stream in a thread until it ends, without reconnecting; gives the items and why it ended."""

    def __init__(self, stream: Iterator[object]) -> None:
        self.items: list[object] = []
        self.error: VisionMeshError | None = None
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            for item in self._stream:
                self.items.append(item)
        except grpc.RpcError as error:
            self.error = from_rpc(error)


@pytest.fixture
def messages() -> list[str]:
    """What the mesh says of its parts."""
    return []


@pytest.fixture
def own_mesh(tmp_path: Path, messages: list[str]) -> EmbeddedMesh:
    return EmbeddedMesh(tmp_path / "mesh", 0, on_message=messages.append)


def train(client: Client, folder: Path, epochs: int) -> training_pb2.TrainingJob:
    """Start a training and wait for its first checkpoint."""
    job = client.create_job(digits.spec(digits.upload(client, folder).id, epochs=epochs))
    client.start_job(job.id)
    next(client.watch_job(job.id, kinds=[event_pb2.EVENT_KIND_CHECKPOINT]))
    return job


def processes(mesh: EmbeddedMesh) -> set[psutil.Process]:
    """Every living process of a mesh: its servers, what they started, and what names its folder."""
    parts = [psutil.Process(pid) for pid in mesh.pids().values() if psutil.pid_exists(pid)]
    found = {process for part in parts for process in (part, *part.children(recursive=True))}
    found |= {
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(mesh.folder.root) in word for word in process.info["cmdline"] or [])
    }
    return {process for process in found if lives(process)}


def lives(process: psutil.Process) -> bool:
    """Whether it runs; a zombie only waits for its parent to notice."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_gateway_that_is_asked_to_end_says_so_and_the_training_goes_on(
    own_mesh: EmbeddedMesh, messages: list[str], folder: Path
) -> None:
    with serving(own_mesh) as client:
        job = train(client, folder, epochs=EPOCHS)
        [training] = of_runs(own_mesh, TRAINING)
        raw = Raw(own_mesh.address, own_mesh.token)
        health = health_pb2_grpc.HealthStub(raw.channel)
        healths = {name: Following(health.Watch(health_pb2.HealthCheckRequest(service=name))) for name in ("", SERVICE)}
        request = training_pb2.WatchJobRequest(job_id=job.id)
        watching = Following(raw.training.WatchJob(request, metadata=raw.metadata))
        until(lambda: all(following.items for following in healths.values()) and watching.items)

        before = own_mesh.pids()["gateway"]
        os.kill(before, signal.SIGTERM)
        # Told over the port that is about to close, so before it closes.
        until(lambda: all(len(following.items) == 2 for following in healths.values()))
        for following in healths.values():
            assert [item.status for item in following.items] == [SERVING, NOT_SERVING]  # type: ignore[attr-defined]
        until(watching.ended)
        assert watching.error is not None
        assert (watching.error.code, watching.error.reason) == (Code.UNAVAILABLE, "SHUTTING_DOWN")
        assert watching.error.retry_seconds
        assert of_runs(own_mesh, TRAINING) == [training]
        raw.channel.close()
        until(lambda: own_mesh.pids()["gateway"] != before)
        assert any("gateway ended (exit code 0)" in message for message in messages)

        # One that reconnects from where it was turned away sees the rest, and nothing twice.
        seen = [item.event for item in watching.items if item.HasField("event")]  # type: ignore[attr-defined]
        patience = Patience(60)
        rest = list(client.watch_job(job.id, after_sequence=seen[-1].sequence, patience=patience))
        done = client.get_job(job.id)
        assert (done.state, done.attempt) == (COMPLETED, 1)
        assert [event.sequence for event in (*seen, *rest)] == list(range(1, done.last_sequence + 1))
        assert list(client.watch_job(job.id)) == [*seen, *rest]
        assert [metric.epoch for metric in client.metrics(job.id)] == list(range(1, EPOCHS + 1))


def test_a_mesh_that_is_stopped_leaves_no_process_and_the_training_goes_on_with_the_next(
    own_mesh: EmbeddedMesh, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONMESH_RESTART_DELAY_SECONDS", "0.5")
    with serving(own_mesh) as client:
        job = train(client, folder, epochs=FEW_EPOCHS)
        running = processes(own_mesh)
        # Servers, the agent, the training at least.
        assert len(running) >= 4
    assert not [process for process in running if lives(process)]
    assert not processes(own_mesh)

    again = EmbeddedMesh(own_mesh.folder.root, 0)
    with serving(again) as client:
        # Nobody has to start it.
        events = list(client.watch_job(job.id))
        done = client.get_job(job.id)
        assert (done.state, done.restarts) == (COMPLETED, 1)
        stopped, *_, last = client.attempts(job.id)
        assert (stopped.outcome, stopped.failure.reason) == (event_pb2.ATTEMPT_OUTCOME_STOPPED, "SHUTTING_DOWN")
        assert last.checkpoint_id and 1 < last.first_epoch <= FEW_EPOCHS
        # No epoch was trained twice.
        assert [event.metric.epoch for event in events if event.HasField("metric")] == list(range(1, FEW_EPOCHS + 1))
        assert [metric.epoch for metric in client.metrics(job.id)] == list(range(1, FEW_EPOCHS + 1))
        assert client.predict(digits.png(0), job_id=job.id).classifications
