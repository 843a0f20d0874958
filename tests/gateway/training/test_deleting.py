"""Deleting a job: what goes, what stays, and who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.training import garbage
from storage.database.tables import (
    Base,
    Checkpoint,
    Event,
    Garbage,
    Metric,
    RequestRecord,
    Run,
    SourcePosition,
    TrainingJob,
    ValidationResult,
)
from storage.objects import keys
from tests.gateway.calls import refused
from tests.gateway.checkpoints import listed, named, only_stored, published, stored
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import JobClient, answers_of, take
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.v1 import training_pb2

TABLES: tuple[type[Base], ...] = (
    TrainingJob, Run, Metric, Checkpoint, ValidationResult, Event, SourcePosition, RequestRecord, Garbage,
)  # fmt: skip


async def rows(mesh: Mesh) -> dict[str, int]:
    """How many rows the tables have that hold what comes of jobs."""

    def count(session: Session) -> dict[str, int]:
        return {table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES}

    return await mesh.database.read(count)


async def settled(mesh: Mesh) -> dict[str, int]:
    """The same, once all garbage is removed."""
    async with asyncio.timeout(20):
        while (found := await rows(mesh))["garbage"]:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.02)
    return found


async def ended(mesh: Mesh, ada: JobClient, outcome: str, **fields: object) -> tuple[Script, Connection]:
    """A job that ended so, with something of everything."""
    script, agent = await mesh.running(ada, **fields)
    event = published(mesh, script, 1)
    key = keys.validation_images("default", script.run.job_id, event.checkpoint.id)
    mesh.store.put(key, b"rows")
    await agent.send(script.metric(1), script.validation(1), script.line("one"), event)
    if outcome == "STOPPED":
        await ada.stop(script.run.job_id)
    await agent.send(script.end(outcome, "TRAINING_ERROR" if outcome == "FAILED" else ""))
    return script, agent


async def test_what_has_ended_goes_with_all_that_came_of_it(mesh: Mesh, ada: JobClient) -> None:
    kept, _ = await ended(mesh, ada, "COMPLETED")
    before = await settled(mesh)
    objects = {info.key for info in mesh.store.list("")}
    pending = (await ada.create()).id
    gone = [pending]
    for outcome in ("COMPLETED", "STOPPED", "FAILED"):
        script, agent = await ended(mesh, ada, outcome)
        await agent.cut()
        gone.append(script.run.job_id)
    assert (await ada.jobs()).total_size == 5
    for job_id in gone:
        await ada.delete(job_id)
        for call in (ada.get, ada.metrics, ada.logs, ada.checkpoints, ada.start, ada.stop):
            error = await refused(call(job_id))
            assert (error.reason, error.code) == ("JOB_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
        assert (await refused(ada.delete(job_id))).reason == "JOB_NOT_FOUND"
    assert [job.id for job in (await ada.jobs()).jobs] == [kept.run.job_id]
    assert await settled(mesh) == before
    await until(lambda: {info.key for info in mesh.store.list("")} == objects, 20)


async def test_what_waits_or_runs_must_be_stopped_first(mesh: Mesh, ada: JobClient) -> None:
    async def refusal(job_id: str, state: str) -> None:
        assert await ada.state(job_id) == state
        error = await refused(ada.delete(job_id))
        assert (error.reason, error.code) == ("JOB_IN_USE", grpc.StatusCode.FAILED_PRECONDITION)
        assert error.metadata["state"] == state in error.message
        assert await ada.state(job_id) == state

    run = await mesh.preparing(ada)
    await refusal(run.job_id, "PREPARING")
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    await refusal(run.job_id, "RUNNING")
    await ada.stop(run.job_id)
    await refusal(run.job_id, "STOPPING")
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    queued = (await ada.create()).id
    await ada.start(queued)
    await refusal(queued, "QUEUED")
    await ada.stop(queued)
    await ada.delete(queued)
    await agent.send(script.end("STOPPED"))
    await ada.delete(run.job_id)
    assert (await ada.jobs()).total_size == 0


async def test_a_job_whose_weights_another_one_takes_stays_until_that_has_ended(mesh: Mesh, ada: JobClient) -> None:
    source, _ = await ended(mesh, ada, "COMPLETED")
    [first] = named(source, 1)
    taker = (await ada.create()).id
    await ada.start(taker, checkpoint_id=first)
    script = Script(await mesh.run_of(taker))
    agent = await mesh.agent(script.run)
    for step in (script.preparation(), script.start()):
        await agent.send(step)
        error = await refused(ada.delete(source.run.job_id))
        assert (error.reason, error.code) == ("JOB_IN_USE", grpc.StatusCode.FAILED_PRECONDITION)
        assert (error.metadata["used_by"], error.metadata["checkpoint_id"]) == (taker, first)
        assert taker in error.message
    await agent.send(published(mesh, script, 1), script.end("FAILED", "TRAINING_ERROR"))
    await ada.delete(source.run.job_id)
    await only_stored(mesh, named(script, 1))
    # It needs nothing of the other one any more.
    await ada.start(taker, resume=True)
    again = await mesh.run_of(taker, attempt=2)
    assert (again.resume_from.checkpoint_id, again.HasField("start_from")) == (*named(script, 1), False)
    assert await listed(ada, taker) == [1]


async def test_a_checkpoint_of_a_deleted_job_is_none(mesh: Mesh, ada: JobClient) -> None:
    source, _ = await ended(mesh, ada, "COMPLETED")
    await ada.delete(source.run.job_id)
    other = (await ada.create()).id
    [checkpoint_id] = named(source, 1)
    assert (await refused(ada.start(other, checkpoint_id=checkpoint_id))).reason == "CHECKPOINT_NOT_FOUND"
    assert (await refused(ada.download(other, checkpoint_id=checkpoint_id))).reason == "CHECKPOINT_NOT_FOUND"
    assert (await refused(ada.download(source.run.job_id))).reason == "JOB_NOT_FOUND"


async def reason_at_the_end(call: Any) -> str:
    async def read() -> None:
        async for _ in answers_of(call):
            continue

    async with asyncio.timeout(20):
        return (await refused(read())).reason


async def test_watches_of_it_end(mesh: Mesh, ada: JobClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = (await ada.create()).id
    watches = [
        ada.watch(pending),
        ada.stub.WatchMetrics(training_pb2.WatchMetricsRequest(job_id=pending), metadata=ada.metadata, timeout=60),
    ]
    waiting = [asyncio.create_task(reason_at_the_end(watch)) for watch in watches]
    watched = mesh.gateway.live._jobs
    await until(lambda: pending in watched and watched[pending].watchers == 2)
    await ada.delete(pending)
    assert await asyncio.gather(*waiting) == ["JOB_NOT_FOUND"] * 2
    assert pending not in watched

    # One that is far behind, reading what was: it does not end as if that were all.
    monkeypatch.setattr("gateway.events.watching.PAGE_EVENTS", 20)
    script, agent = await mesh.running(ada)
    for _ in range(4):
        await agent.send(*(script.line("x" * 60_000) for _ in range(60)))
    await agent.send(script.end())
    behind = ada.watch(script.run.job_id)
    told = await take(behind, 3)
    await ada.delete(script.run.job_id)
    assert await reason_at_the_end(behind) == "JOB_NOT_FOUND"
    assert [event.sequence for event in told] == [1, 2, 3]


async def test_repeated_requests_make_no_second_job(mesh: Mesh, ada: JobClient) -> None:
    made = await ada.create(request_id="once")
    await ada.start(made.id, request_id="go")
    run = await mesh.run_of(made.id)
    await mesh.deliver(run, Script(run).end())
    await ada.delete(made.id)
    assert (await refused(ada.create(request_id="once"))).reason == "JOB_NOT_FOUND"
    assert (await refused(ada.start(made.id, request_id="go"))).reason == "JOB_NOT_FOUND"
    assert (await ada.jobs()).total_size == 0
    assert (await settled(mesh))["request_records"] == 1


async def test_an_agent_that_comes_back_is_told_to_give_up(mesh: Mesh, ada: JobClient) -> None:
    script, _ = await ended(mesh, ada, "STOPPED")
    await ada.delete(script.run.job_id)
    again = mesh.connect(script.run)
    await again.say_hello()
    assert from_rpc(await again.refusal()).reason == "TOKEN_INVALID"  # its token went with the run
    # What it stored in the meantime nobody keeps.
    await settled(mesh)
    published(mesh, script, 2)
    assert await mesh.gateway.sweeper.sweep() == 1
    await only_stored(mesh)


async def test_a_gateway_that_is_killed_takes_all_or_nothing(
    closed_mesh: Mesh, alice: Account, pets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = closed_mesh
    monkeypatch.setattr(garbage, "EVENTS_AT_ONCE", 3)
    await mesh.open(GatewayTimes(checkpoint_removal_delay_seconds=3600))
    ada = mesh.client(alice, pets)
    script, _ = await ended(mesh, ada, "COMPLETED")

    def fail(*_: object) -> bool:
        raise RuntimeError("killed in the middle")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.training.changes.JobTransaction.delete", fail)
        assert (await refused(ada.delete(script.run.job_id))).reason == "INTERNAL"
    assert (await ada.get(script.run.job_id)).best_checkpoint_id and (await rows(mesh))["garbage"] == 0
    await ada.delete(script.run.job_id)
    assert stored(mesh) == named(script, 1)
    assert (await rows(mesh))["training_jobs"] == 0
    await mesh.reopen()
    found = await settled(mesh)
    assert {table for table, count in found.items() if count} == set()
    assert [*mesh.store.list("")] == []
