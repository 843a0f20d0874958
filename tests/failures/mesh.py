"""A mesh of real processes without torch, each of which a test can kill and start again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage.objects.open import open_store
from storage.objects.s3_settings import S3Settings
from storage.objects.store import ObjectStore
from tests.end_to_end.processes import until
from tests.gateway_process import GatewayProcess
from tests.server_process import ServerProcess, free_port
from trainer.runs.folder import RunFolder
from trainer.runs.processes import ProcessIdentity
from visionmesh.calls.registry import to_struct
from visionmesh.client import Client, VisionMeshError
from visionmesh.v1 import checkpoint_pb2, dataset_pb2, event_pb2, job_state_pb2, training_pb2

KILL_AT = "VISIONMESH_KILL_AT"
TRAINER = "tests.failures.abacus"
COMPLETED = job_state_pb2.JOB_STATE_COMPLETED
FAILED = job_state_pb2.JOB_STATE_FAILED
RUNNING = job_state_pb2.JOB_STATE_RUNNING
STOPPED = job_state_pb2.JOB_STATE_STOPPED
# Epochs of a training that does not end while a test looks, and the pace of one that does one of them a second.
ENDLESS = 10_000
SLOWLY: dict[str, Any] = {"count_steps": 20, "count_step_seconds": 0.05}


class Mesh:
    """A gateway and a trainer server of the abacus below ``folder``; ``environment`` is of both."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        s3: S3Settings | None = None,
        before_trainer: Sequence[str] = (),
    ) -> None:
        """``s3`` opens the object store where it is one of S3; ``before_trainer`` are words that become the trainer."""
        self.folder = folder.resolve()
        self.data = self.folder / "trainer" / "data"
        mesh_address, trainer_address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        shared = {
            "VISIONMESH_OBJECT_STORE": str(self.folder / "objects"),
            "VISIONMESH_MESH_TOKEN": "a-token-of-the-tests",
            **(environment or {}),
        }
        gateway = {
            "VISIONMESH_MESH_ADDRESS": mesh_address,
            "VISIONMESH_TRAINER_ADDRESSES": json.dumps([trainer_address]),
            "VISIONMESH_TRAINER_POLL_SECONDS": "0.2",
            # What nothing names any more goes at once.
            "VISIONMESH_CHECKPOINT_REMOVAL_DELAY_SECONDS": "0",
        }
        trainer = {
            "VISIONMESH_LISTEN_ADDRESS": trainer_address,
            "VISIONMESH_DATA_FOLDER": str(self.data),
            "VISIONMESH_MESH_TARGET": mesh_address,
            "VISIONMESH_SLOTS": "2",
            "VISIONMESH_THREADS_PER_RUN": "1",
            "VISIONMESH_HEARTBEAT_SECONDS": "0.5",
            "VISIONMESH_STOP_RUNS_ON_EXIT": "true",
        }
        self.gateway = GatewayProcess(self.folder / "gateway", **{**shared, **gateway})
        self.trainer = ServerProcess(TRAINER, self.folder / "trainer", {**shared, **trainer}, before_trainer)
        self.client = Client(self.gateway.address, "")
        self._object_store = shared["VISIONMESH_OBJECT_STORE"]
        self._s3 = s3

    def __enter__(self) -> Self:
        """Start both and wait until a job can be started."""
        try:
            self.trainer.start()
            self.gateway.start()
            self.client = self.gateway.client()
            self.wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def wait_until_ready(self) -> None:
        """Wait until the gateway answers and reaches its trainer."""

        def ready() -> bool:
            try:
                return sum(framework.healthy_trainers for framework in self.client.frameworks().frameworks) == 1
            except VisionMeshError:
                return False

        until(ready)

    def rearm(self, server: ServerProcess, kill_at: str = "") -> None:
        """Kill a server and start it again, to die at ``kill_at``; empty: not again."""
        server.kill()
        server.start(**{KILL_AT: kill_at})
        self.wait_until_ready()

    def store(self) -> ObjectStore:
        """The objects, seen from behind its back."""
        return open_store(self._object_store, self._s3)

    def create(self, dataset: dataset_pb2.Dataset, epochs: int = 3, **settings: Any) -> training_pb2.TrainingJob:
        """A job that is not started again by itself; ``settings`` are of its configuration, ``.`` being ``_``."""
        given = {"count.step_seconds": 0.02, **{name.replace("_", ".", 1): value for name, value in settings.items()}}
        spec = training_pb2.TrainingJobSpec(
            framework="abacus",
            model_name="abacus",
            dataset_id=dataset.id,
            epochs=epochs,
            batch_size=4,
            learning_rate=0.1,
            image_size=8,
            max_restarts=0,
            # Tests look at the checkpoint of every epoch.
            checkpoint_retention=checkpoint_pb2.CheckpointRetention(every_n_epochs=1),
            advanced_config=to_struct(given),
        )
        return self.client.create_job(spec)

    def started(self, dataset: dataset_pb2.Dataset, epochs: int = 3, **settings: Any) -> str:
        """The id of a job that was started."""
        job = self.create(dataset, epochs, **settings)
        self.client.start_job(job.id)
        return job.id

    def in_training(self, dataset: dataset_pb2.Dataset, epochs: int, epoch: int = 2, **settings: Any) -> str:
        """The id of a job whose training has told of ``epoch``."""
        job_id = self.started(dataset, epochs, **settings)
        self.wait_for_epoch(job_id, epoch)
        return job_id

    def wait_for_epoch(self, job_id: str, epoch: int) -> None:
        """Wait until the metrics of an epoch are durable."""
        for metric in self.client.watch_metrics(job_id):
            if metric.epoch >= epoch:
                return
        raise AssertionError("it ended before that epoch")

    def ended(self, job_id: str) -> training_pb2.TrainingJob:
        """The job once it has ended and nothing is left to do for its runs."""
        self.wait_until_ready()
        for _ in self.client.watch_job(job_id, kinds=[event_pb2.EVENT_KIND_STATE]):
            pass
        until(lambda: all(folder.is_ended() for folder in self.run_folders(job_id)))
        for folder in self.run_folders(job_id):
            for process in (folder.agent_process(), folder.training_process()):
                until(lambda: process is None or not process.is_alive())  # noqa: B023
        return self.client.get_job(job_id)

    def resumed(self, job_id: str) -> training_pb2.TrainingJob:
        """The job after it was started again from its last checkpoint and has ended."""
        self.wait_until_ready()
        self.client.start_job(job_id, resume=True)
        return self.ended(job_id)

    def run_folders(self, job_id: str) -> list[RunFolder]:
        """What the runs of a job left on the trainer's disk, first to last."""
        return [folder for folder in RunFolder.all_in(self.data / "runs") if folder.spec().job_id == job_id]

    def agent(self, job_id: str) -> ProcessIdentity:
        """The agent of a job's last run."""
        return _there(self.run_folders(job_id)[-1].agent_process())

    def training(self, job_id: str) -> ProcessIdentity:
        """The training process of a job's last run."""
        return _there(self.run_folders(job_id)[-1].training_process())

    def _end(self) -> None:
        """End both, and whatever a test that failed left running."""
        self.client.close()
        left = [folder.agent_process() for folder in RunFolder.all_in(self.data / "runs") if not folder.is_ended()]
        self.trainer.stop()
        self.gateway.stop()
        for agent in left:
            if agent is not None and agent.is_alive():
                os.kill(agent.pid, signal.SIGKILL)


def _there(process: ProcessIdentity | None) -> ProcessIdentity:
    assert process is not None and process.is_alive()
    return process
