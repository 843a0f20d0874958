"""For each field of the schemas, what differs between two trainings that differ in it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from tests.trainer_yolo.helpers import make_spec
from tests.trainer_yolo.outcomes import SetUp
from trainer.adapter import ConfigValue, TrainingSpec
from trainer_yolo.names import CLASSIFICATION


@dataclass(frozen=True)
class Observation:
    """``holds(first, second)`` says of the two whether they differ as they should.

    They are looked at before their first batch, or ``trained`` says that they must have trained.
    """

    first: ConfigValue
    second: ConfigValue
    holds: Callable[[Any, Any], bool]
    given: Mapping[str, ConfigValue] = field(default_factory=dict)
    trained: bool = False
    epochs: int = 2
    model_name: str = ""

    def spec(self, task_type: str, config: Mapping[str, ConfigValue]) -> TrainingSpec:
        """The specification of one of them; of the given values those that the task has."""
        known = make_spec(task_type).config
        given = {name: value for name, value in self.given.items() if name in known}
        return make_spec(
            task_type,
            {**given, **config},
            epochs=self.epochs,
            model_name=self.model_name,
            # So small a model, after so few batches, finds nothing: no epoch is better than the first.
            primary_metric="top5_accuracy" if task_type == CLASSIFICATION else "mAP50-95",
            primary_metric_mode="max",
        )


def of_other_images(first: SetUp, second: SetUp) -> bool:
    images, others = first.batch["img"], second.batch["img"]
    return images.shape != others.shape or not torch.equal(images, others)


def of_another_epoch(first: SetUp, second: SetUp) -> bool:
    """The same over all batches: what needs room in an image does not find it in each."""
    return any(not torch.equal(one, other) for one, other in zip(first.epoch, second.epoch, strict=True))


def changing(maximum: ConfigValue, **given: ConfigValue) -> Observation:
    """An augmentation that changes images as soon as it is not zero."""
    return Observation(0.0, maximum, of_other_images, {f"augmentation.{name}": value for name, value in given.items()})


def doubling(loss: str, first: float, model_name: str = "") -> Observation:
    """A gain of which a part of the loss is a multiple."""

    def holds(single: SetUp, double: SetUp) -> bool:
        assert single.loss[loss] != 0
        others = single.loss.keys() - {loss, *_MOVING_WITH.get(loss, ())}
        return double.loss[loss] == pytest.approx(2 * single.loss[loss], rel=1e-4) and all(
            double.loss[name] == pytest.approx(single.loss[name], rel=1e-4) for name in others
        )

    return Observation(first, 2 * first, holds, model_name=model_name)


# The gain of boxes is that of masks as well.
_MOVING_WITH = {"box_loss": ("seg_loss",)}


def kept(setup: SetUp) -> int:
    """Detections that validation keeps of the first batch, however unlikely."""
    trainer, validator = setup.trainer, setup.trainer.validator
    validator.device, validator.data, validator.args.conf = trainer.device, trainer.data, 0.0
    model = trainer.ema.ema.eval()
    model.end2end = False
    validator.init_metrics(model)
    with torch.inference_mode():
        found = validator.postprocess(model(setup.batch["img"]))
    return sum(len(item["conf"]) for item in found)


def group(setup: SetUp, name: str) -> dict[str, Any]:
    """The optimiser's group of weights, of normalisation (bn) or of biases."""
    return next(item for item in setup.groups if item["param_group"] == name)


def learns(setup: SetUp, layer: int) -> bool:
    return any(
        parameter.requires_grad
        for name, parameter in setup.trainer.model.named_parameters()
        if name.startswith(f"model.{layer}.")
    )


WARM: Mapping[str, ConfigValue] = {"scheduler.warmup_epochs": 1.0, "optimizer.type": "SGD"}

OBSERVATIONS: dict[str, Observation] = {
    "optimizer.type": Observation(
        "AdamW",
        "MuSGD",
        lambda adam, muon: [type(setup.trainer.optimizer).__name__ for setup in (adam, muon)] == ["AdamW", "MuSGD"],
    ),
    "optimizer.weight_decay": Observation(
        0.0,
        0.1,
        lambda free, pulled: group(free, "weight")["weight_decay"] == 0 < group(pulled, "weight")["weight_decay"],
    ),
    "optimizer.momentum": Observation(
        0.5, 0.9, lambda little, much: [setup.groups[0]["betas"][0] for setup in (little, much)] == [0.5, 0.9]
    ),
    "optimizer.nbs": Observation(1, 8, lambda each, pairs: (each.updates, pairs.updates) == (6, 4), trained=True),
    "scheduler.lrf": Observation(
        0.0, 1.0, lambda falling, level: falling.rates == pytest.approx([1, 0.5]) and level.rates == [1, 1]
    ),
    "scheduler.cos_lr": Observation(
        False, True, lambda straight, curved: curved.rates[1] > 1.05 * straight.rates[1], epochs=4
    ),
    "scheduler.warmup_epochs": Observation(
        0.0, 1.0, lambda cold, warm: warm.rates[0][0] == 0 < cold.rates[0][0], trained=True
    ),
    "scheduler.warmup_momentum": Observation(
        0.2, 0.5, lambda low, high: (low.momenta[0][0], high.momenta[0][0]) == (0.2, 0.5), WARM, trained=True
    ),
    "scheduler.warmup_bias_lr": Observation(
        0.0, 0.5, lambda zero, high: 0.5 in high.rates[0] and 0.5 not in zero.rates[0], WARM, trained=True
    ),
    "loss.box": doubling("box_loss", 7.5),
    "loss.cls": doubling("cls_loss", 0.5),
    "loss.dfl": doubling("dfl_loss", 1.5),
    "loss.cls_pw": Observation(0.0, 1.0, lambda alike, rare: alike.loss["cls_loss"] != rare.loss["cls_loss"]),
    "loss.pose": doubling("pose_loss", 12.0),
    "loss.kobj": doubling("kobj_loss", 1.0),
    "loss.rle": doubling("rle_loss", 1.0, "yolo26p-pose"),
    "loss.angle": doubling("angle_loss", 1.0),
    "mask.overlap_mask": Observation(
        True, False, lambda one, each: len(one.batch["masks"]) == 4 < len(each.batch["masks"])
    ),
    "mask.mask_ratio": Observation(
        1, 4, lambda whole, quarter: (whole.batch["masks"].shape[-1], quarter.batch["masks"].shape[-1]) == (64, 16)
    ),
    "augmentation.mosaic": changing(1.0),
    "augmentation.close_mosaic": Observation(
        # Of two epochs both are the last two.
        0,
        2,
        lambda open_, closed: open_.losses[0] != closed.losses[0],
        {"augmentation.mosaic": 1.0},
        trained=True,
    ),
    "augmentation.mixup": changing(1.0),
    "augmentation.cutmix": Observation(0.0, 1.0, of_another_epoch),
    "augmentation.hsv_h": changing(0.5),
    "augmentation.hsv_s": changing(1.0),
    "augmentation.hsv_v": changing(1.0),
    "augmentation.fliplr": changing(1.0),
    "augmentation.flipud": changing(1.0),
    "augmentation.degrees": changing(90.0),
    "augmentation.translate": changing(0.5),
    "augmentation.scale": changing(0.9),
    "augmentation.shear": changing(45.0),
    "augmentation.perspective": changing(0.005),
    "augmentation.bgr": changing(1.0),
    "augmentation.multi_scale": changing(0.9),
    "augmentation.copy_paste": changing(1.0),
    "augmentation.copy_paste_mode": Observation("flip", "mixup", of_other_images, {"augmentation.copy_paste": 1.0}),
    "augmentation.auto_augment": Observation("none", "randaugment", of_other_images),
    "augmentation.erasing": changing(1.0),
    "validation.iou": Observation(0.05, 0.95, lambda strict, lax: kept(strict) < kept(lax)),
    "validation.max_det": Observation(1, 300, lambda one, many: kept(one) == 4 < kept(many)),
    "learning.freeze": Observation(
        0, 1, lambda free, frozen: learns(free, 0) and not learns(frozen, 0) and learns(frozen, 1)
    ),
    "learning.single_cls": Observation(
        False,
        True,
        lambda several, one: (
            several.trainer.data["nc"] == 2 and not one.batch["cls"].any() and several.batch["cls"].any()
        ),
    ),
    # Rectangles are made of no mosaics.
    "learning.rect": Observation(False, True, of_other_images, {"augmentation.mosaic": 1.0}),
    "learning.dropout": Observation(0.0, 0.9, lambda all_, few: all_.loss["loss"] != few.loss["loss"]),
    "early_stopping.patience": Observation(
        0,
        1,
        lambda whole, stopped: (len(whole.losses), len(stopped.losses)) == (3, 2),
        trained=True,
        epochs=3,
    ),
    "checkpoint.interval": Observation(
        1,
        3,
        lambda each, third: (each.checkpoints, third.checkpoints) == ([1, 2, 3], [1, 3]),
        trained=True,
        epochs=3,
    ),
    "computation.amp": Observation(
        # A CPU could not compute it; what is seen is what ultralytics is told.
        False,
        True,
        lambda single, half: (single.trainer.args.amp, half.trainer.args.amp) == (False, "bf16"),
    ),
    "computation.deterministic": Observation(
        False, True, lambda free, fixed: (free.deterministic, fixed.deterministic) == (False, True)
    ),
    "computation.workers": Observation(
        0, 1, lambda none, one: [setup.trainer.train_loader.num_workers for setup in (none, one)] == [0, 1]
    ),
}
