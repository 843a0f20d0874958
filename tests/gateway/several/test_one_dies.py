"""Of two gateways over one PostgreSQL database one is killed: the other does what it left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from storage.database.engine import Database
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Script
from tests.gateway.job_client import events_of, log_of, short
from tests.gateway.several.pair import Pair, SlotTrainer
from tests.gateway.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def trainer() -> AsyncIterator[SlotTrainer]:
    trainer = SlotTrainer("counters", 2)
    await trainer.start()
    yield trainer
    trainer.answers_starts.set()
    await trainer.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def pair(tmp_path: Path, url: str, trainer: SlotTrainer, ada: Account, dataset_id: str) -> AsyncIterator[Pair]:
    pair = Pair(tmp_path, url, [trainer], ada, dataset_id, contact_lost_seconds="2", lease_seconds="6")
    await pair.start()
    yield pair
    await pair.close()


async def test_the_other_judges_leases_repeats_starts_and_dispatches(
    pair: Pair, trainer: SlotTrainer, shared: Database
) -> None:
    at_a, at_b = pair.client(pair.a), pair.client(pair.b)

    async def started() -> Script:
        job = await at_a.create(at_a.spec(max_restarts=0))
        await at_a.start(job.id)
        await until(lambda: any(run.job_id == job.id for run in trainer.runs.values()), 20)
        [run] = [run for run in trainer.runs.values() if run.job_id == job.id]
        return Script(run)

    kept, lost = await started(), await started()
    alive = True

    async def beat(script: Script) -> None:
        """An agent that gives signs of life, to whichever gateway there is."""
        agent = await pair.agent(pair.a, script.run)
        await agent.send(script.start())
        while alive:
            try:
                await agent.heartbeat()
                await asyncio.sleep(0.2)
            except (grpc.aio.AioRpcError, EOFError):
                agent = await pair.agent(pair.b, script.run)
        await agent.send(script.metric(1), script.end())

    beating = asyncio.create_task(beat(kept))
    silent = await pair.agent(pair.a, lost.run)
    await silent.send(lost.start())
    await at_b.until_state(kept.run.job_id, "RUNNING")

    # One more is taken by gateway a, which is killed before the trainer has answered.
    trainer.offer(3)
    trainer.answers_starts.clear()
    pair.b.send(signal.SIGSTOP)
    cut_off = await started()
    waiting = await at_a.create()
    assert (await at_a.start(waiting.id)).queue_position == 1
    pair.a.send(signal.SIGKILL)
    pair.b.send(signal.SIGCONT)
    watch = at_b.watch(lost.run.job_id)

    await until(lambda: trainer.asked["StartRun"] == 4, 20)
    assert [run.job_id for run in trainer.runs.values()].count(cut_off.run.job_id) == 1
    trainer.answers_starts.set()
    agent = await pair.agent(pair.b, cut_off.run)
    trainer.let_go(cut_off.run.run_id)
    await agent.send(cut_off.start(), cut_off.end())
    assert (await at_b.get(cut_off.run.job_id)).attempt == 1

    # What waited in the queue gets the slot.
    await until(lambda: any(run.job_id == waiting.id for run in trainer.runs.values()), 20)
    [run] = [run for run in trainer.runs.values() if run.job_id == waiting.id]
    agent = await pair.agent(pair.b, run)
    trainer.let_go(run.run_id)
    await agent.send(Script(run).end())

    # A run that nothing is heard of is given up, one whose agent came over goes on.
    failed = await at_b.until_state(lost.run.job_id, "FAILED")
    assert failed.failure.reason == "LEASE_EXPIRED"
    assert [event async for event in events_of(watch)] == await log_of(shared, lost.run.job_id)
    await until(lambda: any(request.run_id == lost.run.run_id for request in trainer.stopped), 20)
    alive = False
    await beating
    done = await at_b.get(kept.run.job_id)
    assert (short(done.state), done.attempt) == ("COMPLETED", 1)

    # It is started again, and knows all that.
    pair.a.start()
    await pair.a.serving()
    assert await pair.client(pair.a).get(kept.run.job_id) == done
