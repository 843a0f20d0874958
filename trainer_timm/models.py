"""Building a timm model for a number of classes and an image size."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg

from trainer.adapter import BadTrainingData, PretrainedUnavailable
from trainer_timm.pretrained import local_weights


def build_model(
    model_name: str, num_classes: int, image_size: int, drop_rate: float = 0.0, pretrained: bool = False
) -> torch.nn.Module:
    """Build a model for RGB images of ``image_size`` pixels a side; logits are float32, (N, num_classes).

    Raises PretrainedUnavailable when weights cannot be loaded, and BadTrainingData when the architecture
    does not accept the image size or a drop rate.
    """
    arguments: dict[str, Any] = {"num_classes": num_classes}
    cfg = get_pretrained_cfg(model_name)
    if cfg is not None and cfg.fixed_input_size:
        arguments["img_size"] = image_size
    if drop_rate > 0:
        arguments["drop_rate"] = drop_rate
    if not pretrained:
        return _build(model_name, image_size, arguments)
    local = local_weights(model_name)
    if local is not None:
        arguments["pretrained_cfg_overlay"] = {"file": str(local)}
    try:
        model: torch.nn.Module = timm.create_model(model_name, pretrained=True, **arguments)
    except (OSError, RuntimeError, ValueError) as error:
        raise PretrainedUnavailable(f"The pretrained weights of {model_name} could not be loaded: {error}") from error
    return model


def _build(model_name: str, image_size: int, arguments: dict[str, Any]) -> torch.nn.Module:
    try:
        model: torch.nn.Module = timm.create_model(model_name, pretrained=False, **arguments)
    except TypeError as error:
        raise BadTrainingData(f"{model_name} does not take one of {sorted(arguments)}: {error}") from error
    except (AssertionError, ValueError) as error:
        raise BadTrainingData(f"{model_name} cannot be built for images of {image_size} pixels: {error}") from error
    return model
