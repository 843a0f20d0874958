"""A run from start to end: agent and training as processes, the gateway over gRPC, the store on disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from storage.objects.digest import sha256_bytes
from storage.objects.keys import checkpoint_prefix
from tests.trainer.fake_gateway import RUN_TOKEN
from tests.trainer.run_place import MESH_TOKEN, RunPlace
from trainer.runs.folder import RunFolder
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2
from visionmesh.v1 import checkpoint_pb2, event_pb2

COMPLETED = event_pb2.ATTEMPT_OUTCOME_COMPLETED
STOPPED = event_pb2.ATTEMPT_OUTCOME_STOPPED
FAILED = event_pb2.ATTEMPT_OUTCOME_FAILED


def _training_pid(folder: RunFolder) -> int:
    training = folder.training_process()
    assert training is not None
    return training.pid


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _until_epoch(place: RunPlace, run_id: str, epoch: int) -> None:
    await place.gateway.until(lambda: any(m.epoch >= epoch for m in place.gateway.payloads(run_id, "metric")))


async def test_a_run_is_told_once_in_order_and_ends_when_all_is_published(place: RunPlace) -> None:
    folder = place.start("run", epochs=3, accuracies=[0.5, 0.9, 0.7])
    end = await place.ended("run")
    assert end == run_pb2.RunEnd(outcome=COMPLETED)
    assert folder.exit_code() == 0 and folder.ended_why() == "published"

    gateway = place.gateway
    events = gateway.events["run"]
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds[0] == "preparation" and kinds.index("training_start") > kinds.index("preparation")
    assert "local_checkpoint" not in kinds
    fetched = gateway.payloads("run", "preparation")
    assert any((item.done, item.total) == (3, 3) for item in fetched)
    assert [item.epoch for item in gateway.payloads("run", "metric")] == [1, 2, 3]
    assert [item.epoch for item in gateway.payloads("run", "validation")] == [1, 2, 3]
    assert [item.label for item in gateway.payloads("run", "validation")[0].classes] == ["cat", "dog"]

    checkpoints: list[checkpoint_pb2.Checkpoint] = gateway.payloads("run", "checkpoint")
    assert [(item.epoch, item.is_best) for item in checkpoints] == [(1, True), (2, True), (3, False)]
    last = checkpoints[-1]
    assert last.resumable and last.storage_path == checkpoint_prefix("project", "job", last.id)
    listing = "".join(sorted(f"{file.name}\0{file.sha256}\n" for file in last.files))
    assert last.digest == sha256_bytes(listing.encode())
    assert last.size_bytes == sum(file.size_bytes for file in last.files)
    for file in last.files:
        assert sha256_bytes(place.store.get(last.storage_path + file.name)) == file.sha256
    assert not (folder.path / "checkpoints").exists()

    lines = gateway.payloads("run", "log")
    assert [line.message for line in lines if line.source == "training"] == [
        text for epoch in (1, 2, 3) for text in (f"epoch {epoch}", "is done")
    ]
    # The training sees its data and threads, and no secret.
    assert [line.message for line in lines if line.source == "stdout"] == ["secrets: []; images: 3; threads: 1"]
    assert [line.message for line in lines if line.source == "stderr"] == ["a warning"]
    files = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert files and not any(secret.encode() in data for data in files for secret in (RUN_TOKEN, MESH_TOKEN))


async def test_a_run_with_nothing_to_tell_gives_signs_of_life(place: RunPlace) -> None:
    place.start("run", epochs=1, steps=1, step_seconds=1.0)
    await place.gateway.until(lambda: place.gateway.heartbeats >= 3)
    assert (await place.ended("run")).outcome == COMPLETED


async def test_a_killed_training_process_fails_the_run_and_names_the_signal(place: RunPlace) -> None:
    folder = place.start("run", epochs=50, step_seconds=0.02)
    await _until_epoch(place, "run", 2)  # the checkpoint of the first epoch is told
    os.kill(_training_pid(folder), signal.SIGKILL)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_PROCESS_KILLED")
    assert end.failure.metadata["exit_signal"] == "SIGKILL" and "out of memory" in end.failure.message
    assert folder.exit_code() == -9
    # What it had told until then is published all the same.
    assert place.gateway.payloads("run", "checkpoint")


async def test_an_exit_without_a_word_names_the_exit_code(place: RunPlace) -> None:
    place.start("run", epochs=1, ending="exit")
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_PROCESS_KILLED")
    assert dict(end.failure.metadata) == {"exit_code": "3"}


@pytest.mark.parametrize(
    ("ending", "reason", "message"),
    [
        ("raise", "TRAINING_ERROR", "The training raised RuntimeError: the abacus is broken"),
        ("diverge", "TRAINING_DIVERGED", "the count became NaN"),
        ("bad data", "BAD_TRAINING_DATA", "nothing can be counted"),
        ("no weights", "PRETRAINED_UNAVAILABLE", "nobody counted before"),
    ],
)
async def test_what_a_training_raises_becomes_the_failure(
    place: RunPlace, ending: str, reason: str, message: str
) -> None:
    place.start("run", epochs=1, ending=ending)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason, end.failure.message) == (FAILED, reason, message)
    # The traceback is in the log, and only there.
    assert any("Traceback" in line.message for line in place.gateway.payloads("run", "log"))


async def test_a_stopped_gateway_gets_every_event_once_when_it_is_back(place: RunPlace) -> None:
    folder = place.start("run", epochs=30, step_seconds=0.01)
    await _until_epoch(place, "run", 2)
    await place.gateway.stop()
    known = len(place.gateway.events["run"])
    await place.gateway.until(lambda: folder.exit_code() == 0)
    assert len(place.gateway.events["run"]) == known and not folder.is_ended()
    await place.gateway.start()
    end = await place.ended("run")
    assert end.outcome == COMPLETED and place.gateway.hellos >= 2
    assert [item.epoch for item in place.gateway.payloads("run", "metric")] == list(range(1, 31))
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == list(range(1, 31))


async def test_metrics_go_on_while_the_store_is_away_and_the_run_waits_for_its_checkpoints(place: RunPlace) -> None:
    store, away = place.root / "store", place.root / "away"
    place.start("run", epochs=8, step_seconds=0.05)
    await _until_epoch(place, "run", 1)
    store.rename(away)
    await place.gateway.until(
        lambda: any("object store" in line.message for line in place.gateway.payloads("run", "log"))
    )
    told = len(place.gateway.payloads("run", "checkpoint"))
    await _until_epoch(place, "run", 8)
    assert place.gateway.end("run") is None and len(place.gateway.payloads("run", "checkpoint")) == told < 8
    away.rename(store)
    end = await place.ended("run")
    assert end.outcome == COMPLETED
    checkpoints = place.gateway.payloads("run", "checkpoint")
    assert [item.epoch for item in checkpoints] == list(range(1, 9))
    assert all(place.store.get(item.storage_path + file.name) for item in checkpoints for file in item.files)


async def test_a_stop_command_of_the_gateway_ends_the_run_as_stopped(place: RunPlace) -> None:
    place.start("run", epochs=500, step_seconds=0.02)
    await _until_epoch(place, "run", 1)
    place.gateway.commands["run"] = telemetry_pb2.RUN_COMMAND_STOP
    end = await place.ended("run")
    assert end == run_pb2.RunEnd(outcome=STOPPED)
    assert place.gateway.payloads("run", "checkpoint")[-1].epoch == place.gateway.payloads("run", "metric")[-1].epoch


async def test_an_abandoned_run_is_killed_and_publishes_nothing_more(place: RunPlace) -> None:
    folder = place.start("run", epochs=500, step_seconds=0.02)
    await _until_epoch(place, "run", 1)
    pid = _training_pid(folder)
    place.gateway.commands["run"] = telemetry_pb2.RUN_COMMAND_ABANDON
    await place.gateway.until(folder.is_ended)
    assert folder.ended_why() == "abandoned" and place.gateway.end("run") is None
    # Killed; whoever is its parent removes it.
    await place.gateway.until(lambda: not _is_alive(pid))


async def test_a_stop_while_the_dataset_cannot_be_fetched_ends_at_once(place: RunPlace) -> None:
    # A file where the store's folder belongs: the agent waits for the store.
    (place.root / "store").rename(place.root / "away")
    (place.root / "store").touch()
    folder = place.start("run")
    await place.gateway.until(lambda: place.gateway.payloads("run", "log"))
    folder.request_stop()
    end = await place.ended("run")
    assert end.outcome == STOPPED and folder.training_process() is None


async def test_a_dataset_that_differs_from_its_manifest_fails_the_run(place: RunPlace) -> None:
    spec = place.spec("run")
    spec.manifest_digest = "0" * 64
    place.launch(spec)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "STORAGE_CORRUPT")


async def test_a_checkpoint_that_cannot_be_read_fails_the_run_and_ends_the_training(place: RunPlace) -> None:
    folder = place.start("run", epochs=1000, step_seconds=0.02, ending="empty checkpoint")
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "STORAGE_CORRUPT")
    assert "epoch 1" in end.failure.message and not _is_alive(_training_pid(folder))


async def test_a_training_that_does_not_stop_in_time_is_killed_and_counts_as_stopped(place: RunPlace) -> None:
    place.launcher._agent_settings = place.launcher._agent_settings.model_copy(update={"stop_grace_seconds": 0.3})
    folder = place.start("run", epochs=1000, step_seconds=0.02, ending="deaf")
    await _until_epoch(place, "run", 1)
    folder.request_stop()
    assert (await place.ended("run")).outcome == STOPPED
    assert folder.exit_code() == -9 and place.gateway.payloads("run", "checkpoint")


async def test_a_checkpoint_object_that_was_swapped_is_not_resumed_from(place: RunPlace) -> None:
    place.start("first", epochs=1)
    await place.ended("first")
    checkpoint = place.gateway.payloads("first", "checkpoint")[0]
    swapped = checkpoint.files[0]
    place.store.put(checkpoint.storage_path.rstrip("/") + "/" + swapped.name, b"of another job")
    spec = place.spec("second")
    spec.resume_from.CopyFrom(
        run_pb2.CheckpointRef(
            checkpoint_id=checkpoint.id,
            storage_path=checkpoint.storage_path,
            files=checkpoint.files,
            digest=checkpoint.digest,
            epoch=1,
        )
    )
    place.launch(spec)
    end = await place.ended("second")
    assert (end.outcome, end.failure.reason) == (FAILED, "STORAGE_CORRUPT")
    assert swapped.name in end.failure.message and swapped.sha256 in end.failure.message
    # For the gateway, which goes on from another one.
    assert dict(end.failure.metadata) == {"checkpoint_id": checkpoint.id}
    assert not place.gateway.payloads("second", "training_start")


async def test_a_resumed_run_goes_on_from_its_checkpoint_and_judges_by_the_best_so_far(place: RunPlace) -> None:
    place.start("first", epochs=1, accuracies=[0.8])
    await place.ended("first")
    checkpoint = place.gateway.payloads("first", "checkpoint")[0]
    spec = place.spec("second", epochs=3, accuracies=[0.8, 0.7, 0.9])
    spec.best_metric = 0.8
    spec.resume_from.CopyFrom(
        run_pb2.CheckpointRef(
            checkpoint_id=checkpoint.id,
            storage_path=checkpoint.storage_path,
            files=checkpoint.files,
            digest=checkpoint.digest,
            epoch=1,
        )
    )
    place.launch(spec)
    assert (await place.ended("second")).outcome == COMPLETED
    checkpoints = place.gateway.payloads("second", "checkpoint")
    assert [(item.epoch, item.is_best) for item in checkpoints] == [(2, False), (3, True)]
    assert place.gateway.payloads("second", "training_start")[0].start_epoch == 2


async def test_a_warm_start_fetches_the_weights_alone_and_begins_at_the_first_epoch(place: RunPlace) -> None:
    checkpoint = await _checkpoint(place)
    spec = _warm(place, checkpoint)
    # Nobody needs the source's training state: it may be gone.
    place.store.delete(checkpoint.storage_path + "training_state.safetensors")
    place.launch(spec)
    assert (await place.ended("warm")).outcome == COMPLETED
    assert place.gateway.payloads("warm", "training_start")[0].start_epoch == 1
    assert [item.epoch for item in place.gateway.payloads("warm", "checkpoint")] == [1, 2]
    lines = [line.message for line in place.gateway.payloads("warm", "log")]
    assert "starting with the weights of epoch 1; files: ['weights.safetensors']" in lines


@pytest.mark.parametrize("damage", ["changed", "truncated", "gone"])
async def test_damaged_weights_fail_a_warm_start_and_are_named_by_digest(place: RunPlace, damage: str) -> None:
    checkpoint = await _checkpoint(place)
    key = checkpoint.storage_path + "weights.safetensors"
    data = place.store.get(key)
    place.store.delete(key)
    if damage != "gone":
        place.store.put(key, data[:-1] if damage == "truncated" else data[::-1])
    place.launch(_warm(place, checkpoint))
    end = await place.ended("warm")
    assert (end.outcome, end.failure.reason) == (FAILED, "STORAGE_CORRUPT")
    [sha256] = [file.sha256 for file in checkpoint.files if file.name == "weights.safetensors"]
    assert checkpoint.digest in end.failure.message and sha256 in end.failure.message
    assert checkpoint.id in end.failure.message
    assert place.folder("warm").training_process() is None


async def test_the_training_is_told_where_pretrained_weights_lie(place: RunPlace) -> None:
    # As an operator may write it: relative to where the server was started.
    place.launcher = place.new_launcher(pretrained_folder=_relative(place.root / "pretrained"))
    place.start("run", epochs=1)
    assert (await place.ended("run")).outcome == COMPLETED
    lines = [line.message for line in place.gateway.payloads("run", "log")]
    assert f"pretrained weights lie in {place.root / 'pretrained'}" in lines


async def test_the_agent_needs_no_torch(place: RunPlace) -> None:
    folder = place.start("run", epochs=50, step_seconds=0.05)
    await _until_epoch(place, "run", 1)
    agent = folder.agent_process()
    assert agent is not None
    assert not [entry.path for entry in psutil.Process(agent.pid).memory_maps() if "torch" in entry.path]


def _relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


async def _checkpoint(place: RunPlace) -> checkpoint_pb2.Checkpoint:
    """What a run of one epoch has published."""
    place.start("source", epochs=1)
    await place.ended("source")
    checkpoint: checkpoint_pb2.Checkpoint = place.gateway.payloads("source", "checkpoint")[0]
    return checkpoint


def _warm(place: RunPlace, checkpoint: checkpoint_pb2.Checkpoint) -> run_pb2.RunSpec:
    spec = place.spec("warm")
    spec.start_from.CopyFrom(
        run_pb2.CheckpointRef(
            checkpoint_id=checkpoint.id,
            storage_path=checkpoint.storage_path,
            files=checkpoint.files,
            digest=checkpoint.digest,
            epoch=1,
        )
    )
    return spec
