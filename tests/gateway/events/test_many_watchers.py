"""Watchers far behind, slow ones, and many at once: all read the same log."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import JobClient, events_of, log_of, take
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from visionmesh.v1 import event_pb2

RING_EVENTS = 32


@pytest.fixture
async def small_ring(closed_mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Calls of a gateway that keeps few events in memory."""
    await closed_mesh.open(GatewayTimes(ring_events=RING_EVENTS))
    return closed_mesh.client(alice, pets)


async def write_lines(script: Script, agent: Connection, count: int, batch: int = 250, text: str = "x") -> None:
    for start in range(0, count, batch):
        await agent.send(*(script.line(f"{text} {number}") for number in range(start, min(start + batch, count))))


def sequences(events: list[event_pb2.JobEvent]) -> list[int]:
    return [event.sequence for event in events]


async def test_a_watcher_behind_the_ring_reads_the_database_then_follows(
    closed_mesh: Mesh, small_ring: JobClient
) -> None:
    script, agent = await closed_mesh.running(small_ring)
    job_id = script.run.job_id
    await write_lines(script, agent, 3000)
    watch = small_ring.watch(job_id)
    told = await take(watch, 100)
    middle = small_ring.watch(job_id, after_sequence=2000)
    await write_lines(script, agent, 500)  # while it catches up
    told += await take(watch, 3000)
    await write_lines(script, agent, 40, batch=1)  # now it follows
    await agent.send(script.end())
    told += [event async for event in events_of(watch)]
    assert sequences(told) == [*range(1, 3549)]
    assert told == await log_of(closed_mesh.database, job_id)
    assert [event async for event in events_of(middle)] == told[2000:]


async def test_few_of_a_kind_among_many_others(closed_mesh: Mesh, small_ring: JobClient) -> None:
    """Pages of a narrowed watch hold no event for a long way."""
    script, agent = await closed_mesh.running(small_ring)
    for epoch in range(1, 4):
        await write_lines(script, agent, 700)
        await agent.send(script.metric(epoch))
    watch = small_ring.watch(script.run.job_id, kinds=[event_pb2.EVENT_KIND_METRIC])
    told = await take(watch, 3)
    await agent.send(script.metric(4), script.end())
    told += [event async for event in events_of(watch)]
    assert [event.metric.epoch for event in told] == [1, 2, 3, 4]
    assert sequences(told) == [706, 1407, 2108, 2109]


async def test_a_slow_watcher_holds_nobody_up(closed_mesh: Mesh, small_ring: JobClient) -> None:
    script, agent = await closed_mesh.running(small_ring)
    job_id = script.run.job_id
    slow = small_ring.watch(job_id)
    await take(slow, 1)  # and then nothing for a long time: its window fills up
    quick = asyncio.create_task(small_ring.events(job_id))
    await write_lines(script, agent, 2000, text="long " * 100)
    await agent.send(script.end())
    log = await log_of(closed_mesh.database, job_id)
    assert await quick == log
    assert [event async for event in events_of(slow)] == log[1:]  # in its own time it misses nothing


async def test_all_watchers_see_the_same(closed_mesh: Mesh, small_ring: JobClient) -> None:
    script, agent = await closed_mesh.running(small_ring)
    job_id = script.run.job_id
    watchers: list[asyncio.Task[list[event_pb2.JobEvent]]] = []
    for number in range(20):
        watchers.append(asyncio.create_task(small_ring.events(job_id, after_sequence=number % 7)))
        await write_lines(script, agent, 15, batch=4)
    await agent.send(script.end())
    log = await log_of(closed_mesh.database, job_id)
    assert sequences(log) == [*range(1, 309)]
    for number, watcher in enumerate(watchers):
        assert await watcher == log[number % 7 :]


async def test_jobs_are_watched_apart(closed_mesh: Mesh, small_ring: JobClient) -> None:
    runs = [await closed_mesh.running(small_ring) for _ in range(3)]
    watches = [asyncio.create_task(small_ring.events(script.run.job_id)) for script, _ in runs]
    await asyncio.gather(*(write_lines(script, agent, 60, batch=3) for script, agent in runs))
    for script, agent in runs:
        await agent.send(script.end())
    for watch, (script, _) in zip(watches, runs, strict=True):
        events = await watch
        assert sequences(events) == [*range(1, 69)]
        assert {event.job_id for event in events} == {script.run.job_id}


async def test_a_watch_after_a_restart_of_the_gateway(closed_mesh: Mesh, small_ring: JobClient, alice: Account) -> None:
    """Nothing is in memory then; the next events come into a ring that begins in the middle of the log."""
    script, agent = await closed_mesh.running(small_ring)
    job_id = script.run.job_id
    await write_lines(script, agent, 100)
    await closed_mesh.reopen(GatewayTimes(ring_events=RING_EVENTS))
    ada = closed_mesh.client(alice, small_ring.dataset_id)
    agent = await closed_mesh.agent(script.run)
    await agent.send(script.metric(1))
    watch = ada.watch(job_id)
    told = await take(watch, 106)
    await agent.send(script.end())
    told += [event async for event in events_of(watch)]
    assert told == await log_of(closed_mesh.database, job_id)
