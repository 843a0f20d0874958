"""Warm starts: a fresh training that begins with the weights of a checkpoint, of this or another job of the caller."""

from __future__ import annotations

import grpc
from sqlalchemy.orm import Session

from storage.database.jobs import JobRepository
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import DIGEST, Script
from tests.gateway.job_client import JobClient, kinds, log_of, short
from tests.gateway.job_fixtures import Mesh, add_dataset
from tests.gateway.training.test_resuming import named, stopped_after
from tests.gateway.waiting import until


async def test_a_job_starts_with_the_weights_of_another_one(mesh: Mesh, ada: JobClient) -> None:
    source = (await stopped_after(mesh, ada, 0.5, 0.9)).run
    job = await ada.create(ada.spec(epochs=4))
    assert short((await ada.start(job.id, checkpoint_id=named(source, 2))).state) == "QUEUED"
    run = await mesh.run_of(job.id)
    assert (run.start_from.checkpoint_id, run.start_from.job_id) == (named(source, 2), source.job_id)
    assert (run.start_from.digest, run.start_from.files[0].name) == (DIGEST, "weights.safetensors")
    # It is no resumption: nothing is done yet, and nothing of the other job counts.
    assert not run.HasField("resume_from") and not run.HasField("best_metric")
    job = await ada.get(job.id)
    assert (job.current_epoch, job.best_checkpoint_id, job.last_checkpoint_id) == (0, "", "")
    [start] = [event.attempt_start for event in await log_of(mesh.database, job.id) if event.HasField("attempt_start")]
    assert (start.attempt, start.checkpoint_id, start.warm_start) == (1, named(source, 2), True)

    # Resuming it goes on from its own checkpoint and names the other job's no more.
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start(), script.metric(1), script.checkpoint(1), script.end("FAILED", "TRAINING_ERROR"))
    await ada.start(job.id, resume=True)
    again = await mesh.run_of(job.id, attempt=2)
    assert again.resume_from.checkpoint_id == named(run, 1)
    assert not again.HasField("start_from")
    starts = [event.attempt_start for event in await log_of(mesh.database, job.id) if event.HasField("attempt_start")]
    assert (starts[-1].checkpoint_id, starts[-1].warm_start) == (named(run, 1), False)


async def test_on_a_stopped_job_it_is_a_fresh_start(mesh: Mesh, ada: JobClient) -> None:
    first = (await stopped_after(mesh, ada, 0.5, 0.9, resumable=False)).run  # weights are all that it takes
    await ada.start(first.job_id, checkpoint_id=named(first, 1))
    run = await mesh.run_of(first.job_id, attempt=2)
    assert (run.start_from.checkpoint_id, run.start_from.epoch) == (named(first, 1), 1)
    assert not run.HasField("resume_from") and not run.HasField("best_metric")
    job = await ada.get(first.job_id)
    assert (job.current_epoch, job.progress, job.best_checkpoint_id, job.last_checkpoint_id) == (0, 0, "", "")
    assert (await ada.metrics(first.job_id)).total_size == 0
    events = await log_of(mesh.database, first.job_id)
    assert [event.roll_back.to_epoch for event in events if event.HasField("roll_back")] == [0]
    assert kinds(events)[-1] == "roll_back"

    # And a fresh one after it takes no weights.
    await mesh.deliver(run, Script(run).end("FAILED", "TRAINING_ERROR"))
    await ada.start(first.job_id)
    assert not (await mesh.run_of(first.job_id, attempt=3)).HasField("start_from")


async def test_another_gateway_repeats_the_start_with_the_same_weights(mesh: Mesh, ada: JobClient) -> None:
    source = (await stopped_after(mesh, ada, 0.5)).run
    job = await ada.create()
    mesh.trainer.answers_starts.clear()
    await ada.start(job.id, checkpoint_id=named(source, 1))
    first = await mesh.run_of(job.id)
    await mesh.gateway.kill()
    mesh.trainer.runs.clear()
    mesh.trainer.answers_starts.set()
    await mesh.open()
    await until(lambda: first.run_id in mesh.trainer.runs, 20)
    assert mesh.trainer.runs[first.run_id] == first
    assert first.start_from.checkpoint_id == named(source, 1)


async def test_the_checkpoint_must_be_the_callers(mesh: Mesh, ada: JobClient, ben: JobClient, bob: Account) -> None:
    source = (await stopped_after(mesh, ada, 0.5)).run
    ben.dataset_id = await add_dataset(mesh.database, bob)
    job = await ben.create()
    for checkpoint_id in (named(source, 1), "ckpt_none", "ckpt_\0"):
        error = await refused(ben.start(job.id, checkpoint_id=checkpoint_id))
        assert (error.reason, error.code) == ("CHECKPOINT_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    assert await ben.state(job.id) == "PENDING"


async def test_the_model_must_be_the_same(mesh: Mesh, ada: JobClient) -> None:
    source = (await stopped_after(mesh, ada, 0.5)).run
    job = await ada.create(ada.spec(model_name="count_b"))
    error = await refused(ada.start(job.id, checkpoint_id=named(source, 1)))
    [violation] = error.violations
    assert violation.field == "checkpoint_id"
    assert "model count_a" in violation.description and "model count_b" in violation.description
    assert await ada.state(job.id) == "PENDING"
    await ada.start(job.id)
    assert not (await mesh.run_of(job.id)).HasField("start_from")


async def test_framework_and_task_must_be_the_same(mesh: Mesh, ada: JobClient) -> None:
    source = (await stopped_after(mesh, ada, 0.5)).run
    job = await ada.create()

    def become_foreign(session: Session) -> None:
        # Stands for a job of another trainer: this mesh has one framework with one task.
        JobRepository(session).update(source.job_id, framework="yolo", task_type="OBJECT_DETECTION")

    await mesh.database.write(become_foreign)
    error = await refused(ada.start(job.id, checkpoint_id=named(source, 1)))
    first, second = (violation.description for violation in error.violations)
    assert "framework yolo" in first and "framework counters" in first
    assert "task OBJECT_DETECTION" in second and "task IMAGE_CLASSIFICATION" in second
