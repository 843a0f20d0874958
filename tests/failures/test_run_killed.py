"""Agents, trainings and trainer servers that are killed: what was told stays, and no job is RUNNING without a run."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from rpc.kill_points import KillPoint
from tests.end_to_end.processes import until
from tests.failures.abacus.adapter import ENDLESS_WIDTH
from tests.failures.checker import check_job, states
from tests.failures.mesh import COMPLETED, ENDLESS, FAILED, SLOWLY, STOPPED, Mesh
from tests.trainer.held_models import picture
from visionmesh.client import VisionMeshError
from visionmesh.v1 import dataset_pb2

# Epochs, of which some fifteen a second are done: enough to be killed in the middle, and to be done after that.
LONG = 30
KILLED = "TRAINING_PROCESS_KILLED"
FAILED_ONCE = ["PENDING", "QUEUED", "PREPARING", "RUNNING", "FAILED"]
AND_RESUMED = ["QUEUED", "PREPARING", "RUNNING", "COMPLETED"]


@pytest.mark.parametrize(
    "point", [KillPoint.CHECKPOINT_WRITTEN, KillPoint.CHECKPOINT_UPLOADED, KillPoint.CHECKPOINT_RECORDED]
)
def test_a_checkpoint_is_published_once_wherever_the_agent_dies_while_it_does(
    mesh: Mesh, dataset: dataset_pb2.Dataset, point: KillPoint
) -> None:
    mesh.rearm(mesh.trainer, f"{point}:2")
    job_id = mesh.started(dataset, epochs=ENDLESS, **SLOWLY)
    job = mesh.ended(job_id)
    assert (job.state, job.failure.reason) == (FAILED, KILLED)
    assert "agent died" in job.failure.message
    events = check_job(mesh, job_id)
    assert states(events) == FAILED_ONCE
    # What the training wrote until it ended with its agent is all there: none is missing, none is there twice.
    checkpoints = list(mesh.client.checkpoints(job_id))
    assert [checkpoint.epoch for checkpoint in checkpoints] == list(range(1, len(checkpoints) + 1))
    assert len(checkpoints) >= 2
    published = {info.key.rpartition("/")[0] + "/" for info in mesh.store().list(f"checkpoints/default/{job_id}/")}
    assert published == {checkpoint.storage_path for checkpoint in checkpoints}


@pytest.mark.parametrize("point", [KillPoint.END_RECORDED, KillPoint.END_PUBLISHED])
def test_a_run_ends_once_and_as_it_did_wherever_its_agent_dies_at_the_end(
    mesh: Mesh, dataset: dataset_pb2.Dataset, point: KillPoint
) -> None:
    mesh.rearm(mesh.trainer, point)
    job = mesh.ended(mesh.started(dataset))
    assert (job.state, job.attempt, job.failure.reason) == (COMPLETED, 1, "")
    check_job(mesh, job.id)


@pytest.mark.parametrize("point", [KillPoint.START_FOLDER_MADE, KillPoint.START_AGENT_STARTED])
def test_a_job_is_started_though_the_trainer_server_dies_while_it_starts_it(
    mesh: Mesh, dataset: dataset_pb2.Dataset, point: KillPoint
) -> None:
    job = mesh.create(dataset)
    mesh.rearm(mesh.trainer, point)
    mesh.client.start_job(job.id)
    mesh.trainer.wait_until_killed()
    # The gateway cannot know how far it came, so it asks again; what was begun is given up.
    mesh.trainer.start()
    done = mesh.ended(job.id)
    assert done.state == COMPLETED
    events = check_job(mesh, job.id)
    ended = [event.attempt_end.attempt for event in events if event.HasField("attempt_end")]
    assert ended == [*range(1, done.attempt + 1)]
    *others, last = mesh.run_folders(job.id)
    assert last.ended_why() == "published"
    assert all(other.ended_why() == "abandoned" for other in others)


def test_an_agent_that_is_killed_takes_its_training_along_and_the_job_goes_on_from_its_checkpoint(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job_id = mesh.in_training(dataset, epochs=LONG)
    agent, training = mesh.agent(job_id), mesh.training(job_id)
    os.kill(agent.pid, signal.SIGKILL)
    failed = mesh.ended(job_id)
    assert not training.is_alive()
    assert (failed.state, failed.failure.reason) == (FAILED, KILLED)
    check_job(mesh, job_id)
    done = mesh.resumed(job_id)
    assert (done.state, done.attempt, done.failure.reason) == (COMPLETED, 2, "")
    assert states(check_job(mesh, job_id)) == FAILED_ONCE + AND_RESUMED


def test_a_training_that_is_killed_says_by_what_and_goes_on_from_its_checkpoint(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job_id = mesh.in_training(dataset, epochs=LONG)
    os.kill(mesh.training(job_id).pid, signal.SIGKILL)
    failed = mesh.ended(job_id)
    assert (failed.state, failed.failure.reason) == (FAILED, KILLED)
    assert failed.failure.metadata["exit_signal"] == "SIGKILL"
    check_job(mesh, job_id)
    done = mesh.resumed(job_id)
    assert (done.state, done.attempt) == (COMPLETED, 2)
    assert states(check_job(mesh, job_id)) == FAILED_ONCE + AND_RESUMED


@pytest.mark.parametrize(
    ("trouble", "reason", "said"),
    [
        ("raise", "TRAINING_ERROR", "RuntimeError: a bead is missing"),
        ("exit", KILLED, "exit code 3"),
        ("no room for the spool", "DISK_FULL", "disk is full"),
        ("no room for a checkpoint", "DISK_FULL", "disk is full"),
    ],
)
def test_a_training_that_ends_in_its_third_epoch_keeps_the_two_before(
    mesh: Mesh, dataset: dataset_pb2.Dataset, trouble: str, reason: str, said: str
) -> None:
    job_id = mesh.started(dataset, epochs=5, abacus_trouble=trouble, abacus_epoch=3)
    job = mesh.ended(job_id)
    assert (job.state, job.failure.reason, job.current_epoch) == (FAILED, reason, 2)
    assert said in job.failure.message and str(mesh.folder) not in job.failure.message
    check_job(mesh, job_id)
    assert [checkpoint.epoch for checkpoint in mesh.client.checkpoints(job_id)] == [1, 2]
    if trouble == "raise":
        # It goes on in the third epoch, and finds the same there.
        again = mesh.resumed(job_id)
        assert (again.state, again.failure.reason, again.current_epoch, again.attempt) == (FAILED, reason, 2, 2)
        check_job(mesh, job_id)


def test_a_trainer_server_that_is_killed_is_not_missed_by_its_training_and_takes_it_back(
    mesh: Mesh, dataset: dataset_pb2.Dataset
) -> None:
    job_id = mesh.in_training(dataset, epochs=ENDLESS, **SLOWLY)
    agent, training = mesh.agent(job_id), mesh.training(job_id)
    mesh.trainer.kill()
    mesh.wait_for_epoch(job_id, 4)
    mesh.trainer.start()
    mesh.wait_until_ready()
    # The same run, which still holds its slot.
    assert agent.is_alive() and training.is_alive()
    [framework] = mesh.client.frameworks().frameworks
    assert framework.free_slots == 1
    mesh.client.stop_job(job_id)
    stopped = mesh.ended(job_id)
    assert (stopped.state, stopped.attempt, stopped.failure.reason) == (STOPPED, 1, "")
    check_job(mesh, job_id)


def test_a_prediction_whose_trainer_server_is_killed_is_refused_and_answered_by_the_next(
    mesh: Mesh, dataset: dataset_pb2.Dataset, tmp_path: Path
) -> None:
    job = mesh.ended(mesh.started(dataset))
    endless, image = tmp_path / "endless.png", tmp_path / "image.png"
    endless.write_bytes(picture(ENDLESS_WIDTH))
    image.write_bytes(picture())
    began = mesh.trainer.log().count("an endless prediction began")
    with ThreadPoolExecutor(1) as thread:
        predicting = thread.submit(mesh.client.predict, endless, job_id=job.id)
        until(lambda: mesh.trainer.log().count("an endless prediction began") > began)
        mesh.trainer.kill()
        with pytest.raises(VisionMeshError) as caught:
            predicting.result()
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "FRAMEWORK_UNAVAILABLE")
    assert error.retry_seconds
    mesh.trainer.start()
    mesh.wait_until_ready()
    [answer] = mesh.client.predict(image, job_id=job.id).classifications
    assert (answer.label, answer.label_id) == ("counted", 3)
