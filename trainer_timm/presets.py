"""Complete configurations for common purposes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trainer.adapter import ConfigValue, Preset

_PLAIN: dict[str, ConfigValue] = {
    "optimizer.type": "adamw",
    "optimizer.weight_decay": 0.05,
    "optimizer.momentum": 0.9,
    "gradient.clip_norm": 0.0,
    "scheduler.type": "cosine",
    "scheduler.warmup_epochs": 0,
    "scheduler.min_lr": 0.0,
    "scheduler.decay_rate": 0.1,
    "scheduler.decay_epochs": 30.0,
    "augmentation.hflip": 0.0,
    "augmentation.random_crop_scale_min": 1.0,
    "augmentation.color_jitter": 0.0,
    "augmentation.random_erasing": 0.0,
    "augmentation.auto_augment": "none",
    "regularization.label_smoothing": 0.0,
    "regularization.drop_rate": 0.0,
}


def _complete(changes: Mapping[str, ConfigValue]) -> Mapping[str, ConfigValue]:
    return MappingProxyType({**_PLAIN, **changes})


PRESETS = (
    Preset(
        name="basic",
        label="Basic",
        description="Use it for a first look at a data set, and where a mirrored or cropped image means something else.",
        config=_complete({}),
    ),
    Preset(
        name="standard",
        label="Standard",
        description="Use it to fine-tune pretrained weights on photographs for about 5 to 50 epochs.",
        config=_complete(
            {
                "gradient.clip_norm": 1.0,
                "scheduler.warmup_epochs": 1,
                "augmentation.hflip": 0.5,
                "augmentation.random_crop_scale_min": 0.5,
                "augmentation.color_jitter": 0.2,
                "regularization.label_smoothing": 0.1,
            }
        ),
    ),
    Preset(
        name="advanced",
        label="Advanced",
        description="Use it to train from scratch on many photographs for 100 epochs or more.",
        config=_complete(
            {
                "gradient.clip_norm": 1.0,
                "scheduler.warmup_epochs": 5,
                "scheduler.min_lr": 0.000001,
                "augmentation.hflip": 0.5,
                "augmentation.random_crop_scale_min": 0.2,
                "augmentation.random_erasing": 0.25,
                "augmentation.auto_augment": "rand-m9-mstd0.5-inc1",
                "regularization.label_smoothing": 0.1,
                "regularization.drop_rate": 0.1,
            }
        ),
    ),
)
