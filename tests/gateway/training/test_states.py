"""The life of a job: every transition of the contract's table, and those that are refused."""

from __future__ import annotations

import grpc
import pytest

from tests.gateway.calls import refused
from tests.gateway.job_agent import STOP, Connection, Script
from tests.gateway.job_client import JobClient, kinds, log_of, short, transitions
from tests.gateway.job_fixtures import Mesh


async def test_a_job_from_creation_to_completion(mesh: Mesh, ada: JobClient) -> None:
    job = await ada.create()
    queued = await ada.start(job.id)
    assert (short(queued.state), queued.HasField("queue_time")) == ("QUEUED", True)
    run = await mesh.run_of(job.id)
    preparing = await ada.get(job.id)
    assert (short(preparing.state), preparing.attempt, preparing.current_run_id) == ("PREPARING", 1, run.run_id)
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.preparation())
    assert await ada.state(job.id) == "PREPARING"
    await agent.send(script.start())
    running = await ada.get(job.id)
    assert (short(running.state), running.HasField("start_time")) == ("RUNNING", True)
    await agent.send(script.metric(3, 0.9), script.checkpoint(3, 0.9), script.end())
    done = await ada.get(job.id)
    assert (short(done.state), done.progress, done.HasField("end_time")) == ("COMPLETED", 1.0, True)
    assert not done.HasField("failure")

    events = await log_of(mesh.database, job.id)
    assert transitions(events) == [
        ("PENDING", "QUEUED"),
        ("QUEUED", "PREPARING"),
        ("PREPARING", "RUNNING"),
        ("RUNNING", "COMPLETED"),
    ]
    assert kinds(events) == [
        "state_change",
        "state_change",
        "attempt_start",
        "preparation",
        "training_start",
        "state_change",
        "metric",
        "checkpoint",
        "log",  # what the agent said of the end
        "attempt_end",
        "state_change",
    ]
    assert [event.sequence for event in events] == [*range(1, 12)]
    assert done.last_sequence == 11
    assert {event.job_id for event in events} == {job.id}
    assert [event.run_id for event in events] == ["", *[run.run_id] * 10]


async def test_the_run_is_told_all_it_needs(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada, epochs=7, batch_size=5, learning_rate=0.5, seed=9, project_id="pets")
    assert (run.epochs, run.batch_size, run.learning_rate, run.seed, run.image_size) == (7, 5, 0.5, 9, 32)
    assert (run.project_id, run.model_name, run.dataset_id, run.manifest_digest) == (
        "pets",
        "count_a",
        ada.dataset_id,
        "ab" * 32,
    )
    assert (run.primary_metric, run.attempt, dict(run.config)) == ("accuracy", 1, {"counter.step": 1})
    assert not run.HasField("resume_from") and not run.HasField("best_metric")


async def ended(mesh: Mesh, ada: JobClient, outcome: str) -> str:
    """A job that ended so; with a checkpoint of epoch 1."""
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(script.checkpoint(1))
    if outcome == "STOPPED":
        await ada.stop(job_id)
    await agent.send(script.end(outcome, "TRAINING_ERROR" if outcome == "FAILED" else ""))
    assert await ada.state(job_id) == outcome
    await agent.cut()
    return job_id


async def test_stopping_what_never_ran(mesh: Mesh, ada: JobClient) -> None:
    pending = await ada.create()
    stopped = await ada.stop(pending.id)
    assert (short(stopped.state), stopped.HasField("end_time")) == ("STOPPED", True)
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    waiting = await ada.create()
    await ada.start(waiting.id)
    assert short((await ada.stop(waiting.id)).state) == "STOPPED"
    assert transitions(await log_of(mesh.database, waiting.id)) == [("PENDING", "QUEUED"), ("QUEUED", "STOPPED")]
    mesh.trainer.free_slots = 2
    assert short((await ada.start(pending.id)).state) == "QUEUED"  # a stopped job starts again
    await mesh.run_of(pending.id)
    assert [run.job_id for run in mesh.trainer.runs.values()] == [pending.id]


async def test_stopping_a_run(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    stopping = await ada.stop(job_id)
    assert (short(stopping.state), stopping.HasField("end_time")) == ("STOPPING", False)
    assert short((await ada.stop(job_id)).state) == "STOPPING"
    assert await agent.told() == STOP
    await agent.send(script.checkpoint(1), script.end("STOPPED"))
    stopped = await ada.get(job_id)
    assert (short(stopped.state), stopped.HasField("end_time")) == ("STOPPED", True)
    assert short((await ada.stop(job_id)).state) == "STOPPED"
    assert transitions(await log_of(mesh.database, job_id))[2:] == [
        ("PREPARING", "RUNNING"),
        ("RUNNING", "STOPPING"),
        ("STOPPING", "STOPPED"),
    ]


@pytest.mark.parametrize("outcome", ["STOPPED", "COMPLETED", "FAILED"])
async def test_how_a_stop_may_end(mesh: Mesh, ada: JobClient, outcome: str) -> None:
    run = await mesh.preparing(ada)
    await ada.stop(run.job_id)
    script, agent = Script(run), await mesh.agent(run)
    assert await agent.told() == STOP
    await agent.send(script.start())  # it began before it heard
    assert await ada.state(run.job_id) == "STOPPING"
    await agent.send(script.end(outcome, "TRAINING_DIVERGED" if outcome == "FAILED" else ""))
    assert await ada.state(run.job_id) == outcome
    assert transitions(await log_of(mesh.database, run.job_id))[2:] == [
        ("PREPARING", "STOPPING"),
        ("STOPPING", outcome),
    ]


async def test_a_training_that_stopped_early_shows_the_epoch_it_ended_with(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada)
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start(), script.metric(1), script.checkpoint(1), script.end("COMPLETED"))
    job = await ada.get(run.job_id)
    assert short(job.state) == "COMPLETED"
    # There is nothing left to do, and nobody says that all epochs were done.
    assert (job.progress, job.current_epoch, job.epochs) == (1.0, 1, 100)


async def test_a_run_that_fails_says_why(mesh: Mesh, ada: JobClient) -> None:
    for began in (True, False):
        run = await mesh.preparing(ada)
        script, agent = Script(run), await mesh.agent(run)
        if began:
            await agent.send(script.start())
        await agent.send(script.end("FAILED", "TRAINING_ERROR"))
        job = await ada.get(run.job_id)
        assert (short(job.state), job.failure.reason) == ("FAILED", "TRAINING_ERROR")
        assert job.failure.message == "it was TRAINING_ERROR"
        last = (await log_of(mesh.database, run.job_id))[-1].state_change
        assert last.failure == job.failure
        again = await ada.start(run.job_id)
        assert not again.HasField("failure") and not again.HasField("end_time")
        await mesh.run_of(run.job_id, attempt=2)


async def test_a_trainer_that_stops_its_runs(mesh: Mesh, ada: JobClient) -> None:
    """Nobody asked for the stop: the trainer is shutting down, and the job may not be restarted."""
    script, agent = await mesh.running(ada, max_restarts=0)
    await agent.send(script.end("STOPPED"))
    assert transitions(await log_of(mesh.database, script.run.job_id))[3:] == [
        ("RUNNING", "STOPPING"),
        ("STOPPING", "STOPPED"),
    ]


async def test_nothing_was_left_to_train(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada)
    await mesh.deliver(run, Script(run).end())
    assert transitions(await log_of(mesh.database, run.job_id))[2:] == [
        ("PREPARING", "RUNNING"),
        ("RUNNING", "COMPLETED"),
    ]


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED"])
async def test_what_has_ended_cannot_be_stopped(mesh: Mesh, ada: JobClient, outcome: str) -> None:
    job_id = await ended(mesh, ada, outcome)
    before = await log_of(mesh.database, job_id)
    error = await refused(ada.stop(job_id))
    assert (error.reason, error.code) == ("INVALID_STATE_TRANSITION", grpc.StatusCode.FAILED_PRECONDITION)
    assert (error.metadata["from"], error.metadata["to"]) == (outcome, "STOPPING")
    assert outcome in error.message and "STOPPING" in error.message
    assert await log_of(mesh.database, job_id) == before


async def test_what_cannot_be_started(mesh: Mesh, ada: JobClient) -> None:
    async def refusal(job_id: str, state: str) -> None:
        assert await ada.state(job_id) == state
        for resume in (False, True):
            error = await refused(ada.start(job_id, resume=resume))
            assert (error.reason, error.code) == ("INVALID_STATE_TRANSITION", grpc.StatusCode.FAILED_PRECONDITION)
            assert (error.metadata["from"], error.metadata["to"]) == (state, "QUEUED")

    run = await mesh.preparing(ada)
    await refusal(run.job_id, "PREPARING")
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    await refusal(run.job_id, "RUNNING")
    await ada.stop(run.job_id)
    await refusal(run.job_id, "STOPPING")
    await agent.send(script.end())
    await refusal(run.job_id, "COMPLETED")
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    queued = await ada.create()
    await ada.start(queued.id)
    await refusal(queued.id, "QUEUED")
    assert len(mesh.trainer.runs) == 1


async def test_a_repeated_start_starts_once(mesh: Mesh, ada: JobClient) -> None:
    job = await ada.create()
    await ada.start(job.id, request_id="go")
    run = await mesh.run_of(job.id)
    assert (await ada.start(job.id, request_id="go")).current_run_id == run.run_id
    error = await refused(ada.start(job.id, request_id="go", resume=True))
    assert error.reason == "REQUEST_ID_REUSED"
    agent: Connection = await mesh.agent(run)
    await agent.send(Script(run).end("FAILED", "TRAINING_ERROR"))
    assert short((await ada.start(job.id, request_id="go")).state) == "FAILED"  # that start has been
    await ada.start(job.id, request_id="go on")
    assert (await mesh.run_of(job.id, attempt=2)).run_id != run.run_id
