"""A whole mesh, and data in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import stage
from benchmarks.worker import HOME
from visionmesh.cli.processes import TRAINERS, EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2


@contextmanager
def mesh_with(folder: Path, variables: Mapping[str, str], trainers: Sequence[str] = TRAINERS) -> Iterator[Client]:
    """A client of gateway and trainers that were started with these environment variables, on SQLite and a folder."""
    mesh = EmbeddedMesh(folder, 0, HOME, environment=variables, trainers=trainers)
    with stage("starting a mesh"):
        mesh.start()
    try:
        with Client(mesh.address, mesh.token) as client:
            yield client
    finally:
        mesh.stop()


def upload(client: Client, folder: Path, format: dataset_pb2.DatasetFormat = dataset_pb2.DATASET_FORMAT_DICE) -> str:
    """Upload a folder, wait until it is READY, and give the dataset's id."""
    with stage("uploading and analysing images"):
        dataset = client.wait_for_dataset(client.upload_folder(folder, format=format).id)
    if dataset.state != dataset_pb2.DATASET_STATE_READY:
        raise RuntimeError(f"the dataset did not become ready: {dataset.failure}")
    return dataset.id
