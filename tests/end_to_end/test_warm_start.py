"""A training that begins with the weights of another one, through the whole mesh."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2

# So small that training changes nothing that one could measure.
STILL = 1e-9


@pytest.fixture(scope="module")
def other_digits(client: Client, tmp_path_factory: pytest.TempPathFactory) -> dataset_pb2.Dataset:
    """Two classes more than the other dataset has."""
    folder = digits.write(tmp_path_factory.mktemp("other"), digits.files(classes=5, per_class=8, val=2))
    return digits.upload(client, folder, "more digits")


def run(client: Client, spec: training_pb2.TrainingJobSpec, checkpoint_id: str) -> tuple[training_pb2.TrainingJob, str]:
    """A job's end after a warm start, and the line of its log about it."""
    job = client.create_job(spec)
    client.start_job(job.id, checkpoint_id=checkpoint_id)
    events = list(client.watch_job(job.id))
    done = client.get_job(job.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
    [start] = [event.attempt_start for event in events if event.HasField("attempt_start")]
    assert (start.checkpoint_id, start.warm_start) == (checkpoint_id, True)
    [began] = [event.training_start for event in events if event.HasField("training_start")]
    assert began.start_epoch == 1
    [line] = [event.log.message for event in events if "Warm start" in event.log.message]
    return done, line


def test_a_job_begins_with_what_another_one_has_learnt(
    client: Client, store: ObjectStore, dataset: dataset_pb2.Dataset, trained: training_pb2.TrainingJob
) -> None:
    spec = digits.spec(dataset.id, epochs=1, learning_rate=STILL)
    done, line = run(client, spec, trained.best_checkpoint_id)
    assert done.id != trained.id and done.current_epoch == 1
    assert "the head is kept" in line
    [checkpoint] = client.checkpoints(done.id)
    assert checkpoint.job_id == done.id and checkpoint.epoch == 1
    # What it begins with it ends with.
    [source] = [item for item in client.checkpoints(trained.id) if item.id == trained.best_checkpoint_id]
    before, after = (load(store.get(item.storage_path + "weights.safetensors")) for item in (source, checkpoint))
    for name in ("conv1.0.weight", "fc.weight", "fc.bias"):
        np.testing.assert_allclose(before[name], after[name], atol=1e-6)


def test_other_classes_get_a_new_head(
    client: Client, other_digits: dataset_pb2.Dataset, trained: training_pb2.TrainingJob
) -> None:
    done, line = run(client, digits.spec(other_digits.id, epochs=1), trained.best_checkpoint_id)
    assert done.num_classes == 5 and "the head is new" in line
    answer = client.predict(digits.png(4), job_id=done.id)
    assert len(answer.classifications) == 5


def test_another_model_and_an_unknown_checkpoint_are_refused(
    client: Client, dataset: dataset_pb2.Dataset, trained: training_pb2.TrainingJob
) -> None:
    job = client.create_job(digits.spec(dataset.id, epochs=1, model_name="test_efficientnet"))
    error = refused(
        lambda: client.start_job(job.id, checkpoint_id=trained.best_checkpoint_id),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "checkpoint_id",
    )
    [violation] = error.violations
    assert "test_resnet" in violation.description and "test_efficientnet" in violation.description
    refused(lambda: client.start_job(job.id, checkpoint_id="nobody's"), Code.NOT_FOUND, "CHECKPOINT_NOT_FOUND")
    assert client.get_job(job.id).state == job_state_pb2.JOB_STATE_PENDING
