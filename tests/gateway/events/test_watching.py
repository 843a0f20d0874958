"""Watching a job: what was, then what comes, without gap and without repeat."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc
import pytest

from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Script
from tests.gateway.job_client import JobClient, kinds, log_of, take
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.waiting import until
from visionmesh.v1 import event_pb2, training_pb2

METRIC = event_pb2.EVENT_KIND_METRIC


async def heartbeat(call: Any) -> event_pb2.Heartbeat:
    """The next heartbeat of a watch; no event may come before it."""
    async with asyncio.timeout(20):
        answer = await call.read()
    assert answer.WhichOneof("item") == "heartbeat"
    return answer.heartbeat  # type: ignore[no-any-return]


@pytest.fixture
async def hasty(closed_mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Calls of a gateway whose idle watches give a sign of life every fifth of a second."""
    await closed_mesh.open(GatewayTimes(heartbeat_seconds=0.2))
    return closed_mesh.client(alice, pets)


async def test_a_watch_tells_everything_and_ends(mesh: Mesh, ada: JobClient) -> None:
    job = await ada.create()
    whole = asyncio.create_task(ada.events(job.id))  # from before the first event
    await ada.start(job.id)
    run = await mesh.run_of(job.id)
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    middle = asyncio.create_task(ada.events(job.id))
    await agent.send(script.metric(1), script.line("one"))
    await agent.send(script.end())
    late = await ada.events(job.id)
    assert [event.sequence for event in late] == [*range(1, len(late) + 1)]
    assert late[-1].state_change.to_state == 7  # COMPLETED
    assert await whole == await middle == late == await log_of(mesh.database, job.id)


@pytest.mark.parametrize("how", ["STOPPED", "FAILED"])
async def test_every_end_ends_the_watch(mesh: Mesh, ada: JobClient, how: str) -> None:
    script, agent = await mesh.running(ada, max_restarts=0)
    job_id = script.run.job_id
    watch = asyncio.create_task(ada.events(job_id))
    await agent.send(script.end(how))
    events = await watch
    assert events[-1].HasField("state_change")
    await ada.start(job_id)
    again = ada.watch(job_id)  # started again, it goes on
    assert (await take(again, len(events) + 2))[: len(events)] == events
    again.cancel()


async def test_a_watch_goes_on_after_a_sequence(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(*(script.metric(epoch) for epoch in range(1, 11)), script.end())
    whole = await ada.events(job_id)
    for after in (0, 1, 7, len(whole) - 1, len(whole)):
        assert await ada.events(job_id, after_sequence=after) == whole[after:]
    narrowed: dict[Any, Any] = {
        ada.stub.WatchJob: training_pb2.WatchJobRequest,
        ada.stub.WatchMetrics: training_pb2.WatchMetricsRequest,
        ada.stub.WatchLogs: training_pb2.WatchLogsRequest,
    }
    for method, request in narrowed.items():
        for after in (-1, -(2**63)):
            call = method(request(job_id=job_id, after_sequence=after), metadata=ada.metadata, timeout=20)
            error = await refused(call.read())
            assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            assert [violation.field for violation in error.violations] == ["after_sequence"]
            assert str(after) in error.violations[0].description


async def test_a_watch_that_reconnects_misses_nothing(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    seen: list[event_pb2.JobEvent] = []
    for epoch in range(1, 9):
        watch = ada.watch(script.run.job_id, after_sequence=seen[-1].sequence if seen else 0)
        await agent.send(script.metric(epoch), script.line(f"epoch {epoch}"))
        seen += await take(watch, 1)
        watch.cancel()
    await agent.send(script.end())
    seen += await ada.events(script.run.job_id, after_sequence=seen[-1].sequence)
    assert seen == await log_of(mesh.database, script.run.job_id)


async def test_only_the_kinds_that_were_asked_for(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    live = asyncio.create_task(ada.events(job_id, kinds=[METRIC, event_pb2.EVENT_KIND_CHECKPOINT]))
    await agent.send(script.line("one"), script.metric(1), script.checkpoint(1), script.metric(2), script.end())
    told = await ada.events(job_id, kinds=[METRIC, event_pb2.EVENT_KIND_CHECKPOINT])
    assert kinds(told) == ["metric", "checkpoint", "metric"]
    assert await live == told
    assert kinds(await ada.events(job_id, kinds=[METRIC], after_sequence=told[0].sequence)) == ["metric"]
    everything = await ada.events(job_id, kinds=[event_pb2.EVENT_KIND_UNSPECIFIED])
    assert everything == await log_of(mesh.database, job_id)
    error = await refused(ada.events(job_id, kinds=[99]))
    assert [violation.field for violation in error.violations] == ["kinds"]


async def test_an_idle_watch_gives_signs_of_life(closed_mesh: Mesh, hasty: JobClient) -> None:
    script, agent = await closed_mesh.running(hasty)
    watch = hasty.watch(script.run.job_id)
    await take(watch, 5)
    beats = [await heartbeat(watch) for _ in range(3)]
    assert [beat.last_sequence for beat in beats] == [5, 5, 5]  # none uses a sequence up
    assert beats[0].time.ToNanoseconds() < beats[2].time.ToNanoseconds()
    await agent.send(script.metric(1))
    [event] = await take(watch, 1)
    assert event.sequence == 6
    assert (await heartbeat(watch)).last_sequence == 6
    watch.cancel()


async def test_a_job_that_waits_gives_signs_of_life(hasty: JobClient) -> None:
    job = await hasty.create()
    watch = hasty.watch(job.id)
    assert (await heartbeat(watch)).last_sequence == 0
    await hasty.stop(job.id)
    assert kinds(await take(watch, 1)) == ["state_change"]
    assert await watch.read() == grpc.aio.EOF


async def test_a_narrowed_watch_of_a_busy_job_gives_signs_of_life(closed_mesh: Mesh, hasty: JobClient) -> None:
    """Something happens all the time, but nothing that was asked for."""
    script, agent = await closed_mesh.running(hasty)
    watch = hasty.watch(script.run.job_id, kinds=[METRIC])

    async def chatter() -> None:
        while True:
            await agent.send(script.line("busy"))

    busy = asyncio.create_task(chatter())
    beats = [(await heartbeat(watch)).last_sequence for _ in range(2)]
    assert 5 < beats[0] < beats[1]
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    watch.cancel()


async def test_a_watch_beyond_the_end_waits(closed_mesh: Mesh, hasty: JobClient) -> None:
    script, agent = await closed_mesh.running(hasty)
    watch = hasty.watch(script.run.job_id, after_sequence=8)
    assert (await heartbeat(watch)).last_sequence == 5
    await agent.send(*(script.metric(epoch) for epoch in range(1, 6)))
    assert [event.sequence for event in await take(watch, 2)] == [9, 10]
    await agent.send(script.end())
    beyond = hasty.watch(script.run.job_id, after_sequence=1000)
    assert [answer async for answer in beyond] == []  # nothing more can come
    watch.cancel()


async def test_watches_of_metrics_and_logs_are_typed(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    sent = [script.metric(1, 0.5, val_loss=0.25), script.line("one"), script.metric(2, 0.75), script.line("two")]
    await agent.send(*sent, script.end())
    metrics = training_pb2.WatchMetricsRequest(job_id=job_id)
    points = [answer.metric async for answer in ada.stub.WatchMetrics(metrics, metadata=ada.metadata, timeout=20)]
    assert [(point.epoch, point.accuracy, point.sequence) for point in points] == [(1, 0.5, 6), (2, 0.75, 8)]
    assert dict(points[0].extra_metrics) == {"val_loss": 0.25}
    assert points[0].time == sent[0].time
    assert points == [*(await ada.metrics(job_id)).metrics]
    logs = training_pb2.WatchLogsRequest(job_id=job_id, after_sequence=7)
    lines = [answer.log async for answer in ada.stub.WatchLogs(logs, metadata=ada.metadata, timeout=20)]
    assert [(line.message, line.sequence) for line in lines] == [("two", 9), ("run completed", 10)]
    assert lines[0].time == sent[3].time


async def test_a_cancelled_watch_leaves_nothing_behind(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    before = len(asyncio.all_tasks())
    watches = [ada.watch(script.run.job_id) for _ in range(10)]
    for watch in watches:
        await take(watch, 5)
    [live] = mesh.gateway.live._jobs.values()
    assert live.watchers == 10
    for watch in watches:
        watch.cancel()
    await until(lambda: live.watchers == 0)
    del watch, watches
    gc.collect()
    await until(lambda: len(asyncio.all_tasks()) <= before)
    await agent.send(script.end())
    assert not mesh.gateway.live._jobs  # and of a job that has ended nothing stays in memory


async def test_a_watch_that_is_cancelled_just_as_something_happens(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    [live] = mesh.gateway.live._jobs.values()
    for epoch in range(1, 30):
        watch = ada.watch(script.run.job_id, after_sequence=4 + epoch)
        await until(lambda: live.watchers == 1)
        sending = asyncio.create_task(agent.send(script.metric(epoch)))
        watch.cancel()
        await sending
        await until(lambda: live.watchers == 0)
