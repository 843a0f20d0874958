"""A gateway in a process of its own, runs that its database holds, and agents that say what a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from benchmarks.records import run_token, running_job
from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob
from tests.gateway.job_agent import Connection, Script
from tests.gateway_process import GatewayProcess
from visionmesh.mesh.v1 import run_pb2

T = TypeVar("T")
EPOCHS = 5


@dataclass
class RealRun:
    """A run of a RUNNING job, and the token that its agent was given."""

    spec: run_pb2.RunSpec
    token: str
    script: Script


class RealRuns:
    """Makes runs in the database of a gateway, which has no trainer, and connects their agents."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self._connections: list[Connection] = []

    async def begin(self) -> RealRun:
        spec = await asyncio.to_thread(running_job, self.gateway.database_url, EPOCHS)
        token = await asyncio.to_thread(run_token, self.gateway.database_url, spec.run_id)
        return RealRun(spec, token, Script(spec))

    def connect(self, run: RealRun, spec: run_pb2.RunSpec | None = None, token: str = "") -> Connection:
        """A stream; ``spec`` names the run in place of the one that the token is for."""
        connection = Connection(self.gateway.mesh_address, spec or run.spec, token or run.token)
        self._connections.append(connection)
        return connection

    async def agent(self, run: RealRun) -> Connection:
        """A stream whose hello was answered."""
        connection = self.connect(run)
        await connection.hello()
        return connection

    async def job(self, run: RealRun) -> TrainingJob:
        job = await self.in_database(lambda session: JobRepository(session).get(run.spec.job_id))
        assert job is not None
        return job

    async def in_database(self, work: Callable[[Session], T]) -> T:
        """Do something in the gateway's database, behind its back."""
        database = Database(self.gateway.database_url, pool_size=1)
        try:
            return await database.write(work)
        finally:
            await database.close()

    def warnings(self, run: RealRun) -> list[dict[str, Any]]:
        """The gateway's warnings about an agent of the run, as its log has them."""
        lines = [json.loads(line) for line in self.gateway.log().splitlines() if line.startswith("{")]
        warnings = [line for line in lines if line["level"] == "warning" and line["event"].startswith("agent ")]
        about = [line for line in warnings if line.get("run_id") == run.spec.run_id]
        assert all(line["job_id"] == run.spec.job_id for line in about)
        return about

    async def close(self) -> None:
        for connection in self._connections:
            await connection.cut()
