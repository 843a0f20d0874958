"""What cannot be trained is refused with a sentence that says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer_timm.helpers import Recorder, make_spec, write_dataset
from trainer.adapter import BadTrainingData, Sample, TrainingDataset, TrainingSpec
from trainer.runs.failures import failure_of
from trainer_timm.adapter import TimmAdapter
from visionmesh.mesh.v1 import run_pb2


def refusal(dataset: TrainingDataset, folder: Path, spec: TrainingSpec | None = None) -> str:
    recorder = Recorder()
    with pytest.raises(BadTrainingData) as caught:
        TimmAdapter().train(spec or make_spec(epochs=1), dataset, folder, recorder)
    assert recorder.checkpoints == []
    return str(caught.value)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("content", [b"not an image", b"", b"half"])
def test_an_unreadable_image_is_named(split: str, content: bytes, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data")
    broken = tmp_path / "data" / split / "3.png"
    broken.write_bytes(broken.read_bytes()[:200] if content == b"half" else content)
    message = refusal(dataset, tmp_path / "run")
    assert message.startswith(f"{split}/3.png cannot be read as an image")
    assert str(tmp_path) not in message


def test_a_missing_image_is_named_before_training_begins(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data")
    (tmp_path / "data" / "val" / "2.png").unlink()
    assert refusal(dataset, tmp_path / "run") == "val/2.png cannot be read as an image: it is missing."


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", class_names=("only",))
    assert refusal(dataset, tmp_path / "run") == "Classification needs at least two classes; the dataset has 1."


def test_images_of_one_class_are_not_enough(textures: TrainingDataset, tmp_path: Path) -> None:
    ones = tuple(sample for sample in textures.samples if sample.split == "val" or sample.label_id == 1)
    assert "of class b" in refusal(replace(textures, samples=ones), tmp_path)


def test_empty_splits(textures: TrainingDataset, tmp_path: Path) -> None:
    train_only = tuple(textures.split("train"))
    assert "val split has no images" in refusal(replace(textures, samples=train_only), tmp_path)
    val_only = tuple(textures.split("val"))
    assert "at least two images; it has 0" in refusal(replace(textures, samples=val_only), tmp_path)


@pytest.mark.parametrize("label_id", [-1, 3])
def test_a_label_without_a_class(label_id: int, textures: TrainingDataset, tmp_path: Path) -> None:
    samples = (*textures.samples, Sample("train/0.png", "train", label_id))
    assert refusal(replace(textures, samples=samples), tmp_path) == (
        f"train/0.png has label id {label_id}, but there are 3 classes."
    )


def test_a_primary_metric_that_is_not_measured(textures: TrainingDataset, tmp_path: Path) -> None:
    message = refusal(textures, tmp_path, make_spec(primary_metric="top9_accuracy"))
    assert "top9_accuracy is not measured" in message and "'accuracy'" in message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (make_spec(model_name="no_such_model"), "no model named no_such_model"),
        (make_spec(model_name="resnet18.no_such_tag"), "no model named resnet18.no_such_tag"),
        (make_spec(model_name="test_vit", image_size=40), "40 pixels"),
        (make_spec(model_name="test_convnext", image_size=16), "16 pixels"),
        (make_spec(batch_size=1), "larger batch_size"),
    ],
    ids=["model", "tag", "patches", "stem", "batch"],
)
def test_a_specification_that_the_model_cannot_follow(
    spec: TrainingSpec, words: str, textures: TrainingDataset, tmp_path: Path
) -> None:
    assert words in refusal(textures, tmp_path, spec)


def test_resuming_another_model(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec(epochs=1), textures, tmp_path / "first", recorder)
    spec = make_spec(model_name="test_efficientnet", resume_from=recorder.checkpoints[-1][1])
    assert "another model" in refusal(textures, tmp_path / "second", spec)


def test_a_batch_that_does_not_fit_into_memory(
    textures: TrainingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> None:
        torch.empty(1 << 50)  # the allocator's own words

    def exhaust_device(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")  # a CPU never says so

    for kind in (exhaust, exhaust_device):
        monkeypatch.setattr("trainer_timm.training.train_epoch", kind)
        with pytest.raises(RuntimeError) as caught:
            TimmAdapter().train(make_spec(epochs=1), textures, tmp_path / kind.__name__, Recorder())
        failure = failure_of(caught.value, run_pb2.RunSpec(batch_size=8, image_size=32))
        assert failure.reason == "OUT_OF_MEMORY"
        assert "Batches of 8 images of 32 pixels need more memory" in failure.message
