"""A real gateway over gRPC, SQLite and trainers that listen on free ports."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from sqlalchemy.orm import Session

from gateway.access import AuthInterceptor
from gateway.checkpoint_readers import CheckpointReaders
from gateway.events.kept_reads import KeptReads
from gateway.fleet import Fleet
from gateway.inference import InferenceService, InferenceServicer
from gateway.registry import RegistryService, RegistryServicer
from rpc.interceptors import ErrorInterceptor
from rpc.server import HealthyServer, create_server, service_name
from storage.database.engine import Database
from storage.database.migrate import migrate
from storage.database.users import UserRepository
from storage.objects.local import LocalObjectStore
from tests.gateway.stand_in import DETECTION, MESH_TOKEN, StandInTrainer, model
from visionmesh.v1 import (
    inference_service_pb2,
    inference_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
)

MAX_IMAGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Account:
    """A user and a token of his."""

    user_id: str
    name: str
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What authorises a call."""
        return (("authorization", f"Bearer {self.token}"),)


@dataclass
class Gateway:
    """A gateway in this process; ``registry`` and ``inference`` are stubs, calls need an account's metadata."""

    address: str
    fleet: Fleet
    service: InferenceService
    readers: CheckpointReaders
    channel: grpc.aio.Channel
    registry: registry_service_pb2_grpc.RegistryServiceAsyncStub = field(init=False)
    inference: inference_service_pb2_grpc.InferenceServiceAsyncStub = field(init=False)

    def __post_init__(self) -> None:
        self.registry = registry_service_pb2_grpc.RegistryServiceStub(self.channel)
        self.inference = inference_service_pb2_grpc.InferenceServiceStub(self.channel)


OpenGateway: TypeAlias = Callable[..., Awaitable[Gateway]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "gateway.db"
    shutil.copyfile(migrated_file, path)
    opened = Database(f"sqlite:///{path}")
    yield opened
    await opened.close()


async def make_account(database: Database, name: str) -> Account:
    """A new user with a token."""

    def work(session: Session) -> Account:
        users = UserRepository(session)
        user = users.create(name)
        return Account(user.id, name, users.add_token(user.id))

    return await database.write(work)


@pytest.fixture
async def alice(database: Database) -> Account:
    return await make_account(database, "alice")


@pytest.fixture
async def bob(database: Database) -> Account:
    return await make_account(database, "bob")


@pytest.fixture
async def counters() -> AsyncIterator[StandInTrainer]:
    """A trainer of the framework `counters`, seven models."""
    names = ("count_a", "count_b", "count_c", "count_d", "count_e")
    trainer = StandInTrainer("counters", [*map(model, names), model("Count_Big", pretrained=True), model("zeta")])
    await trainer.start()
    yield trainer
    await trainer.stop()


@pytest.fixture
async def boxes() -> AsyncIterator[StandInTrainer]:
    """A trainer of the framework `boxes`, two models."""
    trainer = StandInTrainer("boxes", [model("box_s", tasks=[DETECTION]), model("box_m", tasks=[DETECTION])])
    await trainer.start()
    yield trainer
    await trainer.stop()


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "store")


@pytest.fixture
async def open_gateway(database: Database, store: LocalObjectStore) -> AsyncIterator[OpenGateway]:
    """Starts gateways over trainers; they are stopped after the test."""
    opened: list[tuple[Gateway, HealthyServer]] = []

    async def start(*trainers: StandInTrainer) -> Gateway:
        fleet = Fleet([trainer.address for trainer in trainers], MESH_TOKEN, poll_seconds=0.1, timeout_seconds=10)
        await fleet.start()
        registry = RegistryServicer(RegistryService(fleet))
        readers = CheckpointReaders()
        service = InferenceService(
            database, fleet, store, trained=KeptReads(), max_image_bytes=MAX_IMAGE_BYTES, readers=readers
        )
        inference = InferenceServicer(service)
        served = create_server(
            [
                (
                    service_name(registry_service_pb2.DESCRIPTOR),
                    lambda server: registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(registry, server),
                ),
                (
                    service_name(inference_service_pb2.DESCRIPTOR),
                    lambda server: inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(inference, server),
                ),
            ],
            interceptors=[ErrorInterceptor(), AuthInterceptor(database)],
            max_message_bytes=2 * MAX_IMAGE_BYTES,
        )
        port = served.server.add_insecure_port("127.0.0.1:0")
        await served.serve()
        address = f"127.0.0.1:{port}"
        gateway = Gateway(address, fleet, service, readers, grpc.aio.insecure_channel(address))
        opened.append((gateway, served))
        return gateway

    yield start
    for gateway, served in opened:
        await gateway.channel.close()
        await served.drain(0)
        await gateway.fleet.close()


@pytest.fixture
async def gateway(open_gateway: OpenGateway, counters: StandInTrainer, boxes: StandInTrainer) -> Gateway:
    """A gateway over both trainers."""
    return await open_gateway(counters, boxes)
