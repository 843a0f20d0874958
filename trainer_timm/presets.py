"""Configurations for common purposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from trainer.adapter import ConfigField, ConfigValue, Preset

_FINE_TUNE: Mapping[str, ConfigValue] = {
    "gradient.clip_mode": "norm",
    "scheduler.warmup_epochs": 1,
    "regularization.label_smoothing": 0.1,
    "precision.amp": True,
}
_FROM_SCRATCH: Mapping[str, ConfigValue] = {
    **_FINE_TUNE,
    "scheduler.warmup_epochs": 5,
    "scheduler.min_lr": 0.000001,
    "augmentation.random_crop_scale_min": 0.2,
    "augmentation.auto_augment": "rand-m9-mstd0.5-inc1",
    "augmentation.random_erasing": 0.25,
}
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
        config={**_FINE_TUNE, "augmentation.color_jitter": 0.2},
    ),
    Preset(
        name="advanced",
        label="Advanced",
        description="Use it to train from scratch on many photographs for 100 epochs or more.",
        config={
            **_FROM_SCRATCH,
            "regularization.drop_rate": 0.1,
            "ema.enabled": True,
        },
    ),
    Preset(
        name="fine_tune_small",
        label="Fine-tune on few images",
        description=(
            "Use it with pretrained weights and a few hundred to a few thousand images, for 20 epochs or more: "
            "the classifier learns first, lower layers change little, and training ends when it no longer helps."
        ),
        config={
            **_FINE_TUNE,
            "scheduler.warmup_epochs": 2,
            "optimizer.layer_decay": 0.75,
            "freeze.backbone_epochs": 1,
            "augmentation.auto_augment": "rand-m5-mstd0.5-inc1",
            "regularization.drop_rate": 0.2,
            "loss.class_weights": "balanced",
            "early_stopping.enabled": True,
        },
    ),
    Preset(
        name="from_scratch",
        label="Train from scratch",
        description="Use it without pretrained weights on thousands of images, for 50 to 100 epochs.",
        config=_FROM_SCRATCH,
    ),
    Preset(
        name="strong_augmentation",
        label="Strong augmentation",
        description=(
            "Use it for large models, above all transformers, that learn images by heart, for 100 epochs or more; "
            "the batch size must be even."
        ),
        config={
            **_FROM_SCRATCH,
            "mixing.type": "both",
            "loss.type": "bce",
            "augmentation.random_crop_scale_min": 0.08,
            "ema.enabled": True,
            "ema.decay": 0.9998,
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
