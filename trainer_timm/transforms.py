"""What happens to an image before the model sees it, in training, validation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from trainer.adapter import ConfigValue
from trainer.config_values import integer, number, text

ImageTransform = Callable[[Image.Image], torch.Tensor]


@dataclass(frozen=True)
class Preprocessing:
    """How images become tensors; a checkpoint carries it so that prediction repeats validation.

    ``image_size`` is the side in pixels; ``mean`` and ``std`` are per RGB channel on a 0–1 scale; the shorter
    side is resized to ``image_size / crop_pct`` before the crop.
    """

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str


def resolve_preprocessing(model: torch.nn.Module, image_size: int) -> Preprocessing:
    """Take the model's own statistics and crop, at ``image_size`` pixels a side."""
    config = resolve_data_config({"input_size": (3, image_size, image_size)}, model=model)  # type: ignore[no-untyped-call]
    return Preprocessing(
        image_size=image_size,
        mean=tuple(float(value) for value in config["mean"]),
        std=tuple(float(value) for value in config["std"]),
        interpolation=str(config["interpolation"]),
        crop_pct=float(config["crop_pct"]),
        crop_mode=str(config["crop_mode"]),
    )


def evaluation_transform(preprocessing: Preprocessing) -> ImageTransform:
    """Return the transform of validation and prediction: RGB image → float32, (3, S, S), normalised."""
    transform: ImageTransform = create_transform(
        input_size=(3, preprocessing.image_size, preprocessing.image_size),
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=preprocessing.crop_pct,
        crop_mode=preprocessing.crop_mode,
    )
    return transform


def training_transform(preprocessing: Preprocessing, config: Mapping[str, ConfigValue]) -> ImageTransform:
    """Return the augmenting transform that ``augmentation.*`` describes: RGB image → float32, (3, S, S)."""
    scale_min = number(config, "augmentation.random_crop_scale_min")
    color_jitter = number(config, "augmentation.color_jitter")
    ratio = number(config, "augmentation.random_crop_ratio")
    policy = chosen_policy(config)
    transform: ImageTransform = create_transform(
        input_size=(3, preprocessing.image_size, preprocessing.image_size),
        is_training=True,
        scale=(scale_min, 1.0),
        # A crop of the whole image must not change its shape: only real crops vary the aspect ratio.
        ratio=(1 / ratio, ratio) if scale_min < 1.0 else (1.0, 1.0),
        hflip=number(config, "augmentation.hflip"),
        vflip=number(config, "augmentation.vflip"),
        color_jitter=color_jitter if color_jitter > 0 and policy in (None, "3a") else None,  # type: ignore[arg-type]  # None is timm's "off"
        auto_augment=policy,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
        re_prob=number(config, "augmentation.random_erasing"),
        re_mode=text(config, "augmentation.random_erasing_mode"),
        re_count=integer(config, "augmentation.random_erasing_count"),
    )
    return transform


def chosen_policy(config: Mapping[str, ConfigValue]) -> str | None:
    """Return the augmentation policy in timm's words, or None."""
    chosen = text(config, "augmentation.auto_augment")
    if chosen == "custom":
        return text(config, "augmentation.policy")
    return None if chosen == "none" else chosen
