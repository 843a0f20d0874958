"""Trainings that are stopped go on from where they were; what a state does not allow is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, event_pb2, job_state_pb2, training_pb2

PENDING = job_state_pb2.JOB_STATE_PENDING
STOPPING = job_state_pb2.JOB_STATE_STOPPING
STOPPED = job_state_pb2.JOB_STATE_STOPPED
COMPLETED = job_state_pb2.JOB_STATE_COMPLETED
# An epoch takes about a tenth of a second: enough of them that a stop comes in the middle.
EPOCHS = 50


def states(events: list[event_pb2.JobEvent]) -> list[str]:
    changes = [event.state_change.to_state for event in events if event.HasField("state_change")]
    return [job_state_pb2.JobState.Name(state).removeprefix("JOB_STATE_") for state in changes]


@pytest.fixture
def running(client: Client, dataset: dataset_pb2.Dataset) -> Iterator[training_pb2.TrainingJob]:
    """A job that has a checkpoint, with many epochs to go."""
    job = client.create_job(digits.spec(dataset.id, epochs=EPOCHS))
    client.start_job(job.id)
    next(client.watch_job(job.id, kinds=[event_pb2.EVENT_KIND_CHECKPOINT]))
    yield job
    # Whatever a test found: no training runs on into the next.
    if client.get_job(job.id).state not in (COMPLETED, job_state_pb2.JOB_STATE_FAILED):
        client.stop_job(job.id)
        list(client.watch_job(job.id))


def test_a_stopped_training_goes_on_from_its_last_whole_epoch(
    client: Client, running: training_pb2.TrainingJob
) -> None:
    job_id = running.id
    assert client.stop_job(job_id).state == STOPPING
    # Stopping twice is fine.
    assert client.stop_job(job_id).state in (STOPPING, STOPPED)
    first = list(client.watch_job(job_id))
    assert states(first) == ["QUEUED", "PREPARING", "RUNNING", "STOPPING", "STOPPED"]
    stopped = client.get_job(job_id)
    assert (stopped.state, stopped.attempt, stopped.failure.reason) == (STOPPED, 1, "")
    assert 1 <= stopped.current_epoch < EPOCHS
    last = list(client.checkpoints(job_id))[-1]
    assert last.id == stopped.last_checkpoint_id and last.resumable and last.epoch == stopped.current_epoch
    before = list(client.metrics(job_id))
    assert [metric.epoch for metric in before] == list(range(1, stopped.current_epoch + 1))
    assert client.stop_job(job_id) == stopped

    client.start_job(job_id, resume=True)
    events = list(client.watch_job(job_id, after_sequence=first[-1].sequence))
    assert states(events) == ["QUEUED", "PREPARING", "RUNNING", "COMPLETED"]
    done = client.get_job(job_id)
    assert (done.state, done.attempt, done.current_epoch) == (COMPLETED, 2, EPOCHS)
    # Nothing was trained again: the second attempt told of the rest, and the first one's metrics stand as told.
    assert [event.metric.epoch for event in events if event.HasField("metric")] == list(
        range(stopped.current_epoch + 1, EPOCHS + 1)
    )
    metrics = list(client.metrics(job_id))
    assert [metric.epoch for metric in metrics] == list(range(1, EPOCHS + 1))
    assert metrics[: len(before)] == before
    assert [event.sequence for event in (*first, *events)] == list(range(1, done.last_sequence + 1))

    error = refused(lambda: client.stop_job(job_id), Code.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    assert (error.metadata["from"], error.metadata["to"]) == ("COMPLETED", "STOPPING")
    assert "COMPLETED" in error.message and "STOPPING" in error.message
    error = refused(lambda: client.start_job(job_id), Code.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    assert (error.metadata["from"], error.metadata["to"]) == ("COMPLETED", "QUEUED")


def test_a_running_training_cannot_be_started(client: Client, running: training_pb2.TrainingJob) -> None:
    for resume in (False, True):
        error = refused(
            partial(client.start_job, running.id, resume=resume),
            Code.FAILED_PRECONDITION,
            "INVALID_STATE_TRANSITION",
        )
        assert (error.metadata["from"], error.metadata["to"]) == ("RUNNING", "QUEUED")
        assert "RUNNING" in error.message and "QUEUED" in error.message
    # Nor can its dataset go.
    refused(lambda: client.delete_dataset(running.dataset_id), Code.FAILED_PRECONDITION, "DATASET_IN_USE")
    assert client.get_job(running.id).attempt == 1
    # A model in the making predicts with what there is.
    assert client.predict(digits.png(0), job_id=running.id).classifications


def test_a_job_that_never_ran_is_stopped_at_once(client: Client, dataset: dataset_pb2.Dataset) -> None:
    job = client.create_job(digits.spec(dataset.id, epochs=1))
    assert job.state == PENDING
    assert client.stop_job(job.id).state == STOPPED
    assert states(list(client.watch_job(job.id))) == ["STOPPED"]
    assert client.stop_job(job.id).state == STOPPED
    assert client.get_job(job.id).attempt == 0
