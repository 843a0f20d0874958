"""A run that was given up comes back: a real gateway tells its real agent, which kills the training."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.records import run_token, running_job
from tests.gateway_process import GatewayProcess
from tests.trainer.fake_gateway import FakeGateway
from tests.trainer.run_place import RunPlace
from trainer.runs.folder import RunFolder
from visionmesh.cli.mesh_folder import free_port
from visionmesh.client import Client
from visionmesh.v1 import job_state_pb2, training_pb2

EPOCHS = 100_000


class ListeningAt(FakeGateway):
    """Where agents report: the gateway of another process."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.port = int(target.rpartition(":")[2])


def until(client: Client, job_id: str, holds: Callable[[training_pb2.TrainingJob], bool]) -> training_pb2.TrainingJob:
    deadline = time.monotonic() + 30
    while not holds(job := client.get_job(job_id)):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def launched(place: RunPlace, gateway: GatewayProcess) -> RunFolder:
    """A training that would go on for long, of a job that the gateway has."""
    run = running_job(gateway.database_url, EPOCHS)
    spec = place.spec(run.run_id, epochs=EPOCHS, step_seconds=0.02)
    spec.job_id, spec.project_id = run.job_id, run.project_id
    return place.launch(spec, run_token(gateway.database_url, run.run_id))


def test_an_agent_that_comes_back_after_its_lease_kills_its_run(tmp_path: Path) -> None:
    mesh_address = f"127.0.0.1:{free_port()}"
    home, place = tmp_path / "gateway", RunPlace(tmp_path, ListeningAt(mesh_address))
    try:
        with GatewayProcess(home, VISIONMESH_MESH_ADDRESS=mesh_address) as gateway, gateway.client() as client:
            folder = launched(place, gateway)
            job_id = folder.spec().job_id
            until(client, job_id, lambda job: bool(job.last_checkpoint_id))
            agent, training = folder.agent_process(), folder.training_process()
            assert agent is not None and training is not None
            os.kill(agent.pid, signal.SIGSTOP)  # a network that fell silent, while the training goes on
        # Only now: a machine under load shall not lose the run before its agent has spoken.
        short = {"VISIONMESH_CONTACT_LOST_SECONDS": "0.5", "VISIONMESH_LEASE_SECONDS": "2"}
        with (
            GatewayProcess(home, VISIONMESH_MESH_ADDRESS=mesh_address, **short) as gateway,
            gateway.client() as client,
        ):
            lost = until(client, job_id, lambda job: job.HasField("contact_lost_time") or job.HasField("failure"))
            assert lost.state == job_state_pb2.JOB_STATE_RUNNING
            failed = until(client, job_id, lambda job: job.state == job_state_pb2.JOB_STATE_FAILED)
            assert failed.failure.reason == "LEASE_EXPIRED" and training.is_alive()
            os.kill(agent.pid, signal.SIGCONT)
            deadline = time.monotonic() + 30
            while not folder.is_ended() or training.is_alive():
                assert time.monotonic() < deadline, folder.agent_log.read_text()
                time.sleep(0.05)
            assert folder.ended_why() == "abandoned"
            # What it said when it came back counts for nothing.
            now = client.get_job(job_id)
            assert (now.last_checkpoint_id, now.last_sequence) == (failed.last_checkpoint_id, failed.last_sequence)
            assert place.launcher.free_slots() == 2
    finally:
        asyncio.run(place.close())
