"""Whole meshes of real processes: gateway, trainer, database, object store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
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

# On SQLite and a local folder, as a newcomer starts, and on PostgreSQL and S3, as a team runs it.
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


@contextmanager
def serving(mesh: EmbeddedMesh) -> Iterator[Client]:
    """A client of the mesh, which runs for the length of the block."""
    with mesh, Client(mesh.address, mesh.token) as client:
        yield client


class Common:
    """One backend, and what all tests share that leave it as it is: each thing is made when it is first asked for and
    stays to the end, so that files may go back and forth between the backends."""

    def __init__(self, name: str, folders: pytest.TempPathFactory, images: Path, stack: ExitStack) -> None:
        """``images`` are to upload; ``stack`` is closed at the end."""
        self._name = name
        self._folders = folders
        self._images = images
        self._stack = stack

    @cached_property
    def backend(self) -> Backend:
        if self._name == BACKENDS[0]:
            return Backend()
        database = self._stack.enter_context(postgresql_server.running())
        store = self._stack.enter_context(s3_server.running(s3_server.nanio(), self._folders.mktemp("s3")))
        return Servers(database, store)

    @cached_property
    def mesh(self) -> EmbeddedMesh:
        return self._stack.enter_context(self.backend.mesh(self._folders.mktemp("mesh")))

    @cached_property
    def client(self) -> Client:
        return self._stack.enter_context(Client(self.mesh.address, self.mesh.token))

    @cached_property
    def raw(self) -> Raw:
        raw = Raw(self.mesh.address, self.mesh.token)
        self._stack.callback(raw.channel.close)
        return raw

    @cached_property
    def dataset(self) -> dataset_pb2.Dataset:
        return digits.upload(self.client, self._images)

    @cached_property
    def trained(self) -> training_pb2.TrainingJob:
        job = self.client.create_job(digits.spec(self.dataset.id))
        self.client.start_job(job.id, request_id=digits.REQUEST_ID)
        list(self.client.watch_job(job.id))
        done = self.client.get_job(job.id)
        assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
        return done


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DICE class folders of three digits."""
    return digits.write(tmp_path_factory.mktemp("digits"), digits.files())


@pytest.fixture(scope="session")
def commons(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Mapping[str, Common]]:
    with ExitStack() as stack:
        yield {name: Common(name, tmp_path_factory, folder, stack) for name in BACKENDS}


@pytest.fixture(scope="session", params=BACKENDS)
def common(request: pytest.FixtureRequest, commons: Mapping[str, Common]) -> Common:
    return commons[request.param]


@pytest.fixture(scope="session")
def backend(common: Common) -> Backend:
    return common.backend


@pytest.fixture(scope="session")
def mesh(common: Common) -> EmbeddedMesh:
    """One mesh for all tests that leave it as it is."""
    return common.mesh


@pytest.fixture(scope="session")
def client(common: Common) -> Client:
    return common.client


@pytest.fixture(scope="session")
def dataset(common: Common) -> dataset_pb2.Dataset:
    """The digits, READY."""
    return common.dataset


@pytest.fixture(scope="session")
def trained(common: Common) -> training_pb2.TrainingJob:
    """A job of two epochs, COMPLETED."""
    return common.trained


@pytest.fixture(scope="session")
def store(common: Common) -> ObjectStore:
    return common.backend.store(common.mesh)


@pytest.fixture(scope="session")
def raw(common: Common) -> Raw:
    """The contract without the client's help."""
    return common.raw
