"""One mesh with every contender behind it: they joined it by its configuration alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.objects.open import open_store
from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.parity.contenders import CONTENDERS, Contender
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMesh]:
    modules = [contender.module for contender in CONTENDERS]
    environment = {"VISIONMESH_THREADS_PER_RUN": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    with EmbeddedMesh(tmp_path_factory.mktemp("mesh"), 0, environment=environment, trainers=modules) as mesh:
        yield mesh


@pytest.fixture(scope="session")
def client(mesh: EmbeddedMesh) -> Iterator[Client]:
    with Client(mesh.address, mesh.token) as client:
        yield client


@pytest.fixture(scope="session")
def store(mesh: EmbeddedMesh) -> ObjectStore:
    return open_store(str(mesh.folder.objects))


@pytest.fixture(scope="session", params=CONTENDERS, ids=lambda contender: contender.framework)
def contender(request: pytest.FixtureRequest) -> Contender:
    found: Contender = request.param
    return found


@pytest.fixture(scope="session")
def dataset(client: Client, tmp_path_factory: pytest.TempPathFactory) -> dataset_pb2.Dataset:
    """Three digits, READY."""
    return digits.upload(client, digits.write(tmp_path_factory.mktemp("digits"), digits.files()))


@pytest.fixture(scope="session")
def trained(client: Client, dataset: dataset_pb2.Dataset, contender: Contender) -> training_pb2.TrainingJob:
    """A job of the contender after two epochs, COMPLETED."""
    return train(client, contender, dataset.id)


def train(client: Client, contender: Contender, dataset_id: str, epochs: int = 2) -> training_pb2.TrainingJob:
    """Train to the end."""
    job = client.create_job(contender.spec(dataset_id, epochs))
    client.start_job(job.id)
    list(client.watch_job(job.id))
    done = client.get_job(job.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
    return done
