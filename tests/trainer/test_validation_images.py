"""What a model said of each validation image, from the training process to the object store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.local import LocalObjectStore
from storage.objects.object_images import ObjectImage, ObjectMatch
from storage.objects.validation_images import ValidationImage, ValidationImages
from tests.trainer.run_place import RunPlace
from trainer.runs.agent_events import AgentEvents
from trainer.runs.folder import RunFolder
from trainer.runs.object_signing import ObjectSigner
from trainer.runs.reporter import MAX_CONFUSION_CLASSES, SpoolReporter
from trainer.runs.spool import SpoolReader
from trainer.runs.store_access import StoreAccess
from trainer.runs.uploads import CheckpointLost, CheckpointUploads
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2

ROW = {"path": "val/cat/2.png", "label_id": 0, "predictions": [(1, 0.75), (0, 0.25)], "loss": 1.5}
SPEC = run_pb2.RunSpec(run_id="run", job_id="job", project_id="project", primary_metric="accuracy")


class Killed(Exception):
    """The agent's end."""


class DyingEvents(AgentEvents):
    """An agent that is killed when all is uploaded and nothing is told."""

    def checkpoint(self, checkpoint: checkpoint_pb2.Checkpoint) -> None:
        raise Killed


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "store")


def tell(reporter: SpoolReporter, folder: RunFolder, epoch: int, rows: list[dict[str, object]] | None) -> None:
    """An epoch with a checkpoint."""
    reporter.validation(epoch, {"metrics": {"accuracy": 0.5}, **({} if rows is None else {"images": rows})})
    checkpoint = folder.path / "checkpoints" / str(epoch)
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights.safetensors").write_text("weights")
    reporter.checkpoint(epoch, checkpoint, True, {"accuracy": 0.5})


async def upload(folder: RunFolder, events: AgentEvents) -> None:
    over = asyncio.Event()
    over.set()
    access = StoreAccess(str(folder.path.parent / "store"), events, ObjectSigner("", "").sign)
    await CheckpointUploads(folder, SPEC, access, events).follow(over)


def locals_of(folder: RunFolder) -> list[run_pb2.LocalCheckpoint]:
    events = [record.event for record in SpoolReader(folder.training_spool).read(0)]
    return [event.local_checkpoint for event in events if event.HasField("local_checkpoint")]


async def test_a_run_leaves_what_each_checkpoint_said(place: RunPlace) -> None:
    folder = place.start("run", epochs=2, accuracies=[0.5, 0.25])
    await place.ended("run")
    first, second = place.gateway.payloads("run", "checkpoint")
    assert first.validation_images.storage_path == keys.validation_images("project", "job", first.id)
    for checkpoint, accuracy in ((first, 0.5), (second, 0.25)):
        stored = checkpoint.validation_images
        data = place.store.get(stored.storage_path)
        assert (sha256_bytes(data), len(data)) == (stored.sha256, stored.size_bytes)
        images = ValidationImages.decode(data)
        assert (images.epoch, images.class_names) == (checkpoint.epoch, ("cat", "dog"))
        assert [images[0]] == [ValidationImage("val/cat/2.png", 0, ((1, accuracy),), 1 / checkpoint.epoch)]
    # They are no part of the checkpoint itself, which trainers fetch.
    assert {file.name for file in first.files} == {"weights.safetensors", "training_state.safetensors"}
    assert not (folder.path / "validation-images").exists()


async def test_an_upload_that_was_cut_off_is_done_again_in_place(folder: RunFolder, store: LocalObjectStore) -> None:
    tell(SpoolReporter(folder, ["cat", "dog"]), folder, 1, [ROW])
    with pytest.raises(Killed):
        await upload(folder, DyingEvents(folder))
    [orphan] = store.list(keys.VALIDATION_IMAGES)
    assert (folder.path / locals_of(folder)[0].validation_images).is_file()

    events = AgentEvents(folder)
    await upload(folder, events)
    [checkpoint] = events.checkpoints
    assert checkpoint.validation_images.storage_path == orphan.key
    assert [info.key for info in store.list(keys.VALIDATION_IMAGES)] == [orphan.key]
    assert sha256_bytes(store.get(orphan.key)) == checkpoint.validation_images.sha256
    assert not (folder.path / locals_of(folder)[0].validation_images).exists()
    # A third agent has nothing left to do, and a file that is gone is not missed.
    again = AgentEvents(folder)
    await upload(folder, again)
    assert len(again.checkpoints) == 1


async def test_rows_that_are_gone_before_they_are_published_fail_the_run(
    folder: RunFolder, store: LocalObjectStore
) -> None:
    tell(SpoolReporter(folder, ["cat", "dog"]), folder, 1, [ROW])
    (folder.path / locals_of(folder)[0].validation_images).unlink()
    with pytest.raises(CheckpointLost, match="epoch 1"):
        await upload(folder, AgentEvents(folder))


async def test_a_framework_need_not_tell_of_images(folder: RunFolder, store: LocalObjectStore) -> None:
    tell(SpoolReporter(folder, ["cat", "dog"]), folder, 1, None)
    events = AgentEvents(folder)
    await upload(folder, events)
    assert not events.checkpoints[0].HasField("validation_images")


def test_rows_go_with_the_checkpoint_of_their_epoch(folder: RunFolder) -> None:
    reporter = SpoolReporter(folder, ["cat", "dog"])
    reporter.validation(1, {"images": [ROW]})  # without a checkpoint
    tell(reporter, folder, 2, [ROW])
    tell(reporter, folder, 3, None)
    assert [item.validation_images for item in locals_of(folder)] == ["validation-images/epoch-2.jsonl.gz", ""]
    assert [path.name for path in (folder.path / "validation-images").iterdir()] == ["epoch-2.jsonl.gz"]


def test_only_the_five_most_likely_classes_are_kept(folder: RunFolder) -> None:
    reporter = SpoolReporter(folder, [str(number) for number in range(9)])
    predictions = [(number, 0.1) for number in range(9)]
    tell(reporter, folder, 1, [{**ROW, "predictions": predictions}])
    images = ValidationImages.decode((folder.path / locals_of(folder)[0].validation_images).read_bytes())
    assert images[0] == ValidationImage("val/cat/2.png", 0, tuple(predictions[:5]), 1.5)


def test_objects_are_kept_under_the_names_that_the_training_has_for_them(folder: RunFolder) -> None:
    reporter = SpoolReporter(folder, ["cat", "dog"])
    found = (0, 0, 0.75, 0.5, [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.5, 4.0])
    row = {"path": "val/1.png", "width": 640, "height": 480, "objects": [found]}
    reporter.validation(1, {"images": [row], "class_names": ("item",)})
    images = ValidationImages.decode((folder.path / "validation-images" / "epoch-1.jsonl.gz").read_bytes())
    match = ObjectMatch(0, 0, 0.75, 0.5, (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.5, 4.0))
    assert (images.class_names, images[0]) == (("item",), ObjectImage("val/1.png", 640, 480, (match,)))


@pytest.mark.parametrize("classes", [MAX_CONFUSION_CLASSES, MAX_CONFUSION_CLASSES + 1])
def test_the_matrix_of_many_classes_stays_out_of_the_event(folder: RunFolder, classes: int) -> None:
    scores = [{"precision": 0.5, "recall": 1.0, "f1": 0.75, "support": 4}] * classes
    matrix = [[7] * classes] * classes
    reporter = SpoolReporter(folder, [str(number) for number in range(classes)])
    reporter.validation(1, {"per_class": scores, "confusion_matrix": matrix})
    [record] = SpoolReader(folder.training_spool).read(0)
    assert len(record.event.validation.classes) == classes
    assert len(record.event.validation.confusion_matrix) == (classes if classes <= MAX_CONFUSION_CLASSES else 0)
    assert record.event.ByteSize() < 64 << 10
