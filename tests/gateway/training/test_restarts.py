"""Attempts that fail: which are followed by another, when, from where, and what is told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.training.restarts import MENDED_BY_A_RESTART, NOT_MENDED_BY_A_RESTART, RestartPolicy
from storage.database.jobs import JobRepository
from storage.database.tables import Checkpoint, now
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import ABANDON, Connection, Script
from tests.gateway.job_client import JobClient, kinds, log_of, short, transitions
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.training.test_resuming import named, train
from tests.gateway.waiting import until
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2, training_pb2

KILLED = "TRAINING_PROCESS_KILLED"
# Restarts come at once; after long enough to be seen waiting; or never as long as a test lasts.
QUICK = GatewayTimes(restart_delay_seconds=0.2, checkpoint_every_n_epochs=1)
SOON = GatewayTimes(restart_delay_seconds=1.5, checkpoint_every_n_epochs=1)
SLOW = GatewayTimes(restart_delay_seconds=600, checkpoint_every_n_epochs=1)


async def opened(mesh: Mesh, alice: Account, pets: str, times: GatewayTimes = QUICK) -> JobClient:
    # As many slots as a test has runs: nobody waits for the gateway to count them again.
    mesh.trainer.free_slots = 100
    await mesh.open(times)
    return mesh.client(alice, pets)


@pytest.fixture
async def quick(closed_mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Alice's calls of a gateway that restarts at once."""
    return await opened(closed_mesh, alice, pets)


@pytest.fixture
async def soon(closed_mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Alice's calls of a gateway whose restarts can be seen waiting."""
    return await opened(closed_mesh, alice, pets, SOON)


@pytest.fixture
async def slow(closed_mesh: Mesh, alice: Account, pets: str) -> JobClient:
    """Alice's calls of a gateway that restarts much later."""
    return await opened(closed_mesh, alice, pets, SLOW)


async def begun(mesh: Mesh, job_id: str, attempt: int) -> tuple[Script, Connection]:
    """An attempt whose training has begun."""
    run = await mesh.run_of(job_id, attempt=attempt)
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    return script, agent


async def test_a_killed_training_goes_on_from_its_last_checkpoint(closed_mesh: Mesh, soon: JobClient) -> None:
    mesh, ada = closed_mesh, soon
    script, agent = await mesh.running(ada, epochs=5)
    job_id, first = script.run.job_id, script.run
    await train(script, 0.5, 0.9, send=agent.send)
    # A part of the third epoch, and its metrics but no checkpoint: the next attempt tells it again.
    await agent.send(script.metric(3, 0.99), script.validation(3), script.end("FAILED", KILLED))
    waiting = await ada.get(job_id)
    assert (short(waiting.state), waiting.restarts, waiting.attempt) == ("QUEUED", 1, 1)
    assert not waiting.HasField("failure") and not waiting.HasField("end_time")
    due = waiting.next_attempt_time.ToDatetime(tzinfo=now().tzinfo)

    again, agent = await begun(mesh, job_id, 2)
    assert (again.run.resume_from.checkpoint_id, again.run.resume_from.epoch) == (named(first, 2), 2)
    assert again.run.best_metric == 0.9
    job = await ada.get(job_id)
    assert (short(job.state), job.restarts, job.attempt, job.HasField("next_attempt_time")) == ("RUNNING", 1, 2, False)
    assert (job.current_epoch, job.progress, job.best_metric) == (2, 0.4, 0.9)
    assert (job.best_checkpoint_id, job.last_checkpoint_id) == (named(first, 2), named(first, 2))
    assert [point.epoch for point in (await ada.metrics(job_id)).metrics] == [1, 2]
    await train(again, 0.6, 0.7, 0.8, first=3, send=agent.send)
    await agent.send(again.end())
    done = await ada.get(job_id)
    assert (short(done.state), done.restarts, done.best_metric) == ("COMPLETED", 1, 0.9)
    told = [(point.epoch, point.accuracy) for point in (await ada.metrics(job_id)).metrics]
    assert told == [(1, 0.5), (2, 0.9), (3, 0.6), (4, 0.7), (5, 0.8)]
    assert [item.epoch for item in (await ada.checkpoints(job_id)).checkpoints] == [1, 2, 3, 4, 5]

    events = await log_of(mesh.database, job_id)
    at = next(index for index, event in enumerate(events) if event.HasField("attempt_end"))
    end = events[at].attempt_end
    assert (end.attempt, end.outcome, end.failure.reason, end.restarts_left) == (
        1, event_pb2.ATTEMPT_OUTCOME_FAILED, KILLED, 1,
    )  # fmt: skip
    assert end.next_attempt_time == waiting.next_attempt_time
    assert kinds(events)[at : at + 5] == ["attempt_end", "state_change", "state_change", "attempt_start", "roll_back"]
    assert transitions(events[at:])[:2] == [("RUNNING", "QUEUED"), ("QUEUED", "PREPARING")]
    start, back = events[at + 3].attempt_start, events[at + 4].roll_back
    assert (start.attempt, start.checkpoint_id, start.warm_start, back.to_epoch) == (2, named(first, 2), False, 2)
    # Never before its time, and the log has both tellings of the third epoch.
    assert events[at + 3].time.ToDatetime(tzinfo=due.tzinfo) >= due
    assert [event.metric.epoch for event in events if event.HasField("metric")] == [1, 2, 3, 3, 4, 5]
    assert [event.sequence for event in events] == [*range(1, len(events) + 1)]
    assert (events[-2].attempt_end.restarts_left, events[-2].attempt_end.HasField("next_attempt_time")) == (1, False)


async def test_after_the_last_restart_the_job_has_failed_and_a_start_counts_anew(
    closed_mesh: Mesh, quick: JobClient
) -> None:
    mesh, ada = closed_mesh, quick
    script, agent = await mesh.running(ada, max_restarts=2)
    job_id = script.run.job_id
    waits = []
    for attempt in (1, 2, 3):
        if attempt > 1:
            script, agent = await begun(mesh, job_id, attempt)
        await agent.send(script.metric(1), script.checkpoint(1), script.end("FAILED", KILLED))
        [*_, end] = [event for event in await log_of(mesh.database, job_id) if event.HasField("attempt_end")]
        assert end.attempt_end.restarts_left == (1, 0, 0)[attempt - 1]
        if end.attempt_end.HasField("next_attempt_time"):
            waits.append(end.attempt_end.next_attempt_time.ToNanoseconds() - end.time.ToNanoseconds())
    # The second wait is twice the first one; an end is logged a moment after its time was taken.
    first_wait, second_wait = waits
    assert 0 < first_wait <= 2e8 < second_wait <= 4e8
    failed = await ada.get(job_id)
    assert (short(failed.state), failed.restarts, failed.failure.reason) == ("FAILED", 2, KILLED)
    assert failed.failure.metadata["restarts"] == "2" and "restarted 2 of 2 times" in failed.failure.message
    assert "`resume`" in failed.failure.message and failed.HasField("end_time")

    started = await ada.start(job_id, resume=True)
    assert (started.restarts, started.HasField("failure")) == (0, False)
    script, agent = await begun(mesh, job_id, 4)
    await agent.send(script.end("FAILED", "TRAINING_ERROR"))
    [*_, end] = [event for event in await log_of(mesh.database, job_id) if event.HasField("attempt_end")]
    assert (end.attempt_end.restarts_left, (await ada.get(job_id)).failure.message) == (2, "it was TRAINING_ERROR")

    page = await ada.attempts(job_id, page_size=3)
    assert (page.total_size, [item.attempt for item in page.attempts]) == (4, [1, 2, 3])
    rest = await ada.attempts(job_id, page_size=3, page_token=page.next_page_token)
    assert ([item.attempt for item in rest.attempts], rest.next_page_token) == ([4], "")
    first, second = page.attempts[:2]
    assert (first.outcome, first.failure.reason) == (event_pb2.ATTEMPT_OUTCOME_FAILED, KILLED)
    assert (first.first_epoch, first.checkpoint_id, first.trainer_address) == (1, "", mesh.trainer.address)
    assert first.start_time.ToNanoseconds() < first.end_time.ToNanoseconds() < second.start_time.ToNanoseconds()
    assert (second.first_epoch, second.checkpoint_id) == (2, f"{first.run_id[-12:]}-1")


async def test_only_what_another_try_may_mend_is_tried_again(closed_mesh: Mesh, slow: JobClient) -> None:
    mesh, ada = closed_mesh, slow
    expected = {reason: "QUEUED" for reason in MENDED_BY_A_RESTART} | {
        reason: "FAILED" for reason in (*NOT_MENDED_BY_A_RESTART, "A_REASON_OF_ANOTHER_RELEASE")
    }
    found = {}
    for reason in expected:
        script, agent = await mesh.running(ada)
        await agent.send(script.checkpoint(1), script.end("FAILED", reason))
        await agent.cut()
        job = await ada.get(script.run.job_id)
        found[reason] = short(job.state)
        [end] = [event.attempt_end for event in await log_of(mesh.database, job.id) if event.HasField("attempt_end")]
        assert (end.failure.reason, end.restarts_left) == (reason, 1 if found[reason] == "QUEUED" else 2)
        assert end.HasField("next_attempt_time") == job.HasField("next_attempt_time") == (found[reason] == "QUEUED")
        if found[reason] == "FAILED":
            assert (job.failure.reason, "resume" in job.failure.message) == (reason, False)
    assert found == expected
    # The trainer's own fault, told as a refusal: it may do next time.
    script, agent = await mesh.running(ada)
    await agent.send(script.end("FAILED", "START_REFUSED", cause="INTERNAL"))
    assert await ada.state(script.run.job_id) == "QUEUED"
    # None is allowed.
    script, agent = await mesh.running(ada, max_restarts=0)
    await agent.send(script.checkpoint(1), script.end("FAILED", KILLED))
    failed = await ada.get(script.run.job_id)
    assert (short(failed.state), failed.restarts, dict(failed.failure.metadata)) == ("FAILED", 0, {})
    assert "`resume`" in failed.failure.message


async def test_a_job_that_waits_for_its_restart_is_stopped_at_once(closed_mesh: Mesh, soon: JobClient) -> None:
    mesh, ada = closed_mesh, soon
    script, agent = await mesh.running(ada)
    await ada.stop(script.run.job_id)
    await agent.send(script.end("FAILED", KILLED))
    # Asked to stop, it is not started again.
    assert await ada.state(script.run.job_id) == "FAILED"

    script, agent = await mesh.running(ada)
    await agent.send(script.checkpoint(1), script.end("FAILED", KILLED))
    stopped = await ada.stop(script.run.job_id)
    assert (short(stopped.state), stopped.HasField("next_attempt_time")) == ("STOPPED", False)
    asked = mesh.trainer.asked["Describe"]
    await until(lambda: mesh.trainer.asked["Describe"] >= asked + 5)  # long after the restart was due
    assert (await ada.get(script.run.job_id)).attempt == 1
    await ada.start(script.run.job_id, resume=True)
    assert (await mesh.run_of(script.run.job_id, attempt=2)).resume_from.checkpoint_id == named(script.run, 1)


async def test_without_a_checkpoint_a_restart_begins_as_the_job_was_started(
    closed_mesh: Mesh, quick: JobClient
) -> None:
    mesh, ada = closed_mesh, quick
    source, agent = await mesh.running(ada)
    await train(source, 0.5, 0.6, send=agent.send)
    await agent.send(source.end("FAILED", "TRAINING_ERROR"))

    async def restarted(job_id: str, attempt: int) -> run_pb2.RunSpec:
        script, agent = await begun(mesh, job_id, attempt)
        # Its own checkpoint has weights alone, and cannot be gone on from.
        last = script.run.resume_from.epoch + 1
        await agent.send(script.metric(last), script.checkpoint(last, resumable=False), script.end("FAILED", KILLED))
        return await mesh.run_of(job_id, attempt + 1)

    fresh = await ada.create()
    await ada.start(fresh.id)
    run = await restarted(fresh.id, 1)
    assert not run.HasField("resume_from") and not run.HasField("start_from") and not run.HasField("best_metric")
    assert (await ada.metrics(fresh.id)).total_size == 0
    warm = await ada.create()
    await ada.start(warm.id, checkpoint_id=named(source.run, 2))
    run = await restarted(warm.id, 1)
    assert (run.start_from.checkpoint_id, run.HasField("resume_from")) == (named(source.run, 2), False)
    # From the one that the caller chose, not from the newer one of an earlier start.
    job_id = source.run.job_id
    await ada.start(job_id, resume=True, checkpoint_id=named(source.run, 1))
    run = await restarted(job_id, 2)
    assert (run.resume_from.checkpoint_id, run.HasField("start_from")) == (named(source.run, 1), False)

    # With a checkpoint of its own the warm start needs the other job's no more.
    script, agent = await begun(mesh, warm.id, 2)
    await agent.send(script.metric(1), script.checkpoint(1), script.end("FAILED", KILLED))
    run = await mesh.run_of(warm.id, attempt=3)
    assert (run.resume_from.checkpoint_id, run.HasField("start_from")) == (named(script.run, 1), False)
    listed = (await ada.attempts(warm.id)).attempts
    assert [(item.checkpoint_id, item.warm_start, item.first_epoch) for item in listed] == [
        (named(source.run, 2), True, 1),
        (named(source.run, 2), True, 1),
        (named(script.run, 1), False, 2),
    ]


async def test_a_damaged_checkpoint_is_passed_over(closed_mesh: Mesh, quick: JobClient) -> None:
    mesh, ada = closed_mesh, quick
    script, agent = await mesh.running(ada, epochs=5, max_restarts=3)
    job_id, first = script.run.job_id, script.run
    await train(script, 0.5, 0.9, 0.7, send=agent.send)
    await agent.send(script.end("FAILED", KILLED))
    run = await mesh.run_of(job_id, attempt=2)
    assert run.resume_from.checkpoint_id == named(first, 3)
    await mesh.deliver(run, Script(run).end("FAILED", "STORAGE_CORRUPT", checkpoint_id=named(first, 3)))
    again, agent = await begun(mesh, job_id, 3)
    assert again.run.resume_from.checkpoint_id == named(first, 2)
    assert [point.epoch for point in (await ada.metrics(job_id)).metrics] == [1, 2]
    # The epoch that is told again has one checkpoint in the list, the last one.
    await train(again, 0.8, first=3, send=agent.send)
    listed = (await ada.checkpoints(job_id)).checkpoints
    assert [(item.epoch, item.id) for item in listed] == [
        (1, named(first, 1)), (2, named(first, 2)), (3, named(again.run, 3)),
    ]  # fmt: skip
    await agent.send(again.end("FAILED", KILLED))
    run = await mesh.run_of(job_id, attempt=4)
    assert run.resume_from.checkpoint_id == named(again.run, 3) and run.best_metric == 0.9

    # One that a caller chose is his to replace.
    await mesh.deliver(run, Script(run).end("FAILED", "TRAINING_ERROR"))
    chosen = named(again.run, 3)
    await ada.start(job_id, resume=True, checkpoint_id=chosen)
    run = await mesh.run_of(job_id, attempt=5)
    assert run.resume_from.checkpoint_id == chosen
    await mesh.deliver(run, Script(run).end("FAILED", "STORAGE_CORRUPT", checkpoint_id=chosen))
    failed = await ada.get(job_id)
    assert (short(failed.state), failed.failure.reason) == ("FAILED", "STORAGE_CORRUPT")


async def test_a_lost_machine_is_replaced_and_comes_back_too_late(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    mesh = closed_mesh
    times = GatewayTimes(contact_lost_seconds=0.3, lease_seconds=2.0, restart_delay_seconds=0.2)
    ada = await opened(mesh, alice, pets, times)
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(script.metric(1), script.checkpoint(1))
    await agent.cut()
    again, new = await begun(mesh, job_id, 2)
    assert again.run.resume_from.checkpoint_id == named(script.run, 1)
    late = mesh.connect(script.run)
    await late.say_hello()
    assert await late.told() == ABANDON
    await new.send(again.metric(2), again.end())
    job = await ada.get(job_id)
    assert (short(job.state), job.restarts, job.HasField("contact_lost_time")) == ("COMPLETED", 1, False)
    [lost, done] = (await ada.attempts(job_id)).attempts
    assert (lost.failure.reason, lost.failure.metadata["run_id"]) == ("LEASE_EXPIRED", script.run.run_id)
    assert (done.outcome, done.HasField("failure")) == (event_pb2.ATTEMPT_OUTCOME_COMPLETED, False)


async def test_a_trainer_that_shuts_down_stops_the_run_and_not_the_job(closed_mesh: Mesh, quick: JobClient) -> None:
    mesh, ada = closed_mesh, quick
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(script.metric(1), script.checkpoint(1), script.end("STOPPED"))
    run = await mesh.run_of(job_id, attempt=2)
    assert run.resume_from.epoch == 1
    [stopped, _] = (await ada.attempts(job_id)).attempts
    assert (stopped.outcome, stopped.failure.reason) == (event_pb2.ATTEMPT_OUTCOME_STOPPED, "SHUTTING_DOWN")


async def test_a_gateway_that_dies_meanwhile_restarts_what_is_due(
    closed_mesh: Mesh, quick: JobClient, alice: Account
) -> None:
    mesh, ada = closed_mesh, quick
    script, agent = await mesh.running(ada)
    await agent.send(script.checkpoint(1), script.end("FAILED", KILLED))
    await mesh.gateway.kill()
    await mesh.open(QUICK)
    ada = mesh.client(alice, ada.dataset_id)
    run = await mesh.run_of(script.run.job_id, attempt=2)
    assert run.resume_from.checkpoint_id == named(script.run, 1)
    job = await ada.get(script.run.job_id)
    assert (short(job.state), job.last_checkpoint_id) == ("PREPARING", named(script.run, 1))


async def test_a_checkpoint_that_was_deleted_fails_the_job_that_needs_it(closed_mesh: Mesh, quick: JobClient) -> None:
    mesh, ada = closed_mesh, quick

    async def delete(checkpoint_id: str) -> None:
        # What a retention, or the deletion of the other job, does.
        await mesh.database.write(lambda session: session.delete(session.get_one(Checkpoint, checkpoint_id)))

    source, agent = await mesh.running(ada)
    await train(source, 0.5, 0.6, send=agent.send)
    await agent.send(source.end("FAILED", "TRAINING_ERROR"))
    # Deleted while the job is queued.
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    warm = await ada.create()
    await ada.start(warm.id, checkpoint_id=named(source.run, 1))
    await delete(named(source.run, 1))
    mesh.trainer.free_slots = 100
    failed = await ada.until_state(warm.id, "FAILED")
    assert (failed.failure.reason, failed.attempt) == ("CHECKPOINT_NOT_FOUND", 0)
    assert failed.failure.metadata["checkpoint_id"] == named(source.run, 1)
    assert transitions(await log_of(mesh.database, warm.id)) == [("PENDING", "QUEUED"), ("QUEUED", "FAILED")]

    # Deleted while the trainer is asked to start it: the next gateway ends that, and repeats the other start.
    mesh.trainer.answers_starts.clear()
    beside = await ada.create()
    await ada.start(beside.id)
    other = await mesh.run_of(beside.id)
    job_id = source.run.job_id
    await ada.start(job_id, resume=True, checkpoint_id=named(source.run, 2))
    await mesh.run_of(job_id, attempt=2)
    await delete(named(source.run, 2))
    await mesh.gateway.kill()
    mesh.trainer.runs.clear()
    mesh.trainer.answers_starts.set()
    await mesh.open(QUICK)
    await until(lambda: other.run_id in mesh.trainer.runs, 20)
    jobs = await mesh.database.read(lambda session: JobRepository(session).in_states(["FAILED"]))
    [gone] = [job.failure for job in jobs if job.id == job_id]
    assert gone is not None and gone["reason"] == "CHECKPOINT_NOT_FOUND"
    assert list(mesh.trainer.runs) == [other.run_id]


async def test_the_attempts_are_the_callers(closed_mesh: Mesh, quick: JobClient, bob: Account) -> None:
    script, _ = await closed_mesh.running(quick)
    ben = closed_mesh.client(bob, quick.dataset_id)
    assert (await refused(ben.attempts(script.run.job_id))).reason == "JOB_NOT_FOUND"
    assert (await refused(quick.attempts("job_none"))).reason == "JOB_NOT_FOUND"
    error = await refused(quick.attempts(script.run.job_id, page_size=-1))
    assert [violation.field for violation in error.violations] == ["page_size"]
    error = await refused(quick.attempts(script.run.job_id, page_token="abc"))
    assert [violation.field for violation in error.violations] == ["page_token"]
    [going] = (await quick.attempts(script.run.job_id)).attempts
    assert (going.run_id, going.outcome, going.HasField("end_time")) == (script.run.run_id, 0, False)
    assert going == training_pb2.Attempt(
        attempt=1,
        run_id=script.run.run_id,
        trainer_address=closed_mesh.trainer.address,
        start_time=going.start_time,
        first_epoch=1,
    )


def test_waits_double_up_to_the_longest() -> None:
    policy = RestartPolicy(first_delay_seconds=10, longest_delay_seconds=100)
    assert [policy.delay_seconds(restarts) for restarts in (0, 1, 2, 3, 4, 99)] == [10, 20, 40, 80, 100, 100]
    assert timedelta(seconds=RestartPolicy().delay_seconds(10_000)) == timedelta(minutes=10)
    assert RestartPolicy(0, 100).delay_seconds(5) == 0
