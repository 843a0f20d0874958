"""A gateway in a process of its own: a thousand watchers, watchers that never read, and a compaction that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from sqlalchemy.orm import Session

from storage.database.compaction import CompactionRepository
from storage.database.engine import Database
from storage.database.events import EventRepository, NewEvent
from storage.database.ids import new_id
from storage.database.jobs import JobRepository
from storage.database.run_tokens import RunTokenRepository
from storage.database.tables import Run
from storage.database.users import UserRepository
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import log_of
from tests.gateway.job_gateway import open_channel
from tests.gateway_process import GatewayProcess
from tests.storage import builders
from visionmesh.client import Client
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import training_pb2, training_service_pb2_grpc

MESH_TOKEN = "a-token-of-the-tests"
KEPT_LINES = 100


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as started:
        yield started


def database_of(process: GatewayProcess) -> Database:
    return Database(f"sqlite:///{process.folder / 'visionmesh.db'}", pool_size=2)


async def running_job(process: GatewayProcess) -> tuple[run_pb2.RunSpec, str]:
    """A job of the owner that runs, for a test to be its agent, and the agent's token."""
    run_id = new_id("run")

    def work(session: Session) -> tuple[run_pb2.RunSpec, str]:
        owner = UserRepository(session).by_name("owner")
        assert owner is not None
        jobs = JobRepository(session)
        job = jobs.add(builders.job(owner.id, state="RUNNING", current_run_id=run_id, attempt=1, epochs=100_000))
        jobs.add_run(Run(id=run_id, job_id=job.id, attempt=1))
        spec = run_pb2.RunSpec(run_id=run_id, job_id=job.id, attempt=1, epochs=job.epochs)
        return spec, RunTokenRepository(session).add(run_id)

    database = database_of(process)
    try:
        return await database.write(work)
    finally:
        await database.close()


@pytest.fixture
async def job(process: GatewayProcess) -> AsyncIterator[tuple[Script, Connection]]:
    """A job that runs, with the stream of its agent."""
    run, token = await running_job(process)
    agent = Connection(process.mesh_address, run, token)
    await agent.hello()
    yield Script(run), agent
    await agent.cut()


@pytest.fixture
async def stubs(process: GatewayProcess) -> AsyncIterator[list[Any]]:
    """Twenty connections of this one process."""
    channels = [open_channel(process.address) for _ in range(20)]
    yield [training_service_pb2_grpc.TrainingServiceStub(channel) for channel in channels]
    for channel in channels:
        await channel.close()


def watch(stub: Any, process: GatewayProcess, job_id: str) -> Any:
    metadata = (("authorization", f"Bearer {process.token}"),)
    return stub.WatchJob(training_pb2.WatchJobRequest(job_id=job_id), metadata=metadata, timeout=120)


async def test_a_thousand_watchers_of_one_client_see_everything_once(
    process: GatewayProcess, job: tuple[Script, Connection], stubs: list[Any]
) -> None:
    script, agent = job
    watches = [watch(stubs[number % len(stubs)], process, script.run.job_id) for number in range(1000)]

    async def told(call: Any) -> list[training_pb2.WatchJobResponse]:
        return [answer async for answer in call if answer.HasField("event")]

    watching = [asyncio.create_task(told(call)) for call in watches]
    await agent.send(script.start())
    for epoch in range(1, 11):
        await agent.send(script.metric(epoch), script.line(f"epoch {epoch}"))
    await agent.send(script.end())
    answers = await asyncio.gather(*watching)
    database = database_of(process)
    log = await log_of(database, script.run.job_id)
    await database.close()
    assert [event.sequence for event in log] == [*range(1, len(log) + 1)] and len(log) > 20
    expected = [training_pb2.WatchJobResponse(event=event) for event in log]
    assert all(told == expected for told in answers)


async def test_watchers_that_never_read_cost_others_nothing_and_little_memory(
    process: GatewayProcess, job: tuple[Script, Connection], stubs: list[Any]
) -> None:
    script, agent = job
    never, lines = 20, 7500
    held = [watch(stubs[number], process, script.run.job_id) for number in range(never)]
    await agent.send(script.start())
    for call in held:
        await call.read()  # each is open, and reads no more
    before = psutil.Process(process.pid).memory_info().rss
    reading = watch(stubs[0], process, script.run.job_id)
    for _ in range(lines // 250):
        await agent.send(*(script.line("x" * 4000) for _ in range(250)))  # acknowledged whoever does not read
    seen = [await reading.read() for _ in range(1 + lines)]
    assert [answer.event.sequence for answer in seen] == [*range(1, 2 + lines)]
    # A queue for each of them would hold 600 MB by now. The ring of the job alone holds 16.
    assert process.peak_bytes() - before < 150 << 20
    late = [await held[-1].read() for _ in range(lines)]
    assert late == seen[1:]
    for call in (*held, reading):
        call.cancel()


async def test_a_compaction_that_is_killed_is_finished_by_the_next_gateway(tmp_path: Path) -> None:
    process = GatewayProcess(
        tmp_path,
        VISIONMESH_KEEP_EVENTS_HOURS="0",
        VISIONMESH_KEEP_LOG_LINES=str(KEPT_LINES),
        VISIONMESH_COMPACTION_SECONDS="0.1",
    )
    with process:
        pass  # makes database and owner
    run, _ = await running_job(process)
    database = database_of(process)
    count = 0
    for first in range(1, 20_001, 1000):
        lines = [builders.event(run.run_id, n, source="log", kind="LOG") for n in range(first, first + 1000)]
        count += len(await database.write(partial(append, run.job_id, lines)))

    async def removed() -> int:
        return await database.read(lambda session: CompactionRepository(session).removed_through(run.job_id))

    async def left() -> list[int]:
        return [
            event.sequence
            for event in await database.read(lambda session: EventRepository(session).page(run.job_id, 0, 100_000))
        ]

    process.start()
    async with asyncio.timeout(60):
        while not await removed():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.kill()
    assert await left() == [*range(await removed() + 1, count + 1)]  # nothing is gone that is not told as gone
    assert await removed() < count - KEPT_LINES  # in the middle
    process.start()
    async with asyncio.timeout(60):
        while await removed() < count - KEPT_LINES:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await left() == [*range(count - KEPT_LINES + 1, count + 1)]
    with process.client() as client:
        assert refused_place(client, run.job_id) == count - KEPT_LINES + 1
    process.kill()
    await database.close()


def append(job_id: str, events: list[NewEvent], session: Session) -> list[Any]:
    return EventRepository(session).append(job_id, events)


def refused_place(client: Client, job_id: str) -> int:
    """`oldest_sequence` of the refusal of a cursor at the beginning."""
    with pytest.raises(Exception) as caught:
        next(client.watch_job(job_id, after_sequence=0))
    error: Any = caught.value
    assert error.code == grpc.StatusCode.OUT_OF_RANGE
    return int(error.metadata["oldest_sequence"])
