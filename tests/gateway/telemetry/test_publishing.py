"""What agents publish: acknowledged when it is durable, kept once, in order."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from storage.database.events import EventRepository
from tests.gateway.conftest import Account
from tests.gateway.job_agent import ABANDON, AGENT, LOG, STOP, TRAINING, Script
from tests.gateway.job_client import JobClient, events_of, kinds, log_of, short, take
from tests.gateway.job_fixtures import Mesh
from tests.gateway.stand_in import MESH_TOKEN
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2


async def positions(mesh: Mesh, run: run_pb2.RunSpec) -> dict[str, int]:
    """The positions of a run's own sources as the database has them."""
    told = await mesh.database.read(lambda session: EventRepository(session).positions(run.run_id))
    return {source: position for source, position in told.items() if source != "gateway"}


async def test_hello_tells_what_is_durable(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada)
    script, agent = Script(run), mesh.connect(run)
    assert await agent.hello() == {}
    sent = [script.preparation(), script.start(), script.metric(1), script.line("one"), script.metric(2)]
    assert await agent.send(*sent) == {AGENT: 1, TRAINING: 3, LOG: 1}
    await agent.cut()
    again = mesh.connect(run)
    assert await again.hello() == {AGENT: 1, TRAINING: 3, LOG: 1}
    assert await again.heartbeat() == {AGENT: 1, TRAINING: 3, LOG: 1}


async def test_what_is_acknowledged_is_in_the_database(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    for epoch in range(1, 6):
        acknowledged = await agent.send(script.metric(epoch), script.line(f"epoch {epoch}"))
        # Read from the file, by another connection than the gateway's.
        assert await positions(mesh, script.run) == {"training": 1 + epoch, "log": epoch}
        assert acknowledged == {TRAINING: 1 + epoch, LOG: epoch}


async def test_the_same_batch_again_changes_nothing(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    batch = [script.metric(1, 0.9), script.validation(1), script.checkpoint(1, 0.9), script.line("one")]
    first = await agent.send(*batch)
    log, job = await log_of(mesh.database, job_id), await ada.get(job_id)
    metrics, checkpoints = await ada.metrics(job_id), await ada.checkpoints(job_id)
    assert await agent.send(*batch) == first
    assert await mesh.deliver(script.run, *batch) == first
    assert await log_of(mesh.database, job_id) == log
    assert await ada.metrics(job_id) == metrics and metrics.total_size == 1
    assert await ada.checkpoints(job_id) == checkpoints and checkpoints.total_size == 1
    now = await ada.get(job_id)
    job.ClearField("update_time")
    now.ClearField("update_time")
    assert now == job


async def test_of_an_overlapping_batch_only_the_new_is_added(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    one, two, three = (script.metric(epoch) for epoch in (1, 2, 3))
    line, other = script.line("a"), script.line("b")
    await agent.send(one, line)
    assert await agent.send(one, two, line, other, three) == {TRAINING: 4, LOG: 2}
    log = await log_of(mesh.database, script.run.job_id)
    assert kinds(log)[5:] == ["metric", "log", "metric", "log", "metric"]
    assert [event.metric.epoch for event in log if event.HasField("metric")] == [1, 2, 3]


async def test_a_gap_is_refused_whole(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    lost, kept = script.metric(1), script.metric(2)
    await agent.post(script.line("with it"), kept)
    error = from_rpc(await agent.refusal())
    assert (error.reason, error.metadata["source"], error.metadata["expected_source_sequence"]) == (
        "EVENTS_OUT_OF_ORDER",
        "training",
        "2",
    )
    assert await positions(mesh, script.run) == {"training": 1}
    again = mesh.connect(script.run)
    assert await again.hello() == {TRAINING: 1}  # so it sends again what is missing
    assert await again.send(lost, kept) == {TRAINING: 3}


async def test_sources_keep_their_order_side_by_side(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    sent = []
    for number in range(1, 20):
        sent.append(script.line(f"line {number}"))
        if number % 2:
            sent.append(script.progress(1, number))
        if number % 3 == 0:
            sent.append(script.preparation(f"file {number}"))
    for start in range(0, len(sent), 5):
        await agent.send(*sent[start : start + 5])
    log = [event for event in await log_of(mesh.database, script.run.job_id)][5:]
    assert len(log) == len(sent)
    for stored, told in zip(log, sent, strict=True):
        field = stored.WhichOneof("payload")
        assert field == told.WhichOneof("payload")
        assert stored.time == told.time and stored.run_id == script.run.run_id


async def test_many_batches_at_once_are_answered_one_by_one(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    for epoch in range(1, 21):
        await agent.post(script.metric(epoch))
    assert [(await agent.acknowledged())[TRAINING] for _ in range(20)] == [*range(2, 22)]


async def test_a_gateway_that_dies_before_it_acknowledges_keeps_what_it_committed(
    mesh: Mesh, ada: JobClient, alice: Account
) -> None:
    script, agent = await mesh.running(ada)
    batch = [script.metric(1, 0.9), script.checkpoint(1, 0.9), script.line("one")]
    await agent.post(*batch)
    async with asyncio.timeout(20):
        while "log" not in await positions(mesh, script.run):  # noqa: ASYNC110 - the file is what is looked at
            await asyncio.sleep(0.01)
    await mesh.reopen()  # nobody read the acknowledgement
    ada = mesh.client(alice, ada.dataset_id)
    again = mesh.connect(script.run)
    assert await again.hello() == {TRAINING: 2, AGENT: 1, LOG: 1}
    await again.send(*batch)
    await again.send(script.end())
    events = await ada.events(script.run.job_id)
    assert [event.sequence for event in events] == [*range(1, len(events) + 1)]
    assert kinds(events).count("metric") == kinds(events).count("checkpoint") == 1
    assert (await ada.checkpoints(script.run.job_id)).total_size == 1
    assert await ada.state(script.run.job_id) == "COMPLETED"


async def test_a_stream_that_breaks_while_its_batch_is_written_hides_nothing(mesh: Mesh, ada: JobClient) -> None:
    """The write that has begun ends, and those who watch hear of it."""
    script, agent = await mesh.running(ada)
    watch = ada.watch(script.run.job_id, after_sequence=5)
    released = threading.Event()
    waiting = asyncio.create_task(mesh.gateway.database.write(lambda session: released.wait(20)))
    await agent.post(script.metric(1), script.end())
    writes = mesh.gateway.database._writes
    assert isinstance(writes, ThreadPoolExecutor)
    await until(lambda: writes._work_queue.qsize() == 1)  # the batch stands behind the write that waits
    await agent.cut()
    contact = mesh.gateway.telemetry.expect(script.run.run_id, script.run.job_id)
    await until(lambda: not contact.connections)
    released.set()
    await waiting
    async with asyncio.timeout(20):
        told = [event async for event in events_of(watch)]
    assert kinds(told) == ["metric", "log", "attempt_end", "state_change"]
    assert await ada.state(script.run.job_id) == "COMPLETED"


async def test_two_streams_of_one_agent(mesh: Mesh, ada: JobClient) -> None:
    """The first hangs in a network that fell silent; the agent has connected anew."""
    script, silent = await mesh.running(ada)
    agent = mesh.connect(script.run)
    assert await agent.hello() == {TRAINING: 1}
    one = script.metric(1)
    await agent.send(one)
    assert await silent.send(one) == {TRAINING: 2}  # what was on its way arrives late
    await ada.stop(script.run.job_id)
    assert await agent.told() == STOP
    await silent.cut()
    await agent.send(script.end("STOPPED"))
    assert await ada.state(script.run.job_id) == "STOPPED"


async def test_an_agent_that_missed_the_last_acknowledgement_gets_it(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    end = script.end()
    await agent.post(end)
    await ada.until_state(script.run.job_id, "COMPLETED")
    await agent.cut()
    again = mesh.connect(script.run)
    assert (await again.hello())[AGENT] == 1
    # All is durable and nothing is left to do: it need not, and cannot, stay.
    assert await again.told() == ABANDON
    with pytest.raises(EOFError):
        await again.read()


async def test_the_stream_begins_with_hello(mesh: Mesh, ada: JobClient) -> None:
    script, _ = await mesh.running(ada)
    for first in (
        telemetry_pb2.PublishEventsRequest(heartbeat=telemetry_pb2.AgentHeartbeat()),
        telemetry_pb2.PublishEventsRequest(batch=telemetry_pb2.EventBatch(events=[script.metric(1)])),
    ):
        stranger = mesh.connect(script.run)
        await stranger.write(first)
        error = from_rpc(await stranger.refusal())
        assert (error.reason, error.violations[0].field) == ("INVALID_REQUEST", "hello")
    assert await positions(mesh, script.run) == {"training": 1}


async def test_the_mesh_is_closed_to_strangers(mesh: Mesh, ada: JobClient, alice: Account) -> None:
    script, _ = await mesh.running(ada)
    for token in ("wrong", alice.token, MESH_TOKEN):
        stranger = mesh.connect(script.run, token=token)
        error = await stranger.refusal()  # before it has said anything
        assert (error.code(), from_rpc(error).reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
    assert short((await ada.get(script.run.job_id)).state) == "RUNNING"


async def test_a_gateway_that_drains_sends_agents_away_kindly(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    watch = ada.watch(script.run.job_id)
    await take(watch, 5)
    mesh.gateway.drain_agents()
    try:
        await agent.read()
    except EOFError as ended:
        assert "closed the stream" in str(ended)
    mesh.gateway.drain_watches()
    try:
        await take(watch, 1)
    except grpc.aio.AioRpcError as error:
        told = from_rpc(error)
        assert (told.reason, told.metadata["last_sequence"]) == ("SHUTTING_DOWN", "5")
    assert await ada.state(script.run.job_id) == "RUNNING"
