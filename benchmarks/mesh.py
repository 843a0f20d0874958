"""A whole mesh, and data in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import stage
from benchmarks.worker import HOME
from visionmesh.cli.processes import TRAINERS, EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, event_pb2, job_state_pb2, training_pb2


@contextmanager
def mesh_with(folder: Path, variables: Mapping[str, str], trainers: Sequence[str] = TRAINERS) -> Iterator[Client]:
    """A client of gateway and trainers that were started with these environment variables, on SQLite and a folder."""
    with running_mesh(folder, variables, trainers) as (_, client):
        yield client


@contextmanager
def running_mesh(
    folder: Path, variables: Mapping[str, str], trainers: Sequence[str] = TRAINERS
) -> Iterator[tuple[EmbeddedMesh, Client]]:
    """The same, with what tells of its processes."""
    mesh = EmbeddedMesh(folder, 0, HOME, environment=variables, trainers=trainers)
    with stage("starting a mesh"):
        mesh.start()
    try:
        with Client(mesh.address, mesh.token) as client:
            yield mesh, client
    finally:
        mesh.stop()


def upload(client: Client, folder: Path, format: dataset_pb2.DatasetFormat = dataset_pb2.DATASET_FORMAT_DICE) -> str:
    """Upload a folder, wait until it is READY, and give the dataset's id."""
    with stage("uploading and analysing images"):
        dataset = client.wait_for_dataset(client.upload_folder(folder, format=format).id)
    if dataset.state != dataset_pb2.DATASET_STATE_READY:
        raise RuntimeError(f"the dataset did not become ready: {dataset.failure}")
    return dataset.id


def train(
    client: Client,
    spec: training_pb2.TrainingJobSpec,
    kinds: Sequence[event_pb2.EventKind] = (),
    *,
    warm_start: str = "",
) -> list[event_pb2.JobEvent]:
    """Train a job to its end, from a checkpoint's weights if one is named, and give its events of these kinds.

    Raises RuntimeError when it does not complete.
    """
    job_id = client.create_job(spec).id
    client.start_job(job_id, checkpoint_id=warm_start)
    events = list(client.watch_job(job_id, kinds=kinds))
    job = client.get_job(job_id)
    if job.state != job_state_pb2.JOB_STATE_COMPLETED:
        raise RuntimeError(f"the training did not end well: {job.failure}")
    return events
