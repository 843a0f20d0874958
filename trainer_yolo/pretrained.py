"""Published weights, which the operator of a trainer keeps in a folder, as safetensors alone."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from trainer.adapter import PretrainedUnavailable
from trainer_torch.checkpoint_files import METADATA_KEY
from trainer_yolo.definitions import Definition
from trainer_yolo.models import build_model

SUFFIX = ".safetensors"
# What ultralytics publishes: it runs code when it is loaded.
PICKLE = ".pt"
_ADVICE = "Train with pretrained set to false, or with a checkpoint of an earlier job to start from."


def weights_file(model_name: str, folder: Path | None) -> Path | None:
    """Return the file for a model in ``folder``, or None when there is none or no folder."""
    if folder is None or Path(model_name).name != model_name:
        return None
    file = folder / f"{model_name}{SUFFIX}"
    return file if file.is_file() else None


def check_pretrained(model_name: str, folder: Path | None) -> None:
    """Raise PretrainedUnavailable at once when there are no weights. There is no hub to ask: it has pickles alone."""
    if weights_file(model_name, folder) is not None:
        return
    if folder is not None and (folder / f"{model_name}{PICKLE}").is_file():
        raise PretrainedUnavailable(
            f"{model_name}{PICKLE} in the folder of pretrained weights is a pickle, which is never loaded: it could "
            f"run code. Convert it to {model_name}{SUFFIX}. {_ADVICE}"
        )
    where = f"the folder of pretrained weights has no {model_name}{SUFFIX}" if folder else "no folder of them is set"
    raise PretrainedUnavailable(
        f"There are no pretrained weights of {model_name}: ultralytics publishes pickles, which are never fetched or "
        f"loaded, and {where}. {_ADVICE}"
    )


def pretrained_model(definition: Definition, folder: Path | None) -> torch.nn.Module:
    """The model that was published, with its own classes. Raises PretrainedUnavailable when the file does not fit.

    The tensors are named as in ``state_dict`` of ultralytics' model; a ``weights.safetensors`` of this trainer will do.
    """
    file = weights_file(definition.name, folder)
    if file is None:
        raise PretrainedUnavailable(f"There are no pretrained weights of {definition.name}. {_ADVICE}")
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            about = json.loads((opened.metadata() or {}).get(METADATA_KEY, "{}"))
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
        classes = about.get("class_names") or [str(number) for number in range(int(definition.content["nc"]))]
        points = about.get("keypoints")
        model = build_model(definition, classes, (points["points"], points["values"]) if points else None)
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise PretrainedUnavailable(
            f"{file.name} in the folder of pretrained weights does not hold {definition.name} as ultralytics names its "
            f"tensors: {str(error)[:300]}"
        ) from error
    return model
