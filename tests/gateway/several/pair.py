"""Two gateways as processes over one PostgreSQL database, and trainers of this process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rpc.errors import DomainError
from rpc.interceptors import Context
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection
from tests.gateway.job_client import JobClient
from tests.gateway.stand_in import MESH_TOKEN, StandInTrainer, model, token_of
from tests.gateway.waiting import until
from tests.tooling.imports import ROOT
from visionmesh.mesh.v1 import run_pb2, trainer_pb2

START_SECONDS = 60.0


class SlotTrainer(StandInTrainer):
    """A stand-in that has as many slots as it says: a run takes one until the test lets it go."""

    def __init__(self, framework: str, slots: int) -> None:
        super().__init__(framework, [model("count_a")], free_slots=slots, slots=slots)
        self.holding: set[str] = set()
        self.most = 0

    async def StartRun(self, request: trainer_pb2.StartRunRequest, context: Context) -> trainer_pb2.StartRunResponse:
        if request.run.run_id not in self.runs:
            if len(self.holding) >= self.slots:
                self.asked["refused"] += 1
                raise DomainError("BUSY", "All slots are taken.")
            self.holding.add(request.run.run_id)
            self.most = max(self.most, len(self.holding))
            self._count()
        return await super().StartRun(request, context)

    def offer(self, slots: int) -> None:
        """Have so many slots from now on."""
        self.slots = slots
        self._count()

    def let_go(self, run_id: str) -> None:
        """The run is over."""
        self.holding.discard(run_id)
        self._count()

    def _count(self) -> None:
        self.free_slots = max(0, self.slots - len(self.holding))


class Gateway:
    """One gateway, a process. ``address`` is public, ``mesh_address`` the agents'."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.address = ""
        self.mesh_address = ""
        self._file = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to start; ``serving`` waits for it."""
        self._file.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | self._environment | {"VISIONMESH_ADDRESS_FILE": str(self._file)},
            )  # fmt: skip

    async def serving(self) -> None:
        """Wait until it serves."""

        def ready() -> bool:
            assert self._process is not None and self._process.poll() is None, self._log.read_text()
            return self._file.exists()

        await until(ready, START_SECONDS)
        addresses = json.loads(self._file.read_bytes())
        self.address, self.mesh_address = addresses["public"], addresses["mesh"]

    def send(self, number: signal.Signals) -> None:
        """Send a signal; after one that kills, wait for the end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            if number in (signal.SIGKILL, signal.SIGTERM):
                self._process.wait(60)

    def log(self) -> str:
        return self._log.read_text()


class Pair:
    """Gateways ``a`` and ``b``, the account that calls them, and its dataset."""

    def __init__(
        self,
        folder: Path,
        url: str,
        trainers: Sequence[StandInTrainer],
        account: Account,
        dataset_id: str,
        **times: str,
    ) -> None:
        """``times``: settings of the gateways."""
        environment = {
            "VISIONMESH_DATABASE_URL": url,
            "VISIONMESH_DATABASE_POOL_SIZE": "4",
            "VISIONMESH_MESH_TOKEN": MESH_TOKEN,
            "VISIONMESH_OBJECT_STORE": str(folder / "objects"),
            "VISIONMESH_TRAINER_ADDRESSES": json.dumps([trainer.address for trainer in trainers]),
            "VISIONMESH_PUBLIC_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_MESH_ADDRESS": "127.0.0.1:0",
            "VISIONMESH_TRAINER_POLL_SECONDS": "0.2",
            "VISIONMESH_DRAIN_SECONDS": "0",
            **{f"VISIONMESH_{name.upper()}": value for name, value in times.items()},
        }
        self.a = Gateway("a", folder, environment)
        self.b = Gateway("b", folder, environment)
        self._trainers = trainers
        self._account = account
        self._dataset_id = dataset_id
        self._clients: list[JobClient] = []
        self._connections: list[Connection] = []

    async def start(self) -> None:
        for gateway in (self.a, self.b):
            gateway.start()
        await asyncio.gather(self.a.serving(), self.b.serving())

    def client(self, gateway: Gateway) -> JobClient:
        """The account's calls of one of them."""
        client = JobClient(gateway, self._account, self._dataset_id)
        self._clients.append(client)
        return client

    async def agent(self, gateway: Gateway, run: run_pb2.RunSpec) -> Connection:
        """A stream of a run's agent to one of them, whose hello was answered."""
        connection = Connection(gateway.mesh_address, run, token_of(self._trainers, run))
        self._connections.append(connection)
        await connection.hello()
        return connection

    async def close(self) -> None:
        for connection in self._connections:
            await connection.cut()
        for client in self._clients:
            await client.channel.close()
        for gateway in (self.a, self.b):
            gateway.send(signal.SIGCONT)
            gateway.send(signal.SIGKILL)
