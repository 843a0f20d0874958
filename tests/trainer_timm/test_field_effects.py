"""Every field of the schema changes the training, and in the way that it says.

For each field two short trainings differ in it alone. A field without an observation fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tests.trainer_timm.helpers import PLAIN, Recorder, make_spec
from trainer.adapter import ConfigField, ConfigValue, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_model, load_training_state
from trainer_timm.models import build_model
from trainer_timm.schema import classification_schema
from trainer_timm.seeding import seed_epoch

FIELDS = classification_schema(mixed_precision=True).fields


@dataclass(frozen=True)
class Outcome:
    """What a training left behind."""

    weights: dict[str, torch.Tensor]
    optimizer_tensors: set[str]
    losses: list[float]
    learning_rates: list[float]

    @property
    def distance(self) -> float:
        """L2 distance of the weights from where they began."""
        seed_epoch(make_spec().seed, 0)
        start = build_model("test_resnet", 3, 32).state_dict()
        names = [name for name in start if name.endswith("weight")]
        return float(sum(((self.weights[name] - start[name]) ** 2).sum() for name in names) ** 0.5)

    @property
    def kernel_norm(self) -> float:
        """L2 norm of the decayed weights, which are those of more than one dimension."""
        return float(sum((weight**2).sum() for weight in self.weights.values() if weight.dim() > 1) ** 0.5)


@dataclass(frozen=True)
class Observation:
    """``holds(first, second)`` says of the trainings with each value whether they differ as they should."""

    first: ConfigValue
    second: ConfigValue
    holds: Callable[[Outcome, Outcome], bool]
    given: Mapping[str, ConfigValue] = field(default_factory=dict)
    learning_rate: float = 1e-3


def learns_other_images(first: Outcome, second: Outcome) -> bool:
    return first.losses[0] != second.losses[0]


OBSERVATIONS: dict[str, Observation] = {
    "optimizer.type": Observation(
        "adamw", "sgd", lambda adamw, sgd: "exp_avg_sq" in adamw.optimizer_tensors - sgd.optimizer_tensors
    ),
    "optimizer.weight_decay": Observation(
        0.0, 1.0, lambda free, pulled: pulled.kernel_norm < 0.99 * free.kernel_norm, learning_rate=1e-2
    ),
    "optimizer.momentum": Observation(
        0.0, 0.95, lambda without, with_: with_.distance > 1.5 * without.distance, {"optimizer.type": "sgd"}
    ),
    "gradient.clip_norm": Observation(
        0.0, 0.001, lambda free, clipped: clipped.distance < 0.1 * free.distance, {"optimizer.type": "sgd"}
    ),
    "scheduler.type": Observation(
        "none",
        "cosine",
        lambda none, cosine: (
            len(set(none.learning_rates)) == 1
            and cosine.learning_rates[1] < cosine.learning_rates[0] < none.learning_rates[0]
        ),
    ),
    "scheduler.interval": Observation(
        "update",
        "epoch",
        # Throughout its first epoch the rate is the full one; the last update of an epoch is further down.
        lambda update, epoch: epoch.learning_rates[0] == 1e-3 and update.learning_rates[0] < 1e-3,
        {"scheduler.type": "cosine"},
    ),
    "scheduler.warmup_epochs": Observation(
        0, 1, lambda without, with_: with_.learning_rates[0] < without.learning_rates[0] == with_.learning_rates[1]
    ),
    "scheduler.min_lr": Observation(
        0.0,
        5e-4,
        lambda zero, high: zero.learning_rates[-1] < 5e-4 < high.learning_rates[-1],
        {"scheduler.type": "cosine"},
    ),
    "scheduler.decay_rate": Observation(
        0.1,
        0.5,
        lambda tenth, half: (
            tenth.learning_rates[1] == pytest.approx(1e-4) and half.learning_rates[1] == pytest.approx(5e-4)
        ),
        {"scheduler.type": "step", "scheduler.decay_epochs": 1.0},
    ),
    "scheduler.decay_epochs": Observation(
        1.0,
        2.0,
        lambda one, two: (
            one.learning_rates == pytest.approx([1e-3, 1e-4]) and two.learning_rates == pytest.approx([1e-3, 1e-3])
        ),
        {"scheduler.type": "step"},
    ),
    "augmentation.hflip": Observation(0.0, 1.0, learns_other_images),
    "augmentation.random_crop_scale_min": Observation(1.0, 0.2, learns_other_images),
    "augmentation.color_jitter": Observation(0.0, 0.8, learns_other_images),
    "augmentation.random_erasing": Observation(0.0, 1.0, learns_other_images),
    "augmentation.auto_augment": Observation("none", "rand-m9-mstd0.5-inc1", learns_other_images),
    "regularization.label_smoothing": Observation(
        # The floor of a smoothed loss is well above zero: entropy of (0.67, 0.17, 0.17).
        0.0,
        0.5,
        lambda sharp, smooth: sharp.losses[-1] < 0.8 < smooth.losses[-1],
        learning_rate=4e-3,
    ),
    "regularization.drop_rate": Observation(0.0, 0.9, learns_other_images),
    "precision.amp": Observation(
        False, True, lambda single, mixed: 0 < abs(single.losses[0] - mixed.losses[0]) < 0.1 * single.losses[0]
    ),
}


def train(folder: Path, dataset: TrainingDataset, config: Mapping[str, ConfigValue], learning_rate: float) -> Outcome:
    recorder = Recorder()
    assert TimmAdapter().train(make_spec(config, learning_rate=learning_rate), dataset, folder, recorder)
    checkpoint = recorder.checkpoints[-1][1]
    state = load_training_state(checkpoint).optimizer["state"]
    return Outcome(
        weights=load_model(checkpoint)[1],
        optimizer_tensors={name for values in state.values() for name in values},
        losses=[epoch.loss for epoch in recorder.epochs],
        learning_rates=[epoch.learning_rate for epoch in recorder.epochs],
    )


@pytest.fixture(autouse=True)
def bfloat16_counts_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU computes bfloat16 as well, only slowly: enough to see that mixed precision is used."""
    monkeypatch.setattr("trainer_timm.training.has_fast_bfloat16", lambda: True)


@pytest.mark.parametrize("config_field", FIELDS, ids=lambda config_field: config_field.name)
def test_every_field_has_an_effect(config_field: ConfigField, textures: TrainingDataset, tmp_path: Path) -> None:
    assert config_field.name in OBSERVATIONS, "a field without an observation may as well not exist"
    observation = OBSERVATIONS[config_field.name]
    outcomes = [
        train(tmp_path / name, textures, {**observation.given, config_field.name: value}, observation.learning_rate)
        for name, value in (("first", observation.first), ("second", observation.second))
    ]
    assert observation.holds(*outcomes), [(outcome.losses, outcome.learning_rates) for outcome in outcomes]


def test_no_observation_outlives_its_field() -> None:
    assert set(OBSERVATIONS) == {config_field.name for config_field in FIELDS}


@pytest.mark.parametrize(
    "config_field", [item for item in FIELDS if item.condition], ids=lambda config_field: config_field.name
)
def test_a_hidden_field_has_no_effect(config_field: ConfigField, textures: TrainingDataset, tmp_path: Path) -> None:
    condition, observation = config_field.condition, OBSERVATIONS[config_field.name]
    assert condition is not None
    other = next(item for item in FIELDS if item.name == condition.field)
    hidden = next(option.value for option in reversed(other.options) if option.value not in condition.values)
    config = {**PLAIN, condition.field: hidden}
    first = train(tmp_path / "first", textures, {**config, config_field.name: observation.first}, 1e-3)
    second = train(tmp_path / "second", textures, {**config, config_field.name: observation.second}, 1e-3)
    assert first.losses == second.losses
    assert first.learning_rates == second.learning_rates
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


@pytest.mark.parametrize(
    "policy", [option.value for item in FIELDS for option in item.options if "augment" in item.name]
)
def test_every_augmentation_policy_trains(policy: str, textures: TrainingDataset, tmp_path: Path) -> None:
    outcome = train(tmp_path, textures, {"augmentation.auto_augment": policy}, 1e-3)
    assert len(outcome.losses) == 2
