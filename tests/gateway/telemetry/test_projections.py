"""What a job becomes by the events of its run."""

from __future__ import annotations

import math

import grpc
import pytest

from tests.gateway.job_agent import ABANDON, AGENT, TRAINING, Script
from tests.gateway.job_client import JobClient, log_of, short
from tests.gateway.job_fixtures import Mesh
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, training_pb2


async def test_a_job_shows_how_far_it_is(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=4)
    job_id = script.run.job_id

    async def shown() -> tuple[int, float]:
        job = await ada.get(job_id)
        return job.current_epoch, job.progress

    assert await shown() == (0, 0.0)
    await agent.send(script.progress(1, 2, 4))
    assert await shown() == (0, 0.125)
    await agent.send(script.progress(1, 4, 4), script.metric(1))
    assert await shown() == (1, 0.25)
    await agent.send(script.progress(2, 1, 4), script.progress(2, 2, 4))
    assert await shown() == (1, 0.375)
    await agent.send(script.metric(2), script.metric(3), script.metric(4))
    assert await shown() == (4, 1.0)


async def test_a_job_shows_when_it_will_be_done(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=4)
    job_id = script.run.job_id

    async def seconds_left(event: run_pb2.RunEvent) -> float | None:
        """From the event to when the job will be done, as it shows after it."""
        await agent.send(event)
        job = await ada.get(job_id)
        if not job.HasField("estimated_end_time"):
            return None
        return round((job.estimated_end_time.ToNanoseconds() - event.time.ToNanoseconds()) / 1e9, 3)

    assert await seconds_left(script.progress(1, 1)) is None
    assert await seconds_left(script.progress(1, 2, seconds_left=100.0)) == 100
    later = script.metric(1)
    later.time.FromNanoseconds(later.time.ToNanoseconds() + 7_000_000_000)
    assert await seconds_left(later) == pytest.approx(93, abs=1)  # a point in time, which nothing new moves
    # Whatever an agent says, a job can be read.
    for nonsense in (-1.0, math.nan, math.inf, 1e18):
        assert await seconds_left(script.progress(1, 3, seconds_left=50.0)) == 50
        assert await seconds_left(script.progress(1, 3, seconds_left=nonsense)) is None
    await agent.send(script.progress(1, 4, seconds_left=50.0), script.end("FAILED", "TRAINING_ERROR"))
    assert not (await ada.get(job_id)).HasField("estimated_end_time")
    # And another attempt begins without what the last one thought.
    await ada.start(job_id)
    run = await mesh.run_of(job_id, 2)
    again = Script(run)
    other = await mesh.agent(run)
    await other.send(again.start())
    job = await ada.get(job_id)
    assert short(job.state) == "RUNNING" and not job.HasField("estimated_end_time")


async def test_the_best_checkpoint_is_that_of_the_primary_metric(mesh: Mesh, ada: JobClient) -> None:
    kept = checkpoint_pb2.CheckpointRetention(every_n_epochs=1)
    script, agent = await mesh.running(ada, epochs=5, checkpoint_retention=kept)
    job_id = script.run.job_id
    ids = []
    for epoch, accuracy, best in ((1, 0.5, 1), (2, 0.8, 2), (3, 0.7, 2), (4, 0.8, 2), (5, 0.9, 5)):
        event = script.checkpoint(epoch, accuracy)
        ids.append(event.checkpoint.id)
        await agent.send(event)
        job = await ada.get(job_id)
        assert (job.best_checkpoint_id, job.last_checkpoint_id) == (ids[best - 1], ids[-1])
    assert job.best_metric == 0.9
    listed = (await ada.checkpoints(job_id)).checkpoints
    assert [(item.id, item.is_best) for item in listed] == [(each, each == ids[-1]) for each in ids]
    assert (listed[0].files[0].name, listed[0].size_bytes, listed[0].resumable) == ("weights.safetensors", 10, True)


async def test_of_a_loss_the_smallest_is_best(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada, primary_metric="val_loss")
    assert run.primary_metric_mode == training_pb2.METRIC_MODE_MIN
    script, agent = Script(run), await mesh.agent(run)
    events = [script.checkpoint(epoch) for epoch in (1, 2, 3)]
    for event, loss in zip(events, (0.7, 0.2, 0.4), strict=True):
        event.checkpoint.metrics["val_loss"] = loss
    await agent.send(*events)
    job = await ada.get(run.job_id)
    assert (job.best_metric, job.best_checkpoint_id) == (0.2, events[1].checkpoint.id)


async def test_a_diverging_run_is_shown_as_it_is(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    wild = script.metric(1, math.nan, val_loss=math.inf, macro_f1=0.5)
    wild.metric.loss = math.nan
    await agent.send(wild, script.checkpoint(1, math.nan), script.metric(2, 0.5), script.checkpoint(2, 0.25))
    first, second = (await ada.metrics(job_id)).metrics
    assert dict(first.extra_metrics) == {"macro_f1": 0.5}
    assert not (first.HasField("accuracy") and math.isfinite(first.accuracy))
    assert second.accuracy == 0.5
    job = await ada.get(job_id)
    assert (job.best_metric, job.last_checkpoint_id[-2:], job.best_checkpoint_id[-2:]) == (0.25, "-2", "-2")
    told = [event.metric for event in await log_of(mesh.database, job_id) if event.HasField("metric")]
    assert math.isnan(told[0].loss) and math.isinf(told[0].extra_metrics["val_loss"])  # the log keeps what was said
    await agent.send(script.end())
    assert await ada.state(job_id) == "COMPLETED"


async def test_a_failure_without_a_reason_is_a_failure(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    await agent.send(script.event(AGENT, end=run_pb2.RunEnd()))
    job = await ada.get(script.run.job_id)
    assert short(job.state) == "FAILED"
    assert job.failure.reason and job.failure.message


async def test_a_run_that_has_ended_moves_its_job_no_more(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    await agent.send(script.metric(1, 0.5), script.checkpoint(1), script.end("FAILED", "TRAINING_ERROR"))
    await ada.start(job_id)
    run = await mesh.run_of(job_id, attempt=2)
    late = mesh.connect(script.run)
    assert (await late.hello())[AGENT] == 2
    assert await late.told() == ABANDON
    job = await ada.get(job_id)
    assert (short(job.state), job.current_epoch, job.last_checkpoint_id) == ("PREPARING", 0, "")
    assert (await ada.metrics(job_id)).total_size == 0
    await mesh.deliver(run, Script(run).end())
    assert await ada.state(job_id) == "COMPLETED"


async def test_a_batch_that_is_too_large_breaks_its_own_stream_alone(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    other, beside = await mesh.running(ada)
    large = Script(script.run).line("x" * (6 << 20))
    await agent.post(large)
    error = await agent.refusal()
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await beside.send(other.metric(1)))[TRAINING] == 2
    again = mesh.connect(script.run)
    assert await again.hello() == {TRAINING: 1}
    await again.send(*(script.line("y" * (60 << 10)) for _ in range(50)), script.end())
    assert await ada.state(script.run.job_id) == "COMPLETED"
    assert [len(line.message) for line in (await ada.logs(script.run.job_id)).lines[:50]] == [60 << 10] * 50
