"""Whole meshes of real processes: gateway, trainer, database, object store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.objects.open import open_store
from storage.objects.store import ObjectStore
from tests import postgresql_server, s3_server
from tests.end_to_end import digits
from tests.end_to_end.refusals import Raw
from visionmesh.cli.processes import TRAINERS, EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2

# On SQLite and a local folder, as a newcomer starts, and on PostgreSQL and S3, as a team runs it. tests/conftest.py has
# the tests of one of them together, so that they share its mesh.
BACKENDS = ("embedded", "postgresql and s3")


class Backend:
    """Where meshes keep their records and bytes: each in its own folder."""

    def mesh(self, folder: Path, trainers: Sequence[str] = TRAINERS) -> EmbeddedMesh:
        """A mesh in ``folder``; the same folder gives the same records and bytes again."""
        return EmbeddedMesh(folder, 0, trainers=trainers)

    def url(self, mesh: EmbeddedMesh) -> str:
        """The database of a mesh."""
        return f"sqlite:///{mesh.folder.database_file}"

    def store(self, mesh: EmbeddedMesh) -> ObjectStore:
        """The objects of a mesh, seen from behind its back."""
        return open_store(str(mesh.folder.objects))


class Servers(Backend):
    """A PostgreSQL server and an S3 server; each mesh has a database and a bucket of its own there."""

    def __init__(self, database: postgresql_server.PostgreSQLServer, store: s3_server.S3Server) -> None:
        self._database = database
        self._store = store
        self._places: dict[Path, tuple[str, str]] = {}

    def mesh(self, folder: Path, trainers: Sequence[str] = TRAINERS) -> EmbeddedMesh:
        database_url, object_store = self._place(folder)
        return EmbeddedMesh(
            folder,
            0,
            database_url=database_url,
            object_store=object_store,
            environment=self._store.environment(),
            trainers=trainers,
        )

    def url(self, mesh: EmbeddedMesh) -> str:
        return self._place(mesh.folder.root)[0]

    def store(self, mesh: EmbeddedMesh) -> ObjectStore:
        return open_store(self._place(mesh.folder.root)[1], self._store.settings())

    def _place(self, folder: Path) -> tuple[str, str]:
        folder = folder.resolve()
        if folder not in self._places:
            self._places[folder] = self._database.new_database(), f"s3://{self._store.new_bucket()}/mesh"
        return self._places[folder]


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    """No test depends on what a network has, or on who else computes on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.setenv("VISIONMESH_THREADS_PER_RUN", "1")
        # Nobody waits a minute for what is superseded to go.
        patch.setenv("VISIONMESH_CHECKPOINT_REMOVAL_DELAY_SECONDS", "1")
        yield


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    if request.param == "embedded":
        yield Backend()
        return
    with (
        postgresql_server.running() as database,
        s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as store,
    ):
        yield Servers(database, store)


@contextmanager
def serving(mesh: EmbeddedMesh) -> Iterator[Client]:
    """A client of the mesh, which runs for the length of the block."""
    with mesh, Client(mesh.address, mesh.token) as client:
        yield client


@pytest.fixture(scope="session")
def mesh(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMesh]:
    """One mesh for all tests that leave it as it is."""
    with backend.mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


@pytest.fixture(scope="session")
def client(mesh: EmbeddedMesh) -> Iterator[Client]:
    with Client(mesh.address, mesh.token) as client:
        yield client


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DICE class folders of three digits."""
    return digits.write(tmp_path_factory.mktemp("digits"), digits.files())


@pytest.fixture(scope="session")
def dataset(client: Client, folder: Path) -> dataset_pb2.Dataset:
    """The digits, READY."""
    return digits.upload(client, folder)


@pytest.fixture(scope="session")
def trained(client: Client, dataset: dataset_pb2.Dataset) -> training_pb2.TrainingJob:
    """A job of two epochs, COMPLETED."""
    job = client.create_job(digits.spec(dataset.id))
    client.start_job(job.id, request_id=digits.REQUEST_ID)
    list(client.watch_job(job.id))
    done = client.get_job(job.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
    return done


@pytest.fixture(scope="session")
def store(backend: Backend, mesh: EmbeddedMesh) -> ObjectStore:
    return backend.store(mesh)


@pytest.fixture(scope="session")
def raw(mesh: EmbeddedMesh) -> Iterator[Raw]:
    """The contract without the client's help."""
    raw = Raw(mesh.address, mesh.token)
    yield raw
    raw.channel.close()
