"""Logs of which something was removed: what a watch tells, and which cursors are refused."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from gateway.events.compaction import CompactionRules, Compactor
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import JobClient, kinds, log_of, take
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from visionmesh.v1 import event_pb2, training_pb2

RULES = CompactionRules(keep_hours=0, log_lines=10, progress_events=2, metric_points=8)
STATE, CHECKPOINT = event_pb2.EVENT_KIND_STATE, event_pb2.EVENT_KIND_CHECKPOINT
PROGRESS, METRIC, LOG = event_pb2.EVENT_KIND_PROGRESS, event_pb2.EVENT_KIND_METRIC, event_pb2.EVENT_KIND_LOG
EPOCHS = 30


async def compact(mesh: Mesh) -> None:
    await Compactor(mesh.database, RULES, every_seconds=0).compact_all()


async def trained(mesh: Mesh, client: JobClient) -> tuple[Script, Connection]:
    """A job that told much and runs on."""
    script, agent = await mesh.running(client, epochs=EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        told = [script.progress(epoch, 1), script.line(f"epoch {epoch}"), script.progress(epoch, 4)]
        await agent.send(*told, script.metric(epoch, epoch / 100))
    await agent.send(script.checkpoint(EPOCHS))
    return script, agent


def last_of(log: list[event_pb2.JobEvent], payload: str, left: list[event_pb2.JobEvent]) -> int:
    """The last sequence of a kind of payload that is no longer there."""
    stays = {event.sequence for event in left}
    return max(event.sequence for event in log if event.HasField(payload) and event.sequence not in stays)


async def test_a_cursor_behind_which_something_is_missing_is_refused(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await trained(mesh, ada)
    job_id = script.run.job_id
    whole = await log_of(mesh.database, job_id)
    await compact(mesh)
    left = await log_of(mesh.database, job_id)
    gone = {name: last_of(whole, name, left) for name in ("progress", "metric", "log")}
    assert len(set(gone.values())) == 3
    await agent.send(script.end())

    async def accepted(after: int, *kinds: event_pb2.EventKind) -> list[event_pb2.JobEvent]:
        events = await ada.events(job_id, after_sequence=after, kinds=kinds)
        names = {event_pb2.EventKind.Name(kind).removeprefix("EVENT_KIND_").lower() for kind in kinds}
        everything = [event for event in await log_of(mesh.database, job_id) if event.sequence > after]
        assert events == [event for event in everything if not names or event.WhichOneof("payload") in names]
        return events

    for names, asked in (
        (["progress", "metric", "log"], []),
        (["progress"], [PROGRESS]),
        (["metric"], [METRIC]),
        (["log"], [LOG]),
        (["log", "metric"], [LOG, METRIC]),
    ):
        removed = max(gone[name] for name in names)
        for after in (0, 3, removed - 1):
            error = await refused(ada.events(job_id, after_sequence=after, kinds=asked))
            assert (error.reason, error.code) == ("SEQUENCE_EXPIRED", grpc.StatusCode.OUT_OF_RANGE)
            assert error.metadata["oldest_sequence"] == str(removed + 1)
            assert error.metadata["job_id"] == job_id
        assert await accepted(removed, *asked)  # the error's `oldest_sequence` - 1
    # Of these nothing is ever removed: any place will do.
    assert len(await accepted(0, CHECKPOINT)) == 1
    assert [event.sequence for event in await ada.events(job_id, after_sequence=0, kinds=[STATE])][:2] == [1, 2]


async def test_without_a_cursor_a_watch_begins_with_what_is_kept(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    await closed_mesh.open(GatewayTimes(ring_events=8))
    mesh, ada = closed_mesh, closed_mesh.client(alice, pets)
    script, agent = await trained(mesh, ada)
    job_id = script.run.job_id
    await compact(mesh)
    watch = ada.watch(job_id)
    left = await log_of(mesh.database, job_id)
    assert [event.sequence for event in left] != [*range(left[0].sequence, left[-1].sequence + 1)]
    told = await take(watch, len(left))
    await agent.send(script.line("it goes on"), script.end())
    told += await take(watch, 4)
    assert told == await log_of(mesh.database, job_id) == await ada.events(job_id)
    watch.cancel()


async def test_narrowed_watches_are_refused_for_their_own_kind_alone(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await trained(mesh, ada)
    job_id = script.run.job_id
    whole = await log_of(mesh.database, job_id)
    await compact(mesh)
    left = await log_of(mesh.database, job_id)
    await agent.send(script.end())
    narrowed: list[tuple[str, Any, Any]] = [
        ("metric", ada.stub.WatchMetrics, training_pb2.WatchMetricsRequest),
        ("log", ada.stub.WatchLogs, training_pb2.WatchLogsRequest),
    ]
    for name, method, request in narrowed:
        removed = last_of(whole, name, left)
        call = method(request(job_id=job_id, after_sequence=removed - 1), metadata=ada.metadata, timeout=20)
        error = await refused(call.read())
        assert (error.reason, error.metadata["oldest_sequence"]) == ("SEQUENCE_EXPIRED", str(removed + 1))
        for fields in ({"after_sequence": removed}, {}):
            call = method(request(job_id=job_id, **fields), metadata=ada.metadata, timeout=20)
            told = [getattr(answer, name) async for answer in call]
            kept = [getattr(event, name) for event in await log_of(mesh.database, job_id) if event.HasField(name)]
            assert told == [item for item in kept if item.sequence > fields.get("after_sequence", 0)]


async def test_a_stream_that_is_overtaken_says_so(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    """It stood still while lines that it had not told were removed; a new one goes on with what there is."""
    await closed_mesh.open(GatewayTimes(ring_events=8))
    ada = closed_mesh.client(alice, pets)
    script, agent = await closed_mesh.running(ada)
    job_id = script.run.job_id
    for _ in range(40):
        await agent.send(*(script.line("x" * 4000) for _ in range(100)))
    watches = [ada.watch(job_id), ada.watch(job_id, after_sequence=2)]
    assert [(await take(watch, 1))[0].sequence for watch in watches] == [1, 3]
    await compact(closed_mesh)
    for watch in watches:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await watch.read() != grpc.aio.EOF:
                pass
        assert caught.value.code() == grpc.StatusCode.OUT_OF_RANGE
    assert len(await take(ada.watch(job_id), 5 + RULES.log_lines)) == 15


async def test_pages_of_lines_that_went_are_refused(mesh: Mesh, ada: JobClient) -> None:
    script, _ = await trained(mesh, ada)
    job_id = script.run.job_id
    early = await ada.logs(job_id, page_size=5)
    late = await ada.logs(job_id, page_size=25)
    await compact(mesh)
    error = await refused(ada.logs(job_id, page_size=5, page_token=early.next_page_token))
    assert (error.reason, error.code) == ("SEQUENCE_EXPIRED", grpc.StatusCode.OUT_OF_RANGE)
    assert error.metadata["oldest_sequence"] == str(late.lines[19].sequence + 1)
    rest = await ada.logs(job_id, page_size=25, page_token=late.next_page_token)
    assert [line.message for line in rest.lines] == [f"epoch {epoch}" for epoch in range(26, 31)]
    kept = await ada.logs(job_id)
    assert [line.message for line in kept.lines] == [f"epoch {epoch}" for epoch in range(21, 31)]


async def test_lists_and_the_job_itself_stay_whole(mesh: Mesh, ada: JobClient) -> None:
    script, _ = await trained(mesh, ada)
    job_id = script.run.job_id
    before, metrics = await ada.get(job_id), await ada.metrics(job_id)
    await compact(mesh)
    thinned = await ada.metrics(job_id)
    assert EPOCHS == metrics.total_size > RULES.metric_points >= thinned.total_size == len(thinned.metrics) > 3
    assert (thinned.metrics[0], thinned.metrics[-1]) == (metrics.metrics[0], metrics.metrics[-1])
    assert all(point in metrics.metrics for point in thinned.metrics)
    assert await ada.get(job_id) == before
    assert (await ada.checkpoints(job_id)).total_size == 1
    assert len((await ada.metrics(job_id, max_points=3)).metrics) == 3


async def test_what_an_agent_repeats_is_not_taken_for_new(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada)
    script = Script(run)
    lines = [script.line(f"line {number}") for number in range(40)]
    positions = await mesh.deliver(run, script.start(), *lines)
    await compact(mesh)
    left = await log_of(mesh.database, run.job_id)
    assert kinds(left).count("log") == RULES.log_lines
    again = await mesh.agent(run)
    assert await again.send(*lines) == positions == await again.heartbeat()
    assert await log_of(mesh.database, run.job_id) == left
    await again.send(script.line("new"))
    assert (await log_of(mesh.database, run.job_id))[-1].sequence == left[-1].sequence + 1
