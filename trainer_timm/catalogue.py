"""The models of timm, read from their pretrained configurations without building any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import timm
from timm.models import get_pretrained_cfg

from trainer.adapter import ModelInfo
from trainer_timm.names import CLASSIFICATION
from trainer_timm.parameter_counts import parameters_if_counted, parameters_of


@lru_cache(maxsize=1)
def list_models() -> tuple[ModelInfo, ...]:
    """Return every architecture of timm, by name; ``parameters`` is 0 for one that is newer than the file of counts.

    Of the pretrained tags the first is the one that a bare architecture name stands for.
    """
    tags: dict[str, list[str]] = {}
    for full_name in timm.list_models(pretrained=True):
        architecture, _, tag = full_name.partition(".")
        tags.setdefault(architecture, []).append(tag)
    return tuple(_describe(name, tags.get(name, ())) for name in timm.list_models())


@lru_cache(maxsize=1)
def _models_by_name() -> dict[str, ModelInfo]:
    return {model.name: model for model in list_models()}


@lru_cache(maxsize=2048)
def get_model(name: str) -> ModelInfo:
    """Return one model with its parameter count.

    ``name`` is an architecture (``resnet18``) or one of its pretrained tags (``resnet18.a1_in1k``), whose
    preprocessing and licence may differ. Raises KeyError when timm has neither.
    """
    architecture, _, tag = name.partition(".")
    model = _models_by_name().get(architecture)
    if model is None:
        raise KeyError(name)
    if tag:
        if tag not in model.pretrained_tags:
            raise KeyError(name)
        model = _describe(name, model.pretrained_tags)
    return replace(model, parameters=parameters_of(architecture))


def _describe(name: str, tags: Sequence[str]) -> ModelInfo:
    cfg = get_pretrained_cfg(name)
    if cfg is None:
        raise KeyError(name)
    weights = f"pretrained weights {cfg.tag}" if cfg.tag in tags else "no pretrained weights"
    size = "input size fixed when built" if cfg.fixed_input_size else "any input size"
    return ModelInfo(
        name=name,
        task_types=(CLASSIFICATION,),
        parameters=parameters_if_counted(name.partition(".")[0]),
        default_image_size=int(cfg.input_size[-1]),
        mean=tuple(float(value) for value in cfg.mean),
        std=tuple(float(value) for value in cfg.std),
        interpolation=str(cfg.interpolation),
        pretrained_tags=tuple(sorted(tags, key=lambda tag: (tag != cfg.tag, tag))),
        description=cfg.description or f"timm {name.partition('.')[0]}: {weights}, {size}.",
        license=cfg.license or "",
    )
