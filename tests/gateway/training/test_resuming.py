"""Starting again: afresh, or from a checkpoint; what still counts of the attempts before."""

from __future__ import annotations

import grpc

from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import DIGEST, Script
from tests.gateway.job_client import JobClient, kinds, log_of, short
from tests.gateway.job_fixtures import Mesh, add_dataset
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2

KEEP_ALL = checkpoint_pb2.CheckpointRetention(every_n_epochs=1)


async def stopped_after(mesh: Mesh, ada: JobClient, *accuracies: float, resumable: bool = True) -> Script:
    """A job of ten epochs that was stopped after one epoch for each accuracy."""
    script, agent = await mesh.running(ada, epochs=10, checkpoint_retention=KEEP_ALL)
    await train(script, *accuracies, resumable=resumable, send=agent.send)
    await ada.stop(script.run.job_id)
    await agent.send(script.end("STOPPED"))
    await agent.cut()
    return script


async def train(script: Script, *accuracies: float, resumable: bool = True, first: int = 1, send: object) -> None:
    events = []
    for epoch, accuracy in enumerate(accuracies, first):
        events += [script.metric(epoch, accuracy), script.validation(epoch)]
        events.append(script.checkpoint(epoch, accuracy, resumable=resumable))
    await send(*events)  # type: ignore[operator]


def named(run: run_pb2.RunSpec, epoch: int) -> str:
    """The id of the checkpoint that a run wrote after an epoch."""
    return f"{run.run_id[-12:]}-{epoch}"


async def test_resuming_goes_on_from_the_last_checkpoint(mesh: Mesh, ada: JobClient) -> None:
    first = (await stopped_after(mesh, ada, 0.5, 0.9, 0.7)).run
    job_id = first.job_id
    queued = await ada.start(job_id, resume=True)
    assert short(queued.state) == "QUEUED"
    run = await mesh.run_of(job_id, attempt=2)
    assert run.run_id != first.run_id
    assert (run.resume_from.checkpoint_id, run.resume_from.epoch) == (named(first, 3), 3)
    assert (run.resume_from.job_id, run.resume_from.digest) == (job_id, DIGEST)
    assert run.resume_from.files[0].name == "weights.safetensors"
    assert run.best_metric == 0.9
    job = await ada.get(job_id)
    assert (job.attempt, job.current_epoch, job.progress) == (2, 3, 0.3)
    assert (job.best_metric, job.best_checkpoint_id, job.last_checkpoint_id) == (0.9, named(first, 2), named(first, 3))
    assert [point.epoch for point in (await ada.metrics(job_id)).metrics] == [1, 2, 3]

    events = await log_of(mesh.database, job_id)
    at = next(index for index, event in enumerate(events) if event.attempt_start.attempt == 2)
    assert events[at].attempt_start.checkpoint_id == named(first, 3)
    assert (kinds(events)[at + 1], events[at + 1].roll_back.to_epoch) == ("roll_back", 3)

    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    await train(script, 0.8, 0.95, first=4, send=agent.send)
    job = await ada.get(job_id)
    assert (job.best_metric, job.best_checkpoint_id, job.current_epoch) == (0.95, named(run, 5), 5)
    assert [point.epoch for point in (await ada.metrics(job_id)).metrics] == [1, 2, 3, 4, 5]


async def test_resuming_from_an_earlier_checkpoint_forgets_what_came_after(mesh: Mesh, ada: JobClient) -> None:
    first = (await stopped_after(mesh, ada, 0.6, 0.5, 0.9)).run
    job_id = first.job_id
    await ada.start(job_id, resume=True, checkpoint_id=named(first, 2))
    run = await mesh.run_of(job_id, attempt=2)
    assert (run.resume_from.checkpoint_id, run.best_metric) == (named(first, 2), 0.6)
    job = await ada.get(job_id)
    assert (job.current_epoch, job.progress) == (2, 0.2)
    assert (job.best_metric, job.best_checkpoint_id, job.last_checkpoint_id) == (0.6, named(first, 1), named(first, 2))
    assert [point.epoch for point in (await ada.metrics(job_id)).metrics] == [1, 2]
    checkpoints = (await ada.checkpoints(job_id)).checkpoints
    assert [(item.epoch, item.is_best) for item in checkpoints] == [(1, True), (2, False), (3, False)]

    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    await train(script, 0.7, first=3, send=agent.send)
    told_again = (await ada.metrics(job_id)).metrics
    assert [(point.epoch, point.accuracy) for point in told_again] == [(1, 0.6), (2, 0.5), (3, 0.7)]
    both = [event.metric.accuracy for event in await log_of(mesh.database, job_id) if event.HasField("metric")]
    assert both == [0.6, 0.5, 0.9, 0.7]  # the log keeps both tellings


async def test_a_fresh_start_begins_from_nothing(mesh: Mesh, ada: JobClient) -> None:
    first = (await stopped_after(mesh, ada, 0.5, 0.9)).run
    job_id = first.job_id
    await ada.start(job_id)
    run = await mesh.run_of(job_id, attempt=2)
    assert not run.HasField("resume_from") and not run.HasField("best_metric")
    job = await ada.get(job_id)
    assert (job.current_epoch, job.progress, job.best_checkpoint_id, job.last_checkpoint_id) == (0, 0, "", "")
    assert not job.HasField("best_metric") and not job.HasField("start_time")
    assert (await ada.metrics(job_id)).total_size == 0
    assert (await ada.checkpoints(job_id)).total_size == 2  # they can still be gone on from
    # Until the new attempt has one of its own, resuming takes the newest there is.
    await mesh.deliver(run, Script(run).end("FAILED", "TRAINING_ERROR"))
    await ada.start(job_id, resume=True)
    assert (await mesh.run_of(job_id, attempt=3)).resume_from.checkpoint_id == named(first, 2)


async def test_a_failed_job_is_resumed(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    await agent.send(script.checkpoint(1), script.end("FAILED", "TRAINING_ERROR"))
    await ada.start(script.run.job_id, resume=True)
    assert (await mesh.run_of(script.run.job_id, attempt=2)).resume_from.epoch == 1


async def test_a_checkpoint_without_training_state_is_passed_over(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    events = script.checkpoint(1), script.checkpoint(2, resumable=False), script.end("FAILED", "TRAINING_ERROR")
    await agent.send(*events)
    error = await refused(ada.start(job_id, resume=True, checkpoint_id=named(script.run, 2)))
    assert [violation.field for violation in error.violations] == ["checkpoint_id"]
    await ada.start(job_id, resume=True)
    assert (await mesh.run_of(job_id, attempt=2)).resume_from.checkpoint_id == named(script.run, 1)


async def test_there_must_be_something_to_go_on_from(mesh: Mesh, ada: JobClient) -> None:
    job = await ada.create()
    error = await refused(ada.start(job.id, resume=True))
    assert (error.reason, error.code) == ("NO_CHECKPOINT", grpc.StatusCode.FAILED_PRECONDITION)
    assert await ada.state(job.id) == "PENDING"
    weights_only = await stopped_after(mesh, ada, 0.5, resumable=False)
    assert (await refused(ada.start(weights_only.run.job_id, resume=True))).reason == "NO_CHECKPOINT"


async def test_a_checkpoint_must_be_the_jobs(mesh: Mesh, ada: JobClient) -> None:
    first, other = await stopped_after(mesh, ada, 0.5), await stopped_after(mesh, ada, 0.5)
    job_id = first.run.job_id
    for checkpoint_id in (named(other.run, 1), "ckpt_none", "ckpt_\0"):
        error = await refused(ada.start(job_id, resume=True, checkpoint_id=checkpoint_id))
        assert (error.reason, error.code) == ("CHECKPOINT_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
        assert error.metadata["checkpoint_id"] == checkpoint_id
    assert await ada.state(job_id) == "STOPPED"


async def test_what_can_be_done_with_the_checkpoint_of_another_job_is_said(
    mesh: Mesh, ada: JobClient, ben: JobClient, bob: Account
) -> None:
    first, other = await stopped_after(mesh, ada, 0.5), await stopped_after(mesh, ada, 0.5)
    job_id, theirs = first.run.job_id, other.run.job_id
    error = await refused(ada.start(job_id, resume=True, checkpoint_id=named(other.run, 1)))
    assert error.metadata["checkpoint_job_id"] == theirs
    assert theirs in error.message and "ListCheckpoints" in error.message and "without `resume`" in error.message
    # Of another model: nor are its weights of use.
    bigger = await ada.create(ada.spec(model_name="count_b"))
    error = await refused(ada.start(bigger.id, resume=True, checkpoint_id=named(other.run, 1)))
    assert error.reason == "CHECKPOINT_NOT_FOUND"
    assert "has model count_b" in error.message and "without `resume`" not in error.message
    # Of someone else: as if there were none.
    ben.dataset_id = await add_dataset(mesh.database, bob)
    job = await ben.create()
    error = await refused(ben.start(job.id, resume=True, checkpoint_id=named(other.run, 1)))
    assert (error.reason, dict(error.metadata).get("checkpoint_job_id")) == ("CHECKPOINT_NOT_FOUND", None)
    assert theirs not in error.message
