"""Configurations for common purposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from trainer.adapter import ConfigField, Preset

# Each names only what differs from the fields' defaults, of whatever task has it.
_PRESETS = (
    Preset(
        name="basic",
        label="Basic",
        description=(
            "Use it for a first look at a small dataset, and where turning or mirroring changes what an image shows "
            "(digits, signs): images are hardly changed, and every batch is learned from."
        ),
        config={
            "optimizer.nbs": 1,
            "scheduler.warmup_epochs": 1.0,
            "augmentation.mosaic": 0.0,
            "augmentation.fliplr": 0.0,
            "augmentation.erasing": 0.0,
            "augmentation.auto_augment": "none",
            "augmentation.scale": 0.1,
        },
    ),
    Preset(
        name="standard",
        label="Standard",
        description="Use it for photographs, for 50 to 300 epochs: what ultralytics trains with, and AdamW.",
        config={"computation.amp": True},
    ),
    Preset(
        name="advanced",
        label="Advanced",
        description="Use it to train larger models from scratch on many photographs, for 300 epochs or more.",
        config={
            "computation.amp": True,
            "scheduler.cos_lr": True,
            "augmentation.mixup": 0.15,
            "augmentation.copy_paste": 0.3,
            "augmentation.scale": 0.9,
            "learning.dropout": 0.2,
        },
    ),
    Preset(
        name="fine_tune_small",
        label="Fine-tune on few images",
        description=(
            "Use it with weights to start from and a few hundred images, for 30 epochs or more: the first ten layers "
            "stay as they are, and training ends when it no longer helps."
        ),
        config={
            "computation.amp": True,
            "learning.freeze": 10,
            "optimizer.nbs": 16,
            "scheduler.warmup_epochs": 1.0,
            "early_stopping.patience": 15,
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
