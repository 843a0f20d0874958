"""A mesh of one gateway, a stand-in trainer and scripted agents, for the tests of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.ids import new_id
from storage.database.tables import Dataset
from storage.objects.local import LocalObjectStore
from storage.objects.store import ObjectStore
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection, Positions, Script
from tests.gateway.job_client import JobClient
from tests.gateway.job_gateway import GatewayTimes, JobGateway
from tests.gateway.stand_in import StandInTrainer, model, token_of
from tests.gateway.waiting import until
from visionmesh.mesh.v1 import run_pb2


class Mesh:
    """Opens gateways over one database file and one trainer of the framework `counters`, and connects agents."""

    def __init__(self, database: Database, url: str, store: ObjectStore, trainer: StandInTrainer) -> None:
        self.database = database
        self.store = store
        self.trainer = trainer
        self.gateway: JobGateway
        self._trainers: list[StandInTrainer] = [trainer]
        self._url = url
        self._gateways: list[JobGateway] = []
        self._clients: list[JobClient] = []
        self._connections: list[Connection] = []

    async def open(self, times: GatewayTimes | None = None, *trainers: StandInTrainer) -> JobGateway:
        """A gateway over ``trainers``, or the one trainer; from now on it is `the` gateway."""
        self.gateway = JobGateway(self._url, self.store, trainers or (self.trainer,), times or GatewayTimes())
        self._gateways.append(self.gateway)
        self._trainers += trainers
        await self.gateway.start()
        return self.gateway

    async def reopen(self, times: GatewayTimes | None = None) -> JobGateway:
        """Kill the gateway and open another one on its database."""
        await self.gateway.kill()
        return await self.open(times)

    def client(self, account: Account, dataset_id: str) -> JobClient:
        """A client of the gateway."""
        client = JobClient(self.gateway, account, dataset_id)
        self._clients.append(client)
        return client

    def connect(self, run: run_pb2.RunSpec, **options: str) -> Connection:
        """A stream of the run's agent to the gateway."""
        connection = Connection(self.gateway.mesh_address, run, **{"token": self.token_of(run), **options})
        self._connections.append(connection)
        return connection

    def token_of(self, run: run_pb2.RunSpec) -> str:
        """The token that came with the last start of a run."""
        return token_of(self._trainers, run)

    async def agent(self, run: run_pb2.RunSpec) -> Connection:
        """A stream whose hello was answered."""
        connection = self.connect(run)
        await connection.hello()
        return connection

    async def run_of(self, job_id: str, attempt: int = 1) -> run_pb2.RunSpec:
        """What the trainer was asked to run for a job, once it was asked."""

        def found() -> list[run_pb2.RunSpec]:
            return [run for run in self.trainer.runs.values() if (run.job_id, run.attempt) == (job_id, attempt)]

        await until(lambda: bool(found()), 20)
        return found()[0]

    async def preparing(self, client: JobClient, **fields: object) -> run_pb2.RunSpec:
        """The run of a new job that was started and whose agent has not said hello."""
        job = await client.create(client.spec(**fields))
        await client.start(job.id)
        return await self.run_of(job.id)

    async def running(self, client: JobClient, **fields: object) -> tuple[Script, Connection]:
        """A new job that is RUNNING: its script, one event in, and its agent's stream."""
        run = await self.preparing(client, **fields)
        script, agent = Script(run), await self.agent(run)
        await agent.send(script.start())
        return script, agent

    async def deliver(self, run: run_pb2.RunSpec, *events: run_pb2.RunEvent) -> Positions:
        """Connect, send, break off; what was durable in the end."""
        agent = await self.agent(run)
        positions = await agent.send(*events)
        await agent.cut()
        return positions

    async def close(self) -> None:
        """End everything that was opened."""
        for connection in self._connections:
            await connection.cut()
        for client in self._clients:
            await client.channel.close()
        for gateway in self._gateways:
            await gateway.kill()


async def add_dataset(database: Database, account: Account, **fields: object) -> str:
    """The id of a READY dataset of the account."""
    whole = {
        "id": new_id("ds"),
        "user_id": account.user_id,
        "project_id": "default",
        "name": "cats and dogs",
        "format": "IMAGE_FOLDER",
        "state": "READY",
        "class_names": ["cat", "dog"],
        "task_types": ["IMAGE_CLASSIFICATION"],
        "manifest_digest": "ab" * 32,
    }
    dataset = Dataset(**{**whole, **fields})
    return (await database.write(lambda session: DatasetRepository(session).add(dataset))).id


@pytest.fixture
async def trainer() -> AsyncIterator[StandInTrainer]:
    """A trainer of the framework `counters` with two free slots."""
    started = StandInTrainer("counters", [model("count_a"), model("count_b")], free_slots=2)
    await started.start()
    yield started
    started.answers_starts.set()
    await started.stop()


@pytest.fixture
async def closed_mesh(database: Database, tmp_path: Path, trainer: StandInTrainer) -> AsyncIterator[Mesh]:
    """A mesh whose gateway the test opens itself."""
    made = Mesh(database, f"sqlite:///{tmp_path / 'gateway.db'}", LocalObjectStore(tmp_path / "objects"), trainer)
    yield made
    await made.close()


@pytest.fixture
async def mesh(closed_mesh: Mesh) -> Mesh:
    """A mesh whose gateway serves."""
    await closed_mesh.open()
    return closed_mesh


@pytest.fixture
async def pets(database: Database, alice: Account) -> str:
    """A dataset of alice."""
    return await add_dataset(database, alice)


@pytest.fixture
async def ada(mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Alice's calls of the gateway."""
    return mesh.client(alice, pets)


@pytest.fixture
async def ben(mesh: Mesh, bob: Account, pets: str) -> JobClient:
    """Bob's calls of the same gateway."""
    return mesh.client(bob, pets)
