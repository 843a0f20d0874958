"""Events are encoded once and passed on as bytes: a client cannot tell."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.enums import EVENT_KINDS
from gateway.events.encoding import KINDS
from gateway.events.live import LiveEvent
from storage.database.events import EventRepository
from tests.gateway.job_client import JobClient, log_of
from tests.gateway.job_fixtures import Mesh
from visionmesh.v1 import event_pb2, training_pb2


async def told_of_everything(mesh: Mesh, ada: JobClient) -> str:
    """A job whose log holds an event of every kind, one of them long."""
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(
        script.preparation(),
        script.progress(1, 1),
        script.resources(cpu_percent=50.0),
        script.metric(1, 0.5, val_loss=0.5),
        script.line("x" * 100_000),
        script.line(""),
        script.line("größer ✓"),
        script.validation(1),
        script.checkpoint(1),
        script.end("FAILED", "TRAINING_ERROR"),
    )
    await ada.start(job_id, resume=True)
    await mesh.run_of(job_id, attempt=2)
    return job_id


def test_every_payload_has_a_kind() -> None:
    payloads = event_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["payload"].fields
    assert {field.name for field in payloads} == set(KINDS)
    assert set(KINDS.values()) == set(EVENT_KINDS.names)


async def test_a_response_is_what_the_ordinary_way_would_build(mesh: Mesh, ada: JobClient) -> None:
    job_id = await told_of_everything(mesh, ada)
    stored = await mesh.database.read(lambda session: EventRepository(session).page(job_id, 0, 1000))
    assert {event.kind for event in stored} == set(EVENT_KINDS.names)
    for event in stored:
        decoded = event_pb2.JobEvent.FromString(event.payload)
        assert decoded.sequence == event.sequence
        assert KINDS[decoded.WhichOneof("payload") or ""] == event.kind
        live = LiveEvent(event)
        built = training_pb2.WatchJobResponse(event=decoded)
        assert training_pb2.WatchJobResponse.FromString(live.watch_job) == built
        assert live.watch_job == training_pb2.WatchJobResponse(event=decoded).SerializeToString()
        if event.kind == "METRIC":
            assert training_pb2.WatchMetricsResponse.FromString(live.watch_metrics).metric == decoded.metric
        if event.kind == "LOG":
            assert training_pb2.WatchLogsResponse.FromString(live.watch_logs).log == decoded.log
        assert live.watch_job is live.watch_job  # made once for all watchers


async def test_a_client_gets_those_responses(mesh: Mesh, ada: JobClient) -> None:
    job_id = await told_of_everything(mesh, ada)
    log = await log_of(mesh.database, job_id)
    watch = ada.watch(job_id)
    answers = [await watch.read() for _ in log]
    assert answers == [training_pb2.WatchJobResponse(event=event) for event in log]
    watch.cancel()


async def test_what_is_read_on_its_own_carries_its_place_and_time(mesh: Mesh, ada: JobClient) -> None:
    job_id = await told_of_everything(mesh, ada)
    for event in await log_of(mesh.database, job_id):
        kind = event.WhichOneof("payload") or ""
        part: Any = getattr(event, kind)
        if kind in ("metric", "log", "validation"):
            assert part.sequence == event.sequence
        if kind in ("metric", "log"):
            assert part.time == event.time


@pytest.mark.parametrize("narrow", ["WatchMetrics", "WatchLogs"])
async def test_narrowed_watches_hold_nothing_else(mesh: Mesh, ada: JobClient, narrow: str) -> None:
    job_id = await told_of_everything(mesh, ada)
    log = await log_of(mesh.database, job_id)
    request = {"WatchMetrics": training_pb2.WatchMetricsRequest, "WatchLogs": training_pb2.WatchLogsRequest}[narrow]
    item = {"WatchMetrics": "metric", "WatchLogs": "log"}[narrow]
    expected = [getattr(event, item) for event in log if event.HasField(item)]
    watch = getattr(ada.stub, narrow)(request(job_id=job_id), metadata=ada.metadata, timeout=20)
    reads: list[Awaitable[Any]] = [watch.read() for _ in expected]
    assert [getattr(await read, item) for read in reads] == expected
    watch.cancel()
