"""What a gateway finds out about jobs of another one that tells it nothing, and about many events at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from storage.database.engine import Database
from storage.objects.local import LocalObjectStore
from tests.gateway.conftest import Account
from tests.gateway.job_agent import ABANDON, STOP, Connection, Script
from tests.gateway.job_client import JobClient, events_of, log_of, take
from tests.gateway.job_gateway import GatewayTimes, JobGateway
from tests.gateway.stand_in import StandInTrainer, model, token_of
from tests.gateway.waiting import until
from visionmesh.v1 import event_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFTEN = GatewayTimes(follow_seconds=0.2)
NEVER = GatewayTimes(follow_seconds=600)


class Gateways:
    """Opens gateways of this process over one database, and whatever speaks to them."""

    def __init__(self, url: str, folder: Path, trainer: StandInTrainer, ada: Account, dataset_id: str) -> None:
        self._url, self._store, self._trainer = url, LocalObjectStore(folder), trainer
        self._account, self._dataset_id = ada, dataset_id
        self._gateways: list[JobGateway] = []
        self._clients: list[JobClient] = []
        self._agents: list[Connection] = []

    async def open(self, times: GatewayTimes, *, mute: bool = False) -> JobGateway:
        """A gateway; a ``mute`` one tells nobody, and hears nothing."""
        gateway = JobGateway(self._url, self._store, [self._trainer], times)
        self._gateways.append(gateway)
        if mute:
            gateway.database.notices.start = lambda: None  # type: ignore[method-assign]
        await gateway.start()
        if not mute:
            await until(lambda: gateway.database.notices.listening)
        return gateway

    def client(self, gateway: JobGateway) -> JobClient:
        self._clients.append(JobClient(gateway, self._account, self._dataset_id))
        return self._clients[-1]

    async def running(self, starter: JobClient, gateway: JobGateway) -> tuple[Script, Connection]:
        """A job whose agent speaks to ``gateway``; it has told one event."""
        job = await starter.create(starter.spec(max_restarts=0))
        await starter.start(job.id)
        await until(lambda: any(run.job_id == job.id for run in self._trainer.runs.values()), 20)
        [run] = [run for run in self._trainer.runs.values() if run.job_id == job.id]
        agent = Connection(gateway.mesh_address, run, token_of([self._trainer], run))
        self._agents.append(agent)
        script = Script(run)
        await agent.hello()
        await agent.send(script.start())
        return script, agent

    async def close(self) -> None:
        for agent in self._agents:
            await agent.cut()
        for client in self._clients:
            await client.channel.close()
        for gateway in self._gateways:
            await gateway.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def gateways(tmp_path: Path, url: str, ada: Account, dataset_id: str) -> AsyncIterator[Gateways]:
    trainer = StandInTrainer("counters", [model("count_a")], free_slots=9)
    await trainer.start()
    gateways = Gateways(url, tmp_path, trainer, ada, dataset_id)
    yield gateways
    await gateways.close()
    await trainer.stop()


async def all_of(watch: object) -> list[event_pb2.JobEvent]:
    return [event async for event in events_of(watch)]


async def test_a_gateway_that_hears_nothing_looks_for_itself(gateways: Gateways, shared: Database) -> None:
    ours, mute = await gateways.open(OFTEN), await gateways.open(OFTEN, mute=True)
    here, there = gateways.client(ours), gateways.client(mute)
    script, agent = await gateways.running(there, mute)
    job_id = script.run.job_id
    await here.until_state(job_id, "RUNNING")
    watch = here.watch(job_id)
    seen = await take(watch, 4)
    await agent.send(script.metric(1))
    seen += await take(watch, 1)
    # What is kept of GetJob is not kept for ever, here or there.
    await here.until(job_id, lambda job: job.current_epoch == 1)
    # A stop through this gateway reaches the agent at the one that hears nothing.
    await here.stop(job_id)
    assert await agent.told() == STOP
    await there.until_state(job_id, "STOPPING")
    await agent.send(script.end("STOPPED"))
    assert seen + await all_of(watch) == await log_of(shared, job_id)
    await here.until_state(job_id, "STOPPED")


async def test_notices_alone_bring_everything_and_many_events_at_once(gateways: Gateways, shared: Database) -> None:
    ours, theirs = await gateways.open(NEVER), await gateways.open(NEVER)
    here, there = gateways.client(ours), gateways.client(theirs)
    script, agent = await gateways.running(here, theirs)
    job_id = script.run.job_id
    watches = [asyncio.create_task(all_of(here.watch(job_id))) for _ in range(3)]
    await until(lambda: bool(ours.live.watched()), 20)
    for start in range(3):
        # More than are taken over at once, then few.
        await agent.send(*(script.line(f"{start} {number}") for number in range(700)))
        await agent.send(script.metric(start + 1))
        await here.until(job_id, lambda job, start=start: job.current_epoch == start + 1)  # type: ignore[misc]
    await there.stop(job_id)
    assert await agent.told() == STOP
    await agent.send(script.end("STOPPED"))
    log = await log_of(shared, job_id)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*watches) == [log, log, log]
    assert [event.sequence for event in log] == list(range(1, len(log) + 1)) and len(log) > 2100
    assert not ours.live.watched()


async def test_a_run_that_one_gateway_gives_up_is_abandoned_at_the_other(gateways: Gateways) -> None:
    ours = await gateways.open(GatewayTimes(contact_lost_seconds=0.3, lease_seconds=1.5))
    deaf = await gateways.open(NEVER)
    # Its agent speaks to a gateway that writes down no sign of life.
    script, agent = await gateways.running(gateways.client(ours), deaf)
    failed = await gateways.client(ours).until_state(script.run.job_id, "FAILED")
    assert failed.failure.reason == "LEASE_EXPIRED"
    assert await agent.told() == ABANDON


async def test_signs_of_life_at_one_gateway_keep_the_lease_at_the_other(gateways: Gateways) -> None:
    times = GatewayTimes(contact_lost_seconds=1.5, lease_seconds=3.0)
    ours, theirs = await gateways.open(times), await gateways.open(times)
    here = gateways.client(ours)
    script, agent = await gateways.running(here, theirs)
    silent, _ = await gateways.running(here, theirs)
    async with asyncio.timeout(20):
        while await here.state(silent.run.job_id) != "FAILED":  # for more than a lease
            await agent.heartbeat()
            await asyncio.sleep(0.05)
    assert await here.state(script.run.job_id) == "RUNNING"
    await agent.send(script.end())
