"""Configurations for common purposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from trainer.adapter import ConfigField, Preset

# Each names only what differs from the fields' defaults.
_PRESETS = (
    Preset(
        name="basic",
        label="Basic",
        description="Use it for a first look, and where mirroring or cropping changes what an image shows (digits).",
        config={
            "augmentation.hflip": 0.0,
            "augmentation.random_crop_scale_min": 1.0,
        },
    ),
    Preset(
        name="standard",
        label="Standard",
        description="Use it to fine-tune pretrained weights on photographs for about 5 to 50 epochs.",
        config={
            "gradient.clip_norm": 1.0,
            "scheduler.warmup_epochs": 1,
            "augmentation.color_jitter": 0.2,
            "regularization.label_smoothing": 0.1,
            "precision.amp": True,
        },
    ),
    Preset(
        name="advanced",
        label="Advanced",
        description="Use it to train from scratch on many photographs for 100 epochs or more.",
        config={
            "gradient.clip_norm": 1.0,
            "scheduler.warmup_epochs": 5,
            "scheduler.min_lr": 0.000001,
            "augmentation.random_crop_scale_min": 0.2,
            "augmentation.random_erasing": 0.25,
            "augmentation.auto_augment": "rand-m9-mstd0.5-inc1",
            "regularization.label_smoothing": 0.1,
            "regularization.drop_rate": 0.1,
            "precision.amp": True,
        },
    ),
)


def complete_presets(fields: Sequence[ConfigField]) -> tuple[Preset, ...]:
    """Return the presets with a value for each of ``fields`` and no other."""
    return tuple(
        replace(
            preset,
            config=MappingProxyType({field.name: preset.config.get(field.name, field.default) for field in fields}),
        )
        for preset in _PRESETS
    )
