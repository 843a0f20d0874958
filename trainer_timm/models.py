"""Building a timm model for a number of classes and an image size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP client it uses
from safetensors import SafetensorError

from trainer.adapter import BadTrainingData, PretrainedUnavailable
from trainer_timm.pretrained import local_weights, pretrained_config
from trainer_timm.pretrained_folder import check_covers, folder_weights

# What timm's architectures are known to raise for an image size that does not fit them.
_MISFITS = (ArithmeticError, AssertionError, RuntimeError, ValueError)


def build_model(
    model_name: str,
    num_classes: int,
    image_size: int,
    drop_rate: float = 0.0,
    pretrained: bool = False,
    drop_path_rate: float = 0.0,
    pretrained_folder: Path | None = None,
) -> torch.nn.Module:
    """Build a model for RGB images of ``image_size`` pixels a side; logits are float32, (N, num_classes).

    ``pretrained`` fetches weights that are neither in the operator's folder nor in the local cache: ask
    ``check_pretrained`` first. Raises
    PretrainedUnavailable when weights cannot be loaded, and BadTrainingData when timm has no such model or the
    architecture does not accept the image size or a drop rate.
    """
    config = pretrained_config(model_name)
    # timm judges the architecture alone; a tag that it lacks has no configuration.
    if not timm.is_model(model_name) or ("." in model_name and config is None):
        raise BadTrainingData(f"timm has no model named {model_name}.")
    arguments: dict[str, Any] = {"num_classes": num_classes}
    if config is not None and config.fixed_input_size:
        arguments["img_size"] = image_size
    if drop_rate > 0:
        arguments["drop_rate"] = drop_rate
    if drop_path_rate > 0:
        arguments["drop_path_rate"] = drop_path_rate
    if not pretrained:
        return _build(model_name, image_size, arguments)
    own = folder_weights(model_name, pretrained_folder)
    local = own or local_weights(model_name)
    if local is not None:
        # The hub's files are all in timm's own layout; custom_load speaks of the original ones.
        arguments["pretrained_cfg_overlay"] = {"file": str(local), "custom_load": False}
    try:
        model: torch.nn.Module = timm.create_model(model_name, pretrained=True, **arguments)
    except (OSError, RuntimeError, ValueError, HTTPError, SafetensorError) as error:
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} could not be loaded ({type(error).__name__}). Train with "
            "pretrained set to false, or make the weights available to the trainer first."
        ) from error
    if own is not None:
        check_covers(own, model_name, model)
    return model


def build_resized(
    model_name: str, num_classes: int, image_size: int, weights: Mapping[str, torch.Tensor]
) -> torch.nn.Module:
    """Build a model with ``weights`` that were trained at another image size, as timm fits them to ``image_size``.

    Raises BadTrainingData when they cannot be fitted.
    """
    overlay = {"state_dict": dict(weights), "num_classes": num_classes, "custom_load": False, "label_offset": 0}
    config = pretrained_config(model_name)
    arguments: dict[str, Any] = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    try:
        model: torch.nn.Module = timm.create_model(
            model_name, pretrained=True, num_classes=num_classes, pretrained_cfg_overlay=overlay, **arguments
        )
    except (*_MISFITS, KeyError) as error:
        raise BadTrainingData(
            f"Weights of {model_name} cannot be fitted to images of {image_size} pixels; use the image_size that they "
            f"were trained with. {error}"
        ) from error
    return model


def check_image_size(model: torch.nn.Module, model_name: str, image_size: int) -> None:
    """Try one blank image. Raises BadTrainingData when the architecture cannot take images of that size."""
    model.eval()
    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, image_size, image_size))
    except _MISFITS as error:
        raise BadTrainingData(f"{model_name} cannot take images of {image_size} pixels: {error}") from error


def _build(model_name: str, image_size: int, arguments: dict[str, Any]) -> torch.nn.Module:
    try:
        model: torch.nn.Module = timm.create_model(model_name, pretrained=False, **arguments)
    except TypeError as error:
        raise BadTrainingData(f"{model_name} does not take one of {sorted(arguments)}: {error}") from error
    except _MISFITS as error:
        raise BadTrainingData(f"{model_name} cannot be built for images of {image_size} pixels: {error}") from error
    return model
