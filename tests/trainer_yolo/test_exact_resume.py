"""A training that was stopped and resumed equals one that never stopped, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_yolo.helpers import TINY_TRANSFORMER, Recorder, Reported, defaults, make_spec
from trainer.adapter import ConfigValue, TrainingDataset
from trainer_torch.checkpoint_writer import CheckpointWriter
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.checkpoint import load_training_state, read_weights
from trainer_yolo.fields.optimization import OPTIMIZER
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION, TASKS

DatasetOf = Callable[[str], TrainingDataset]

OPTIMIZERS = [option.value for option in OPTIMIZER.options]
# Everything random at once, accumulation that does not end with an epoch, and a mosaic that closes on the way.
RANDOM: dict[str, ConfigValue] = {
    "optimizer.nbs": 8,
    "scheduler.warmup_epochs": 1.5,
    "augmentation.mosaic": 0.7,
    "augmentation.close_mosaic": 1,
    "augmentation.mixup": 0.5,
    "augmentation.cutmix": 0.5,
    "augmentation.copy_paste": 0.5,
    "augmentation.degrees": 20.0,
    "augmentation.fliplr": 0.5,
    "augmentation.hsv_h": 0.1,
    "augmentation.scale": 0.4,
    "augmentation.multi_scale": 0.5,
    "augmentation.erasing": 0.5,
    "augmentation.auto_augment": "randaugment",
    "learning.dropout": 0.3,
}


def random_config(task_type: str, **more: ConfigValue) -> dict[str, ConfigValue]:
    known = defaults(task_type)
    given = {**RANDOM, **{name.replace("__", "."): value for name, value in more.items()}}
    return {name: value for name, value in given.items() if name in known}


def told(epoch: Reported) -> tuple[object, ...]:
    extra = {name: value for name, value in epoch.extra.items() if name != "samples_per_second"}
    return epoch.epoch, epoch.step, epoch.loss, epoch.accuracy, epoch.learning_rate, extra


def final_state(folder: Path) -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
    """Every tensor of a checkpoint, and all else of its state."""
    state = load_training_state(folder)
    tensors = dict(read_weights(folder)[1])
    tensors |= {f"own {name}": tensor for name, tensor in state.weights.items()}
    for parameter, values in state.optimizer["state"].items():
        tensors |= {f"{parameter} {name}": torch.as_tensor(v) for name, v in values.items() if v is not None}
    rest = {
        "groups": state.optimizer["param_groups"],
        "counts": (state.epoch, state.updates, state.best_metric),
        "early_stopping": state.early_stopping,
    }
    return tensors, rest


def check(
    task_type: str,
    config: Mapping[str, ConfigValue],
    dataset: TrainingDataset,
    folder: Path,
    *,
    stop_in: int = 3,
    epochs: int = 4,
    model_name: str = "",
) -> None:
    """Train once through and once with a stop in the middle of an epoch."""
    adapter = YoloAdapter()
    whole = Recorder()
    spec = make_spec(task_type, config, epochs=epochs, model_name=model_name)
    assert adapter.train(spec, dataset, folder / "whole", whole)
    asked_per_epoch = whole.asked // len(whole.epochs)

    stopped, resumed = Recorder(stop_at=(stop_in - 1) * asked_per_epoch + 2), Recorder()
    assert not adapter.train(spec, dataset, folder / "cut", stopped)
    kept, checkpoint = stopped.checkpoints[-1][:2]
    assert kept == stop_in - 1
    spec = make_spec(task_type, config, epochs=epochs, model_name=model_name, resume_from=checkpoint)
    assert adapter.train(spec, dataset, folder / "resumed", resumed)

    assert resumed.beginnings[0][:2] == (epochs, kept + 1)
    assert [told(epoch) for epoch in resumed.epochs] == [told(epoch) for epoch in whole.epochs[kept:]]
    tensors, rest = final_state(whole.checkpoints[-1][1])
    other_tensors, other_rest = final_state(resumed.checkpoints[-1][1])
    assert tensors.keys() == other_tensors.keys()
    assert all(torch.equal(tensors[name], other_tensors[name]) for name in tensors)
    assert _plain(rest) == _plain(other_rest)


def _plain(value: Any) -> Any:
    """JSON knows no tuples."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("task_type", TASKS)
def test_with_everything_random(task_type: str, dataset_of: DatasetOf, tmp_path: Path) -> None:
    check(task_type, random_config(task_type), dataset_of(task_type), tmp_path)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_every_optimiser(optimizer: str, dataset_of: DatasetOf, tmp_path: Path) -> None:
    config: dict[str, ConfigValue] = {"optimizer.type": optimizer}
    check(CLASSIFICATION, config, dataset_of(CLASSIFICATION), tmp_path, stop_in=2, epochs=2)


def test_with_workers_that_read_the_images(dataset_of: DatasetOf, tmp_path: Path) -> None:
    config = random_config(DETECTION, computation__workers=2)
    check(DETECTION, config, dataset_of(DETECTION), tmp_path, epochs=3)


def test_with_a_loss_whose_gains_move_from_epoch_to_epoch(dataset_of: DatasetOf, tmp_path: Path) -> None:
    check(DETECTION, random_config(DETECTION), dataset_of(DETECTION), tmp_path, epochs=4, model_name="yolo26n")


def test_with_rt_detr(dataset_of: DatasetOf, tmp_path: Path) -> None:
    config = {name: value for name, value in random_config(DETECTION).items() if name != "augmentation.multi_scale"}
    check(DETECTION, config, dataset_of(DETECTION), tmp_path, epochs=3, model_name=TINY_TRANSFORMER)


def test_a_resumed_training_begins_with_the_state_of_the_checkpoint_to_the_last_bit(
    dataset_of: DatasetOf, tmp_path: Path
) -> None:
    from trainer_yolo.data import read_data
    from trainer_yolo.definitions import definitions
    from trainer_yolo.training import Run  # the part between reading and learning

    recorder = Recorder()
    dataset = dataset_of(SEGMENTATION)
    assert YoloAdapter().train(make_spec(SEGMENTATION), dataset, tmp_path / "first", recorder)
    folder = recorder.checkpoints[-1][1]
    spec = make_spec(SEGMENTATION, epochs=4, resume_from=folder)
    data = read_data(dataset, SEGMENTATION, single_class=False)
    writer = CheckpointWriter(tmp_path)
    trainer = Run(spec, definitions()[spec.model_name], data, tmp_path, writer, Recorder(), {}, None).trainer()
    trainer._setup_train()

    state, average = load_training_state(folder), read_weights(folder)[1]
    for live, kept in ((trainer.model.state_dict(), state.weights), (trainer.ema.ema.state_dict(), average)):
        assert live.keys() == kept.keys()
        assert all(torch.equal(live[name], kept[name]) for name in live)
    moments = trainer.optimizer.state_dict()["state"]
    assert moments.keys() == state.optimizer["state"].keys()
    for parameter, values in moments.items():
        assert all(torch.equal(values[name], state.optimizer["state"][parameter][name]) for name in values)
    assert trainer.ema.updates == state.updates == 6
    assert trainer.start_epoch == 2


@pytest.mark.parametrize("task_type", [POSE, ORIENTED])
def test_a_checkpoint_with_all_epochs_has_nothing_left_to_train(
    task_type: str, dataset_of: DatasetOf, tmp_path: Path
) -> None:
    recorder, again = Recorder(), Recorder()
    assert YoloAdapter().train(make_spec(task_type, epochs=1), dataset_of(task_type), tmp_path / "a", recorder)
    spec = make_spec(task_type, epochs=1, resume_from=recorder.checkpoints[-1][1])
    assert YoloAdapter().train(spec, dataset_of(task_type), tmp_path / "b", again)
    assert not again.epochs
