"""A training begins with the weights of another, whose classes may have been others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer_yolo.helpers import CLASS_NAMES, Recorder, make_spec
from trainer.adapter import BadTrainingData, TrainingDataset
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.checkpoint import load_training_state, read_weights
from trainer_yolo.names import CLASSIFICATION, DETECTION, SEGMENTATION, TASKS

DatasetOf = Callable[[str], TrainingDataset]
# The last layer of a detector that tells classes apart, at the finest scale.
ROWS = "model.23.cv3.0.2.bias"


@pytest.fixture(scope="module")
def source(dataset_of: DatasetOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of discs and squares."""
    recorder = Recorder()
    assert YoloAdapter().train(
        make_spec(epochs=1, learning_rate=0.01), dataset_of(DETECTION), tmp_path_factory.mktemp("source"), recorder
    )
    return recorder.checkpoints[-1][1]


def begun(source: Path, dataset: TrainingDataset, folder: Path, task_type: str = DETECTION) -> tuple[Recorder, Path]:
    """A training of one epoch that moves no weight."""
    recorder = Recorder()
    spec = make_spec(task_type, epochs=1, learning_rate=0.0, initial_weights=source, pretrained=True)
    assert YoloAdapter().train(spec, dataset, folder, recorder)
    return recorder, recorder.checkpoints[-1][1]


def test_the_same_classes_keep_every_weight(source: Path, dataset_of: DatasetOf, tmp_path: Path) -> None:
    recorder, folder = begun(source, dataset_of(DETECTION), tmp_path)
    given, taken = read_weights(source)[1], load_training_state(folder).weights
    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert all(torch.equal(given[name], taken[name]) for name in given if not name.endswith(moving))
    [line] = [line for _, line in recorder.lines if line.startswith("Warm start")]
    total = len(given)
    assert f"{total} of {total} tensors taken over" in line and "2 of the 2 classes" in line
    assert "pretrained is ignored" in line
    assert recorder.beginnings[0][:2] == (1, 1)


def test_classes_in_another_order_take_their_rows_with_them(
    source: Path, dataset_of: DatasetOf, tmp_path: Path
) -> None:
    turned = replace(dataset_of(DETECTION), class_names=CLASS_NAMES[::-1])
    _, folder = begun(source, turned, tmp_path)
    given, taken = read_weights(source)[1], load_training_state(folder).weights
    assert not torch.equal(given[ROWS], given[ROWS].flip(0))
    assert torch.equal(taken[ROWS], given[ROWS].flip(0))


def test_more_classes_keep_what_is_known_of_the_old_ones(source: Path, dataset_of: DatasetOf, tmp_path: Path) -> None:
    more = replace(dataset_of(DETECTION), class_names=("new", *CLASS_NAMES))
    recorder, folder = begun(source, more, tmp_path)
    given, taken = read_weights(source)[1], load_training_state(folder).weights
    assert torch.equal(taken[ROWS][1:], given[ROWS])
    assert any("2 of the 3 classes" in line for _, line in recorder.lines)
    assert torch.equal(taken["model.0.conv.weight"], given["model.0.conv.weight"])


def test_weights_of_another_model_or_of_nothing_are_refused(
    source: Path, dataset_of: DatasetOf, tmp_path: Path
) -> None:
    spec = make_spec(SEGMENTATION, initial_weights=source)
    with pytest.raises(BadTrainingData, match="are of yolo11p, not of yolo11p-seg"):
        YoloAdapter().train(spec, dataset_of(SEGMENTATION), tmp_path, Recorder())
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadTrainingData, match="The weights to start from cannot be used"):
        YoloAdapter().train(make_spec(initial_weights=tmp_path), dataset_of(DETECTION), tmp_path, Recorder())


def test_a_checkpoint_of_other_classes_cannot_be_resumed(source: Path, dataset_of: DatasetOf, tmp_path: Path) -> None:
    other = replace(dataset_of(DETECTION), class_names=("a", "b"))
    with pytest.raises(BadTrainingData, match="another model, other classes or other keypoints"):
        YoloAdapter().train(make_spec(resume_from=source, epochs=3), other, tmp_path, Recorder())


@pytest.mark.parametrize("task_type", [task for task in TASKS if task != DETECTION])
def test_every_task_can_be_started_from_its_own(task_type: str, dataset_of: DatasetOf, tmp_path: Path) -> None:
    first = Recorder()
    assert YoloAdapter().train(make_spec(task_type, epochs=1), dataset_of(task_type), tmp_path / "a", first)
    _, folder = begun(first.checkpoints[-1][1], dataset_of(task_type), tmp_path / "b", task_type)
    given, taken = read_weights(first.checkpoints[-1][1])[1], load_training_state(folder).weights
    last = "model.10.linear.weight" if task_type == CLASSIFICATION else ROWS
    assert torch.equal(given[last], taken[last])
