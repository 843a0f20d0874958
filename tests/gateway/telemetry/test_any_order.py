"""However an agent's batches are cut, repeated and interrupted, the log holds every event once and without gaps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from storage.database.tables import Event
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import JobClient, events_of, take
from tests.gateway.job_fixtures import Mesh
from visionmesh.mesh.v1 import run_pb2

EVENTS = 24


@dataclass(frozen=True)
class Act:
    """One thing an agent does: send ``count`` events, from ``back`` before the first that it believes to be new."""

    back: int
    count: int
    reconnect: bool
    patient: bool  # waits for the acknowledgement before it goes on


acts = st.lists(
    st.builds(
        Act,
        back=st.integers(0, EVENTS),
        count=st.integers(0, 8),
        reconnect=st.booleans(),
        patient=st.booleans(),
    ),
    max_size=10,
)
sources = st.lists(st.sampled_from(["metric", "line", "preparation"]), min_size=EVENTS, max_size=EVENTS)


def told(script: Script, names: list[str]) -> list[run_pb2.RunEvent]:
    makers = {
        "metric": lambda number: script.metric(number + 1),
        "line": lambda number: script.line(f"line {number}"),
        "preparation": lambda number: script.preparation(f"file {number}"),
    }
    return [makers[name](number) for number, name in enumerate(names)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=sources, script_of=acts)
async def test_every_event_is_there_once(mesh: Mesh, ada: JobClient, names: list[str], script_of: list[Act]) -> None:
    run = await mesh.preparing(ada)
    script = Script(run)
    events = told(script, names)
    watch = ada.watch(run.job_id)
    agent: Connection = await mesh.agent(run)
    sent = 0  # events before this one went out at least once
    for act in script_of:
        if act.reconnect:
            await agent.cut()
            # What was on its way may be durable or not: an agent goes by what hello tells.
            durable = sum((await (agent := mesh.connect(run)).hello()).values())
            assert durable <= sent
            sent = durable
        first = max(sent - act.back, 0)
        batch = events[first : max(first + act.count, sent)]
        await (agent.send(*batch) if act.patient else agent.post(*batch))
        sent = max(sent, first + len(batch))
    await agent.cut()
    agent = await mesh.agent(run)
    await agent.send(*events, script.end())

    rows = await mesh.database.read(
        lambda session: session.execute(
            select(Event.sequence, Event.run_id, Event.source, Event.source_sequence)
            .where(Event.job_id == run.job_id)
            .order_by(Event.sequence)
        ).all()
    )
    assert [row.sequence for row in rows] == [*range(1, len(rows) + 1)]
    keys = [(row.run_id, row.source, row.source_sequence) for row in rows]
    assert len(set(keys)) == len(keys)
    for source in {event.source for event in events}:
        own = {1: "training", 2: "log", 3: "agent"}[source]
        numbers = [number for run_id, name, number in keys if (run_id, name) == (run.run_id, own)]
        assert numbers == [*range(1, len(numbers) + 1)]
    assert len([key for key in keys if key[1] != "gateway"]) == EVENTS + 1
    assert [event.sequence for event in await take(watch, len(rows))] == [row.sequence for row in rows]
    metrics = await ada.metrics(run.job_id)
    assert metrics.total_size == names.count("metric")
    async with asyncio.timeout(20):
        assert not [event async for event in events_of(watch)]  # it ended with the job
