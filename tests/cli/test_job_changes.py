"""``jobs download``, ``update``, ``delete`` and which checkpoints a job keeps, against a stand-in that breaks off."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.stand_in import StandIn
from visionmesh.client import Client, FolderError, VisionMeshError
from visionmesh.v1 import checkpoint_pb2, job_state_pb2, training_pb2


@pytest.fixture
def job(stand_in: StandIn) -> training_pb2.TrainingJob:
    """A job of the stand-in."""
    job = training_pb2.TrainingJob(id="j1", state=job_state_pb2.JOB_STATE_STOPPED, epochs=3)
    stand_in.training.jobs["j1"] = job
    return job


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".visionmesh-part-")]


@pytest.mark.usefixtures("job")
def test_the_weights_come_whole_and_verified(visionmesh: Command, stand_in: StandIn, tmp_path: Path) -> None:
    data = stand_in.training.checkpoint
    done = visionmesh("jobs", "download", "j1")
    assert done.code == 0, done.err
    assert "downloaded j1-weights.safetensors, weights.safetensors of epoch 2, 3.1 MiB" in done.out
    assert (tmp_path / "j1-weights.safetensors").read_bytes() == data and leftovers(tmp_path) == []
    again = visionmesh("jobs", "download", "j1", "--json")
    assert again.document == {
        "job_id": "j1",
        "checkpoint_id": "c1",
        "epoch": 2,
        "path": "j1-weights.safetensors",
        "size_bytes": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "was_there": True,
    }
    (tmp_path / "folder").mkdir()
    visionmesh("jobs", "download", "j1", "--checkpoint", "c7", "--file", "training_state.safetensors", "-o", "folder")
    assert (tmp_path / "folder" / "training_state.safetensors").read_bytes() == data
    assert stand_in.training.downloads[-1].checkpoint_id == "c7"
    (tmp_path / "mine.bin").write_bytes(b"an older one")
    assert visionmesh("jobs", "download", "j1", "--output", "mine.bin").code == 0
    assert (tmp_path / "mine.bin").read_bytes() == data
    missing = visionmesh("jobs", "download", "j1", "--output", "no/such/folder.bin")
    assert missing.code == 2 and "Traceback" not in missing.err
    assert visionmesh("jobs", "download", "j9", "--json").error["reason"] == "JOB_NOT_FOUND"


@pytest.mark.usefixtures("job")
def test_a_download_that_breaks_goes_on_with_the_same_checkpoint(
    client: Client, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.training.breaks = [1_500_000, 2_000_000]
    told: list[tuple[int, int]] = []
    done = client.download_checkpoint("j1", tmp_path / "w", progress=lambda there, total: told.append((there, total)))
    asked = [(request.checkpoint_id, request.file_name, request.offset) for request in stand_in.training.downloads]
    file = "weights.safetensors"
    assert asked == [("", "", 0), ("c1", file, 1_500_000), ("c1", file, 2_000_000)]
    assert done.path.read_bytes() == stand_in.training.checkpoint and not done.was_there
    assert told[0] == (0, 3_200_000) and told[-1] == (3_200_000, 3_200_000)
    assert [there for there, _ in told] == sorted(there for there, _ in told)


@pytest.mark.usefixtures("job")
def test_the_same_command_goes_on_where_an_earlier_one_was_killed(
    client: Client, stand_in: StandIn, tmp_path: Path
) -> None:
    data = stand_in.training.checkpoint
    part = tmp_path / f".visionmesh-part-{hashlib.sha256(data).hexdigest()}"
    part.write_bytes(data[:1_000_001])
    assert client.download_checkpoint("j1", tmp_path / "w").path.read_bytes() == data
    assert [request.offset for request in stand_in.training.downloads] == [0, 1_000_001]
    # What lies there may be anything: it is verified with the rest, and does not stay.
    part.write_bytes(b"!" * 1_000_001)
    with pytest.raises(VisionMeshError, match="try again"):
        client.download_checkpoint("j1", tmp_path / "other")
    assert not part.exists() and not (tmp_path / "other").exists()
    part.write_bytes(b"!" * (len(data) + 1))
    assert client.download_checkpoint("j1", tmp_path / "other").path.read_bytes() == data


@pytest.mark.usefixtures("job")
def test_bytes_that_are_others_are_not_taken(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.training.tamper = True
    (tmp_path / "w").write_bytes(b"an older one")
    with pytest.raises(VisionMeshError, match="is not the file of SHA-256"):
        client.download_checkpoint("j1", tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == b"an older one" and leftovers(tmp_path) == []


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "C:evil", "a\\b"])
def test_a_server_does_not_choose_the_folder(client: Client, tmp_path: Path, name: str) -> None:
    with pytest.raises(FolderError):
        client.download_checkpoint("j1", tmp_path, file_name=name)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("job")
def test_update_sends_what_is_given_and_nothing_else(visionmesh: Command, stand_in: StandIn) -> None:
    done = visionmesh("jobs", "update", "j1", "--name", "good", "--tag", "a", "--tag", "b", "--priority", "-2")
    assert (done.code, "job j1 updated: STOPPED" in done.out) == (0, True), done.err
    request = stand_in.training.updates[-1]
    assert [*request.update_mask.paths] == ["experiment_name", "tags", "priority"]
    assert (request.job.experiment_name, [*request.job.tags], request.job.priority) == ("good", ["a", "b"], -2)
    assert visionmesh("jobs", "update", "j1", "--no-tags", "--notes", "", "--keep-every", "0", "--json").code == 0
    request = stand_in.training.updates[-1]
    assert [*request.update_mask.paths] == ["notes", "tags", "checkpoint_retention.every_n_epochs"]
    assert request.job.checkpoint_retention == checkpoint_pb2.CheckpointRetention(every_n_epochs=0)
    assert visionmesh("jobs", "update", "j1", "--keep-last", "3").code == 0
    assert [*stand_in.training.updates[-1].update_mask.paths] == ["checkpoint_retention.keep_last"]
    sent = len(stand_in.training.updates)
    for wrong in ((), ("--tag", "a", "--no-tags"), ("--keep-last", "0"), ("--keep-every", "-1")):
        assert visionmesh("jobs", "update", "j1", *wrong).code == 2
    assert len(stand_in.training.updates) == sent


def test_delete_asks_first(
    visionmesh: Command, stand_in: StandIn, job: training_pb2.TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked = visionmesh("jobs", "delete", "j1")
    assert asked.code != 0 and "Delete job j1 with its log" in asked.err and "j1" in stand_in.training.jobs
    job.state = job_state_pb2.JOB_STATE_QUEUED
    refused = visionmesh("jobs", "delete", "j1", "--json")
    assert (refused.error["reason"], refused.code) == ("JOB_IN_USE", 1)
    job.state = job_state_pb2.JOB_STATE_FAILED
    assert visionmesh("jobs", "delete", "j1", "--yes").out.strip() == "deleted j1"
    assert stand_in.training.jobs == {}
    stand_in.training.jobs["j1"] = job
    assert visionmesh("jobs", "delete", "j1", "--json").document == {"deleted": "j1"}


def test_what_is_kept_is_asked_for_and_shown(
    visionmesh: Command, stand_in: StandIn, job: training_pb2.TrainingJob
) -> None:
    wanted = ("--framework", "timm", "--model", "resnet18", "--dataset", "d1", "--epochs", "9")
    assert visionmesh("jobs", "create", *wanted).code == 0
    assert not stand_in.training.specs[-1].HasField("checkpoint_retention")
    assert visionmesh("jobs", "create", *wanted, "--keep-every", "10", "--keep-last", "3").code == 0
    kept = stand_in.training.specs[-1].checkpoint_retention
    assert kept == checkpoint_pb2.CheckpointRetention(every_n_epochs=10, keep_last=3)
    for every, last, text in (
        (0, 1, "the best, the last"),
        (10, 3, "the best, the last 3, every 10 epochs"),
        (1, 1, "all"),
    ):
        job.checkpoint_retention.every_n_epochs, job.checkpoint_retention.keep_last = every, last
        shown = [line.strip() for line in visionmesh("jobs", "show", "j1").out.splitlines()]
        [line] = [line for line in shown if line.startswith("checkpoints kept")]
        assert line.removeprefix("checkpoints kept").strip() == text
    listed = visionmesh("jobs", "checkpoints", "j1").out
    assert "accuracy 0.9" in listed and "2.0 MiB" in listed and "abababababab" in listed
