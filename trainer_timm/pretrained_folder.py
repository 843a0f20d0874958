"""Pretrained weights that the operator of a trainer keeps in a folder, as safetensors alone."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from timm.models import get_pretrained_cfg

from trainer.adapter import PretrainedUnavailable
from trainer_timm.heads import head_names, is_of

SUFFIX = ".safetensors"
# Pickles run code when they are loaded.
PICKLES = (".pth", ".pt", ".bin", ".pth.tar", ".ckpt")


def folder_weights(model_name: str, folder: Path | None) -> Path | None:
    """Return the file for a model in ``folder``, or None when there is none or no folder.

    A tagged name (``resnet18.a1_in1k``) has the file ``resnet18.a1_in1k.safetensors`` alone; a bare one has
    ``resnet18.safetensors`` or else that of timm's default tag. Raises PretrainedUnavailable when all that is there for
    the model is a pickle.
    """
    if folder is None or Path(model_name).name != model_name:
        return None
    stems = _stems(model_name)
    for stem in stems:
        if (folder / f"{stem}{SUFFIX}").is_file():
            return folder / f"{stem}{SUFFIX}"
    for stem in stems:
        for suffix in PICKLES:
            if (folder / f"{stem}{suffix}").is_file():
                raise PretrainedUnavailable(
                    f"{stem}{suffix} in the folder of pretrained weights is a pickle, which is never loaded: it could "
                    f"run code. Convert it to {stem}{SUFFIX}, or take it away to use the hub."
                )
    return None


def check_covers(file: Path, model_name: str, model: torch.nn.Module) -> None:
    """Raise PretrainedUnavailable when ``file`` lacks a parameter of ``model`` outside the head.

    timm leaves out silently what it does not find once the number of classes differs from the published one.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            names = set(opened.keys())
    except SafetensorError as error:
        raise PretrainedUnavailable(
            f"{file.name} in the folder of pretrained weights is no safetensors file."
        ) from error
    heads = head_names(model)
    missing = [name for name, _ in model.named_parameters() if name not in names and not is_of(name, heads)]
    if missing:
        raise PretrainedUnavailable(
            f"{file.name} in the folder of pretrained weights does not hold {model_name} in timm's layout: it lacks "
            f"{len(missing)} parameters, {missing[0]} among them."
        )


def _stems(model_name: str) -> tuple[str, ...]:
    if "." in model_name:
        return (model_name,)
    config = get_pretrained_cfg(model_name)
    tag = config.tag if config is not None else ""
    return (model_name, f"{model_name}.{tag}") if tag else (model_name,)
