"""Two gateway processes over one PostgreSQL database: a job starts once, and is the same through both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from storage.database.engine import Database
from tests.gateway.conftest import Account
from tests.gateway.job_agent import STOP, Script
from tests.gateway.job_client import JobClient, events_of, log_of, short, take, transitions
from tests.gateway.several.pair import Pair, SlotTrainer
from tests.gateway.waiting import until
from tests.postgresql_server import PostgreSQLServer
from visionmesh.errors import from_rpc
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trainers() -> AsyncIterator[list[SlotTrainer]]:
    """Two trainers of `counters`, with two and one slots, and one of `beads`."""
    started = [SlotTrainer("counters", 2), SlotTrainer("counters", 1), SlotTrainer("beads", 1)]
    for trainer in started:
        await trainer.start()
    yield started
    for trainer in started:
        await trainer.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, url: str, trainers: list[SlotTrainer], ada: Account, dataset_id: str
) -> AsyncIterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("pair"), url, trainers, ada, dataset_id)
    await pair.start()
    yield pair
    await pair.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_a(pair: Pair) -> JobClient:
    return pair.client(pair.a)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_b(pair: Pair) -> JobClient:
    return pair.client(pair.b)


async def run_of(trainers: list[SlotTrainer], job_id: str) -> run_pb2.RunSpec:
    """The run of a job, once a trainer has it."""

    def found() -> list[run_pb2.RunSpec]:
        return [run for trainer in trainers for run in trainer.runs.values() if run.job_id == job_id]

    await until(lambda: bool(found()), 20)
    return found()[0]


def let_go(trainers: list[SlotTrainer], run: run_pb2.RunSpec) -> None:
    for trainer in trainers:
        trainer.let_go(run.run_id)


async def test_twenty_jobs_that_are_started_through_both_at_once_start_once_each(
    pair: Pair, at_a: JobClient, at_b: JobClient, trainers: list[SlotTrainer], shared: Database
) -> None:
    jobs = await asyncio.gather(*((at_a, at_b)[number % 2].create() for number in range(20)))
    done: set[str] = set()

    async def start(client: JobClient, job_id: str) -> str:
        try:
            return short((await client.start(job_id)).state)
        except grpc.aio.AioRpcError as error:
            return from_rpc(error).reason

    async def work(trainer: SlotTrainer) -> None:
        """The agents of a trainer, each at one of the gateways."""
        while len(done) < len(jobs):
            for run_id in [run_id for run_id in trainer.holding if run_id not in done]:
                run = trainer.runs[run_id]
                done.add(run_id)
                agent = await pair.agent((pair.a, pair.b)[len(done) % 2], run)
                script = Script(run)
                await agent.send(script.start(), script.metric(1))
                trainer.let_go(run_id)
                await agent.send(script.end())
                await agent.cut()
            await asyncio.sleep(0.02)

    working = [asyncio.create_task(work(trainer)) for trainer in trainers]
    outcomes = await asyncio.gather(*(asyncio.gather(start(at_a, job.id), start(at_b, job.id)) for job in jobs))
    # The second of two starts at the same time finds the job queued, or further.
    assert [sorted(pair) for pair in outcomes] == [["INVALID_STATE_TRANSITION", "QUEUED"]] * 20
    async with asyncio.timeout(60):
        await asyncio.gather(*working)
    runs = [run for trainer in trainers for run in trainer.runs.values()]
    assert Counter(run.job_id for run in runs) == dict.fromkeys((job.id for job in jobs), 1)
    assert [trainer.most for trainer in trainers] == [2, 1, 0]
    # Slots are counted over both gateways, so that none sends a run to a trainer that the other has filled.
    assert [trainer.asked["refused"] for trainer in trainers] == [0, 0, 0]
    for job in jobs:
        seen = await at_b.until_state(job.id, "COMPLETED")
        assert seen.current_run_id in {run.run_id for run in runs}
        assert transitions(await log_of(shared, job.id))[-3:] == [
            ("QUEUED", "PREPARING"),
            ("PREPARING", "RUNNING"),
            ("RUNNING", "COMPLETED"),
        ]


async def test_the_same_request_through_both_at_once_is_one_request(
    at_a: JobClient, at_b: JobClient, trainers: list[SlotTrainer], pair: Pair
) -> None:
    made = await asyncio.gather(*(client.create(request_id="create it") for client in (at_a, at_b) * 4))
    assert len({job.id for job in made}) == 1
    job_id = made[0].id
    started = await asyncio.gather(*(client.start(job_id, request_id="start it") for client in (at_a, at_b) * 4))
    assert {job.id for job in started} == {job_id}
    run = await run_of(trainers, job_id)
    assert run.attempt == 1
    agent = await pair.agent(pair.a, run)
    let_go(trainers, run)
    await agent.send(Script(run).end())
    assert (await at_b.until_state(job_id, "COMPLETED")).attempt == 1


async def test_places_in_the_queue_are_the_same_through_both_and_decide_who_starts(
    at_a: JobClient, at_b: JobClient, trainers: list[SlotTrainer], pair: Pair
) -> None:
    first, second, _ = trainers
    for trainer in (first, second):
        trainer.offer(0)
    await known(trainers)
    priorities = [0, 5, 0, -1, 5]
    jobs = [await at_a.create(at_a.spec(priority=priority)) for priority in priorities]
    for number, job in enumerate(jobs):
        await (at_a, at_b)[number % 2].start(job.id)
    expected = {jobs[1].id: 1, jobs[4].id: 2, jobs[0].id: 3, jobs[2].id: 4, jobs[3].id: 5}
    for client in (at_a, at_b):
        assert {job.id: (await client.get(job.id)).queue_position for job in jobs} == expected
        listed = await client.jobs(state=job_state_pb2.JOB_STATE_QUEUED)
        assert {job.id: job.queue_position for job in listed.jobs} == expected

    # A framework with a free slot is not held up by one that has none.
    elsewhere = await at_a.create(at_a.spec(framework="beads"))
    assert (await at_b.start(elsewhere.id)).queue_position == 1
    run = await run_of(trainers, elsewhere.id)
    assert (await at_a.get(elsewhere.id)).queue_position == 0
    agent = await pair.agent(pair.b, run)
    let_go(trainers, run)
    await agent.send(Script(run).end())

    # Who leaves the queue makes room at once, whichever gateway is asked.
    stopped = await at_b.stop(jobs[1].id)
    assert (short(stopped.state), stopped.queue_position) == ("STOPPED", 0)
    assert [(await client.get(jobs[4].id)).queue_position for client in (at_a, at_b)] == [1, 1]

    second.offer(1)
    order = []
    for _ in range(4):
        await until(lambda: bool(second.holding), 20)
        [run_id] = second.holding
        order.append(second.runs[run_id].job_id)
        agent = await pair.agent(pair.a, second.runs[run_id])
        second.let_go(run_id)
        await agent.send(Script(second.runs[run_id]).end())
    assert order == [jobs[4].id, jobs[0].id, jobs[2].id, jobs[3].id]
    first.offer(2)


async def known(trainers: list[SlotTrainer]) -> None:
    """Wait until both gateways have asked every trainer again."""
    asked = [trainer.asked["Describe"] for trainer in trainers]
    # Two gateways, of which one may be slower.
    await until(lambda: all(t.asked["Describe"] >= seen + 6 for t, seen in zip(trainers, asked, strict=True)), 20)


async def running(
    pair: Pair, starter: JobClient, trainers: list[SlotTrainer]
) -> tuple[training_pb2.TrainingJob, Script]:
    job = await starter.create()
    await starter.start(job.id)
    return job, Script(await run_of(trainers, job.id))


async def test_a_watch_at_one_tells_what_an_agent_at_the_other_says_and_a_stop_finds_it(
    pair: Pair, at_a: JobClient, at_b: JobClient, trainers: list[SlotTrainer], shared: Database
) -> None:
    job, script = await running(pair, at_a, trainers)
    agent = await pair.agent(pair.b, script.run)
    watches = [at_a.watch(job.id), at_b.watch(job.id), at_a.watch(job.id, after_sequence=2)]
    told = [asyncio.create_task(_all(watch)) for watch in watches]
    await agent.send(script.start())
    # What a gateway keeps of GetJob is forgotten when the other one hears the agent.
    await at_a.until_state(job.id, "RUNNING")
    for epoch in range(1, 31):
        await agent.send(script.metric(epoch), script.line(f"epoch {epoch}"), script.progress(epoch, 1))
        if epoch % 10 == 0:
            await at_a.until(job.id, lambda seen, epoch=epoch: seen.current_epoch == epoch)  # type: ignore[misc]
    assert short((await at_a.stop(job.id)).state) == "STOPPING"
    assert await agent.told() == STOP
    let_go(trainers, script.run)
    await agent.send(script.end("STOPPED"))
    async with asyncio.timeout(30):
        everything, the_same, later = await asyncio.gather(*told)
    log = await log_of(shared, job.id)
    assert everything == the_same == log and later == log[2:]
    assert [event.sequence for event in log] == list(range(1, len(log) + 1)) and len(log) > 90
    assert (await at_a.until_state(job.id, "STOPPED")).current_epoch == 30


async def _all(watch: object) -> list[event_pb2.JobEvent]:
    return [event async for event in events_of(watch)]


async def test_gateways_whose_connections_are_cut_miss_nothing(
    pair: Pair, at_a: JobClient, trainers: list[SlotTrainer], server: PostgreSQLServer, shared: Database
) -> None:
    job, script = await running(pair, at_a, trainers)
    agent = await pair.agent(pair.b, script.run)
    await agent.send(script.start())
    watch = at_a.watch(job.id)
    seen = await take(watch, 4)
    for number in range(5):
        # Those that listen, tell and hold claims, of both gateways.
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (query LIKE "
            "'LISTEN%' OR query LIKE '%pg_notify%' OR query LIKE '%try_advisory%' OR query LIKE '%advisory_unlock%')"
        )
        await agent.send(script.metric(number + 1))
        seen += await take(watch, 1)
    let_go(trainers, script.run)
    await agent.send(script.end())
    seen += [event async for event in events_of(watch)]
    assert seen == await log_of(shared, job.id)
    await at_a.until_state(job.id, "COMPLETED")
    # Claims too are there again: the next start needs one.
    again, script = await running(pair, at_a, trainers)
    agent = await pair.agent(pair.a, script.run)
    let_go(trainers, script.run)
    await agent.send(script.end())
    assert (await at_a.until_state(again.id, "COMPLETED")).attempt == 1


async def test_neither_gateway_had_anything_to_complain_about(pair: Pair) -> None:
    for gateway in (pair.a, pair.b):
        assert "Traceback" not in gateway.log(), gateway.log()
