"""For each field of the schema, what differs between two trainings that differ in it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
import torch

from tests.trainer_timm.helpers import make_spec
from tests.trainer_timm.outcomes import Outcome
from trainer.adapter import ConfigValue, TrainingSpec


@dataclass(frozen=True)
class Observation:
    """``holds(first, second)`` says of the trainings with each value whether they differ as they should."""

    first: ConfigValue
    second: ConfigValue
    holds: Callable[[Outcome, Outcome], bool]
    given: Mapping[str, ConfigValue] = field(default_factory=dict)
    learning_rate: float = 1e-3
    epochs: int = 2
    primary_metric: str = "accuracy"

    def spec(self, config: Mapping[str, ConfigValue]) -> TrainingSpec:
        """The specification of one of its trainings."""
        return make_spec(
            {**self.given, **config},
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            primary_metric=self.primary_metric,
        )


def learns_other_images(first: Outcome, second: Outcome) -> bool:
    return first.losses[0] != second.losses[0]


def optimizer_holds(name: str, value: object) -> Callable[[Outcome, Outcome], bool]:
    """The second training's optimiser was told ``value`` and the first's was not."""

    def holds(first: Outcome, second: Outcome) -> bool:
        return first.groups[0][name] != value == second.groups[0][name] and first.losses != second.losses

    return holds


def classifier_moved(outcome: Outcome) -> bool:
    return not torch.equal(outcome.weights["fc.weight"], outcome.start["fc.weight"])


def backbone_moved(outcome: Outcome) -> bool:
    return any(
        not torch.equal(outcome.weights[name], outcome.start[name])
        for name in outcome.start
        if not name.startswith("fc.")
    )


SGD: Mapping[str, ConfigValue] = {"optimizer.type": "sgd"}
ERASED: Mapping[str, ConfigValue] = {"augmentation.random_erasing": 1.0}
MIXED: Mapping[str, ConfigValue] = {"mixing.type": "both"}
CYCLES: Mapping[str, ConfigValue] = {"scheduler.type": "cosine", "scheduler.interval": "epoch"}
# The loss of the highest rate rises: no epoch after the first is better.
STANDING: Mapping[str, ConfigValue] = {"early_stopping.enabled": True, "early_stopping.patience": 1}

OBSERVATIONS: dict[str, Observation] = {
    "optimizer.type": Observation(
        "adamw", "sgd", lambda adamw, sgd: "exp_avg_sq" in adamw.optimizer_tensors - sgd.optimizer_tensors
    ),
    "optimizer.weight_decay": Observation(
        0.0, 1.0, lambda free, pulled: pulled.kernel_norm < 0.99 * free.kernel_norm, learning_rate=1e-2
    ),
    "optimizer.momentum": Observation(0.0, 0.95, lambda without, with_: with_.distance > 1.5 * without.distance, SGD),
    "optimizer.betas": Observation([], [0.5, 0.6], optimizer_holds("betas", [0.5, 0.6])),
    "optimizer.eps": Observation(0.0, 0.1, optimizer_holds("eps", 0.1)),
    "optimizer.layer_decay": Observation(
        1.0,
        0.5,
        lambda alike, decayed: (
            len({group["lr"] for group in alike.groups}) == 1
            and min(group["lr"] for group in decayed.groups) <= 0.5 * max(group["lr"] for group in decayed.groups)
            and decayed.distance < alike.distance
        ),
    ),
    "gradient.clip_mode": Observation(
        "none",
        "norm",
        lambda free, clipped: clipped.distance < 0.1 * free.distance,
        {**SGD, "gradient.clip_value": 1e-3},
    ),
    "gradient.clip_value": Observation(
        1e-3, 1e-5, lambda more, less: less.distance < 0.1 * more.distance, {**SGD, "gradient.clip_mode": "value"}
    ),
    "gradient.accumulation": Observation(1, 2, lambda each, pairs: (each.updates, pairs.updates) == (4, 2)),
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
    "scheduler.warmup_start": Observation(
        0.0,
        0.5,
        lambda zero, half: zero.learning_rates[0] == 0 and half.learning_rates[0] == pytest.approx(5e-4),
        {"scheduler.warmup_epochs": 1, "scheduler.interval": "epoch"},
    ),
    "scheduler.min_lr": Observation(
        0.0,
        5e-4,
        lambda zero, high: zero.learning_rates[-1] < 5e-4 < high.learning_rates[-1],
        {"scheduler.type": "cosine"},
    ),
    "scheduler.power": Observation(
        1.0,
        2.0,
        lambda straight, curved: (
            straight.learning_rates[1] == pytest.approx(5e-4) and curved.learning_rates[1] == pytest.approx(2.5e-4)
        ),
        {"scheduler.type": "poly", "scheduler.interval": "epoch"},
    ),
    "scheduler.cycles": Observation(
        1,
        2,
        lambda one, two: one.learning_rates[1] == pytest.approx(5e-4) and two.learning_rates[1] == pytest.approx(1e-3),
        {**CYCLES, "scheduler.cycle_decay": 1.0},
    ),
    "scheduler.cycle_multiplier": Observation(
        # Cycles of one and one epoch, or of half and one and a half: in the second epoch a third of the longer is over.
        1.0,
        3.0,
        lambda same, longer: (
            same.learning_rates[1] == pytest.approx(1e-3) and longer.learning_rates[1] == pytest.approx(7.5e-4)
        ),
        {**CYCLES, "scheduler.cycles": 2, "scheduler.cycle_decay": 1.0},
    ),
    "scheduler.cycle_decay": Observation(
        1.0,
        0.5,
        lambda same, half: (
            same.learning_rates[1] == pytest.approx(1e-3) and half.learning_rates[1] == pytest.approx(5e-4)
        ),
        {**CYCLES, "scheduler.cycles": 2},
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
    "scheduler.milestones": Observation(
        [1.0],
        [2.0],
        lambda one, two: (
            one.learning_rates == pytest.approx([1e-3, 1e-4]) and two.learning_rates == pytest.approx([1e-3, 1e-3])
        ),
        {"scheduler.type": "multistep"},
    ),
    "scheduler.patience": Observation(
        # By the highest training loss no epoch is better than the first.
        0,
        5,
        lambda none, some: none.groups[0]["lr"] == pytest.approx(1e-5) and some.groups[0]["lr"] == 1e-3,
        {"scheduler.type": "plateau", "scheduler.decay_rate": 0.01},
        primary_metric="loss",
    ),
    "augmentation.hflip": Observation(0.0, 1.0, learns_other_images),
    "augmentation.vflip": Observation(0.0, 1.0, learns_other_images),
    "augmentation.random_crop_scale_min": Observation(1.0, 0.2, learns_other_images),
    "augmentation.random_crop_ratio": Observation(
        1.0, 3.0, learns_other_images, {"augmentation.random_crop_scale_min": 0.2}
    ),
    "augmentation.color_jitter": Observation(0.0, 0.8, learns_other_images),
    "augmentation.random_erasing": Observation(0.0, 1.0, learns_other_images),
    "augmentation.random_erasing_mode": Observation("pixel", "const", learns_other_images, ERASED),
    "augmentation.random_erasing_count": Observation(1, 8, learns_other_images, ERASED),
    "augmentation.auto_augment": Observation("none", "rand-m9-mstd0.5-inc1", learns_other_images),
    "augmentation.policy": Observation(
        "rand-m9-n1", "augmix-m5-w4-d2", learns_other_images, {"augmentation.auto_augment": "custom"}
    ),
    "mixing.type": Observation("none", "mixup", learns_other_images),
    "mixing.mixup_alpha": Observation(0.01, 10.0, learns_other_images, {"mixing.type": "mixup"}),
    "mixing.cutmix_alpha": Observation(0.01, 10.0, learns_other_images, {"mixing.type": "cutmix"}),
    "mixing.prob": Observation(0.0, 1.0, learns_other_images, MIXED),
    "mixing.switch_prob": Observation(0.0, 1.0, learns_other_images, MIXED),
    "mixing.mode": Observation("batch", "elem", learns_other_images, MIXED),
    "mixing.last_epoch": Observation(
        1,
        2,
        lambda first, both: first.losses[0] == both.losses[0] and first.losses[1] != both.losses[1],
        MIXED,
    ),
    "loss.type": Observation(
        # Of three classes with even odds: ln 3, or ln 2 for each.
        "cross_entropy",
        "bce",
        lambda exclusive, each: exclusive.losses[0] > each.losses[0],
        learning_rate=1e-6,
    ),
    "loss.bce_threshold": Observation(
        0.0,
        0.4,
        lambda shares, whole: shares.losses[0] != whole.losses[0],
        {"loss.type": "bce", "regularization.label_smoothing": 0.3},
    ),
    "loss.focal_gamma": Observation(
        0.0, 4.0, lambda all_alike, hard: hard.losses[0] < 0.5 * all_alike.losses[0], {"loss.type": "focal"}
    ),
    "loss.class_weights": Observation("none", "balanced", learns_other_images),
    "loading.balanced_sampling": Observation(False, True, learns_other_images),
    "regularization.label_smoothing": Observation(
        # The floor of a smoothed loss is well above zero: entropy of (0.67, 0.17, 0.17).
        0.0,
        0.5,
        lambda sharp, smooth: sharp.losses[-1] < 0.8 < smooth.losses[-1],
        learning_rate=4e-3,
    ),
    "regularization.drop_rate": Observation(0.0, 0.9, learns_other_images),
    "regularization.drop_path_rate": Observation(0.0, 0.9, learns_other_images),
    "freeze.backbone_epochs": Observation(
        0,
        2,
        lambda free, frozen: (
            classifier_moved(free) and backbone_moved(free) and classifier_moved(frozen) and not backbone_moved(frozen)
        ),
    ),
    "ema.enabled": Observation(
        False,
        True,
        lambda plain, averaged: (
            plain.own_weights is None
            and averaged.own_weights is not None
            and plain.losses == averaged.losses
            # What is trained is the same; what is published is smoother.
            and torch.equal(plain.weights["fc.weight"], averaged.own_weights["fc.weight"])
            and not torch.equal(plain.weights["fc.weight"], averaged.weights["fc.weight"])
        ),
    ),
    "ema.decay": Observation(
        0.0,
        0.99,
        lambda none, slow: (
            none.own_weights is not None
            and torch.equal(none.weights["fc.weight"], none.own_weights["fc.weight"])
            and not torch.equal(none.weights["fc.weight"], slow.weights["fc.weight"])
        ),
        {"ema.enabled": True, "ema.warmup": False},
    ),
    "ema.warmup": Observation(
        False,
        True,
        lambda slow, quick: slow.losses == quick.losses and slow.distance < quick.distance,
        {"ema.enabled": True},
    ),
    "early_stopping.enabled": Observation(
        False,
        True,
        lambda whole, stopped: len(whole.losses) == 2 > len(stopped.losses) or len(stopped.losses) < len(whole.losses),
        {"early_stopping.patience": 1, "early_stopping.min_change": 100.0},
        epochs=3,
    ),
    "early_stopping.metric": Observation(
        "recall",
        "val_loss",
        lambda recall, loss: recall.stopped_for == "recall" and loss.stopped_for == "val_loss",
        {**STANDING, "early_stopping.min_change": 100.0},
    ),
    "early_stopping.patience": Observation(
        1,
        2,
        lambda one, two: (len(one.losses), len(two.losses)) == (2, 3),
        {**STANDING, "early_stopping.min_change": 100.0},
        epochs=4,
    ),
    "early_stopping.min_change": Observation(
        0.0,
        100.0,
        lambda any_, much: any_.stopped_for == "" and much.stopped_for == "val_loss",
        {**STANDING, "early_stopping.metric": "val_loss"},
    ),
    "checkpoint.interval": Observation(
        1,
        2,
        # By the highest training loss the first epoch is the best, and the last is always kept.
        lambda each, second: each.checkpoints == [1, 2, 3, 4] and second.checkpoints == [1, 2, 4],
        learning_rate=4e-3,
        epochs=4,
        primary_metric="loss",
    ),
    "precision.amp": Observation(
        False, True, lambda single, mixed: 0 < abs(single.losses[0] - mixed.losses[0]) < 0.1 * single.losses[0]
    ),
    "precision.channels_last": Observation(
        False, True, lambda planes, pixels: not planes.channels_last and pixels.channels_last
    ),
    "loading.workers": Observation(
        # A worker draws other random numbers than the training itself.
        0,
        1,
        learns_other_images,
        {"augmentation.hflip": 0.5},
        epochs=1,
    ),
}
