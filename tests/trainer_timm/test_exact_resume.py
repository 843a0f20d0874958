"""A training that was stopped and resumed equals one that never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_timm.helpers import DEFAULTS, Recorder, Reported, make_spec
from trainer.adapter import ConfigValue, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_model, load_training_state
from trainer_timm.fields.optimizer import OPTIMIZER

OPTIMIZERS = [option.value for option in OPTIMIZER[0].options]
# Everything random at once.
RANDOM: dict[str, ConfigValue] = {
    **DEFAULTS,
    "augmentation.auto_augment": "rand-m9-mstd0.5-inc1",
    "augmentation.random_erasing": 0.5,
    "regularization.drop_rate": 0.3,
    "regularization.drop_path_rate": 0.2,
    "scheduler.warmup_epochs": 1,
}
EVERYTHING: dict[str, ConfigValue] = {
    **RANDOM,
    "ema.enabled": True,
    "mixing.type": "both",
    "mixing.mode": "elem",
    "gradient.accumulation": 2,
    "gradient.clip_mode": "agc",
    "optimizer.layer_decay": 0.8,
    "loss.type": "bce",
    "loss.class_weights": "balanced",
    "loading.balanced_sampling": True,
}
# Each with the metric that decides, and the epoch amid which the training is stopped.
STORIES: dict[str, tuple[dict[str, ConfigValue], str, int]] = {
    "everything": (EVERYTHING, "accuracy", 2),
    # So slow an average predicts one class throughout: the plateau counts, and steps down.
    "plateau": (
        {**EVERYTHING, "scheduler.type": "plateau", "scheduler.patience": 1, "ema.warmup": False},
        "accuracy",
        3,
    ),
    "plateau in its warm-up": ({**RANDOM, "scheduler.type": "plateau", "scheduler.warmup_epochs": 2}, "loss", 2),
    "epochs": ({**RANDOM, "scheduler.interval": "epoch", "ema.enabled": True, "ema.warmup": False}, "accuracy", 2),
    "cycles": (
        {**RANDOM, "scheduler.cycles": 2, "scheduler.cycle_multiplier": 2.0, "loss.type": "focal"},
        "accuracy",
        3,
    ),
    "thaw": ({**RANDOM, "freeze.backbone_epochs": 2, "ema.enabled": True, "optimizer.type": "lamb"}, "accuracy", 3),
    "mixing ends": ({**EVERYTHING, "mixing.last_epoch": 2, "mixing.mode": "batch"}, "accuracy", 3),
    "early stopping": (
        {**RANDOM, "early_stopping.enabled": True, "early_stopping.patience": 3, "early_stopping.min_change": 100.0},
        "accuracy",
        3,
    ),
    "rare checkpoints": ({**RANDOM, "checkpoint.interval": 2, "ema.enabled": True}, "loss", 4),
    "workers": ({**RANDOM, "loading.workers": 1}, "accuracy", 2),
}
# Of 15 images in batches of 8 an epoch asks twice in training and once in validation.
ASKED_PER_EPOCH = 3


def told(epoch: Reported) -> tuple[object, ...]:
    extra = {name: value for name, value in epoch.extra.items() if name != "samples_per_second"}
    return epoch.epoch, epoch.step, epoch.loss, epoch.accuracy, epoch.learning_rate, extra


def final_state(recorder: Recorder) -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
    """Every tensor that a training ends with, and all else of its state."""
    folder = recorder.checkpoints[-1][1]
    state = load_training_state(folder)
    tensors = dict(load_model(folder)[1])
    tensors |= {f"own {name}": tensor for name, tensor in (state.weights or {}).items()}
    for parameter, values in state.optimizer["state"].items():
        tensors |= {
            f"{parameter} {name}": torch.as_tensor(value) for name, value in values.items() if value is not None
        }
    rest = {
        "groups": [{**group, "params": list(group["params"])} for group in state.optimizer["param_groups"]],
        "counts": (state.epoch, state.updates, state.best_metric),
        "scheduler": state.scheduler,
        "early_stopping": state.early_stopping,
    }
    return tensors, rest


def check(
    config: Mapping[str, ConfigValue], dataset: TrainingDataset, folder: Path, metric: str, stop_in: int, epochs: int
) -> Recorder:
    """Train once through and once with a stop in the middle of an epoch; return the first telling."""
    adapter = TimmAdapter()
    whole, stopped, resumed = Recorder(), Recorder(stop_at=(stop_in - 1) * ASKED_PER_EPOCH + 2), Recorder()
    assert adapter.train(make_spec(config, epochs=epochs, primary_metric=metric), dataset, folder / "whole", whole)
    assert not adapter.train(make_spec(config, epochs=epochs, primary_metric=metric), dataset, folder / "cut", stopped)
    kept = stopped.checkpoints[-1][0]
    assert kept < stop_in
    spec = make_spec(config, epochs=epochs, primary_metric=metric, resume_from=stopped.checkpoints[-1][1])
    assert adapter.train(spec, dataset, folder / "resumed", resumed)

    assert resumed.beginnings[0][:2] == (epochs, kept + 1)
    # To the last bit, which is more than the 1e-6 that is promised.
    assert [told(epoch) for epoch in resumed.epochs] == [told(epoch) for epoch in whole.epochs[kept:]]
    tensors, rest = final_state(whole)
    other_tensors, other_rest = final_state(resumed)
    assert tensors.keys() == other_tensors.keys()
    assert all(torch.equal(tensors[name], other_tensors[name]) for name in tensors)
    assert str(rest) == str(other_rest)
    return whole


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_every_optimiser(optimizer: str, textures: TrainingDataset, tmp_path: Path) -> None:
    check({**DEFAULTS, "optimizer.type": optimizer}, textures, tmp_path, "accuracy", stop_in=2, epochs=2)


@pytest.mark.parametrize("name", STORIES)
def test_whatever_is_switched_on(name: str, textures: TrainingDataset, tmp_path: Path) -> None:
    config, metric, stop_in = STORIES[name]
    whole = check(config, textures, tmp_path, metric, stop_in, epochs=5)
    if name == "early stopping":
        assert [epoch.epoch for epoch in whole.epochs] == [1, 2, 3, 4]
    if name == "plateau":
        assert whole.epochs[-1].learning_rate < whole.epochs[1].learning_rate
