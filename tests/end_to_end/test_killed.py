"""Servers that are killed while a real model is trained: nothing is lost or told twice. The rest: tests/failures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import digits
from tests.end_to_end.conftest import Backend, serving
from tests.end_to_end.processes import AGENT, TRAINING, kill_part, of_runs, until
from tests.watching import Watching
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client, Patience
from visionmesh.v1 import dataset_pb2, event_pb2, job_state_pb2, training_pb2

COMPLETED, FAILED = job_state_pb2.JOB_STATE_COMPLETED, job_state_pb2.JOB_STATE_FAILED
EPOCHS = 8
TRAINER = "trainer_timm"


@pytest.fixture(scope="module")
def own_mesh(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedMesh:
    return backend.mesh(tmp_path_factory.mktemp("killed"), [TRAINER])


@pytest.fixture(scope="module")
def own_client(own_mesh: EmbeddedMesh) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONMESH_RESTART_DELAY_SECONDS", "0.5")
        with serving(own_mesh) as client:
            yield client


@pytest.fixture(scope="module")
def own_dataset(own_client: Client, tmp_path_factory: pytest.TempPathFactory) -> dataset_pb2.Dataset:
    """Digits enough for an epoch to take a moment."""
    return digits.upload(own_client, digits.write(tmp_path_factory.mktemp("many"), digits.files(3, 120, 10)))


@pytest.fixture
def epochs() -> int:
    return EPOCHS


@pytest.fixture
def job(
    own_mesh: EmbeddedMesh, own_client: Client, own_dataset: dataset_pb2.Dataset, epochs: int
) -> training_pb2.TrainingJob:
    """A training in its third epoch, with many more to go."""
    until(lambda: of_runs(own_mesh, AGENT) == [] and set(own_mesh.pids()) == {"gateway", TRAINER})
    job = own_client.create_job(digits.spec(own_dataset.id, epochs=epochs, batch_size=12))
    own_client.start_job(job.id)
    for metric in own_client.watch_metrics(job.id):
        if metric.epoch == 2:
            break
    return job


def check_whole(client: Client, job_id: str, events: list[event_pb2.JobEvent], epochs: int = EPOCHS) -> None:
    """Every event once, in order, and every epoch's metrics once."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = [event.metric.epoch for event in events if event.HasField("metric")]
    assert told == list(range(1, epochs + 1))
    assert [metric.epoch for metric in client.metrics(job_id)] == told
    published = [event.checkpoint.epoch for event in events if event.HasField("checkpoint")]
    assert published == sorted(set(published)) and published[-1] == epochs
    assert list(client.watch_job(job_id)) == events


# Enough of them that the gateway comes back, twice, while they go on.
@pytest.mark.parametrize("epochs", [2 * EPOCHS], ids=["twice"])
def test_a_killed_gateway_loses_nothing_and_the_training_goes_on(
    own_mesh: EmbeddedMesh, own_client: Client, job: training_pb2.TrainingJob, epochs: int
) -> None:
    watching = Watching(own_client, job.id)
    [training] = of_runs(own_mesh, TRAINING)
    kill_part(own_mesh, "gateway")
    # The same process: nobody noticed there but the agent, who waits.
    assert of_runs(own_mesh, TRAINING) == [training]
    until(lambda: watching.breaks)
    for metric in own_client.watch_metrics(job.id, patience=Patience(60)):
        if metric.epoch == 5:
            break
    assert of_runs(own_mesh, TRAINING) == [training]
    kill_part(own_mesh, "gateway")
    events = watching.to_the_end()
    assert own_client.get_job(job.id).state == COMPLETED
    assert own_client.get_job(job.id).attempt == 1
    check_whole(own_client, job.id, events, epochs)


def measured(client: Client, job_id: str) -> list[dict[str, float]]:
    """The metrics of each epoch, but for how long it took."""
    found = []
    for metric in client.metrics(job_id):
        values = {"epoch": metric.epoch, "step": metric.step, "loss": metric.loss, "accuracy": metric.accuracy}
        found.append({**metric.extra_metrics, **values, "learning_rate": metric.learning_rate})
        del found[-1]["samples_per_second"]
    return found


def test_a_killed_training_restarts_by_itself_and_ends_as_one_that_was_not(
    own_mesh: EmbeddedMesh, own_client: Client, own_dataset: dataset_pb2.Dataset
) -> None:
    until(lambda: of_runs(own_mesh, AGENT) == [] and set(own_mesh.pids()) == {"gateway", TRAINER})
    spec = digits.spec(own_dataset.id, epochs=4, batch_size=12)
    spec.checkpoint_retention.every_n_epochs = 1
    undisturbed, job = own_client.create_job(spec), own_client.create_job(spec)
    own_client.start_job(undisturbed.id)
    list(own_client.watch_job(undisturbed.id))
    own_client.start_job(job.id)
    watching = Watching(own_client, job.id)
    # In its second epoch.
    next(own_client.watch_job(job.id, kinds=[event_pb2.EVENT_KIND_CHECKPOINT]))
    [training] = of_runs(own_mesh, TRAINING)
    os.kill(training, signal.SIGKILL)
    events = watching.to_the_end()
    done = own_client.get_job(job.id)
    assert (done.state, done.attempt, done.restarts, done.failure.reason) == (COMPLETED, 2, 1, "")
    assert measured(own_client, job.id) == measured(own_client, undisturbed.id)
    assert done.best_metric == own_client.get_job(undisturbed.id).best_metric

    first, second = own_client.attempts(job.id)
    assert (first.failure.reason, first.failure.metadata["exit_signal"]) == ("TRAINING_PROCESS_KILLED", "SIGKILL")
    assert "out of memory" in first.failure.message
    assert (second.first_epoch, second.outcome) == (2, event_pb2.ATTEMPT_OUTCOME_COMPLETED)
    resumed = next(item for item in own_client.checkpoints(job.id) if item.epoch == 1)
    assert (second.checkpoint_id, resumed.run_id, resumed.resumable) == (resumed.id, first.run_id, True)
    # Whoever watched saw all of it, once and in order, and the job never seemed to have ended.
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    states = [event.state_change.to_state for event in events if event.HasField("state_change")]
    assert FAILED not in states and states[-1] == COMPLETED
    assert sum(event.HasField("roll_back") for event in events) == 1
    assert [item.epoch for item in own_client.checkpoints(job.id)] == [1, 2, 3, 4]


def test_a_killed_trainer_server_is_not_missed_by_its_training(
    own_mesh: EmbeddedMesh, own_client: Client, job: training_pb2.TrainingJob, tmp_path: Path
) -> None:
    watching = Watching(own_client, job.id)
    [training] = of_runs(own_mesh, TRAINING)
    kill_part(own_mesh, TRAINER)
    events = watching.to_the_end()
    done = own_client.get_job(job.id)
    assert (done.state, done.attempt) == (COMPLETED, 1)
    check_whole(own_client, job.id, events)
    # The server that came back knows the run, and predicts with what it made.
    until(lambda: own_client.frameworks().frameworks[0].healthy_trainers == 1)
    image = tmp_path / "digit.png"
    image.write_bytes(digits.png(0))
    assert own_client.predict(image, job_id=job.id).classifications
    assert training not in of_runs(own_mesh, TRAINING)
