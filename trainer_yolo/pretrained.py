"""Published weights as a model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from trainer.adapter import PretrainedUnavailable
from trainer_torch.checkpoint_files import METADATA_KEY
from trainer_yolo.definitions import Definition
from trainer_yolo.models import build_model
from trainer_yolo.pretrained_folder import ADVICE, weights_file


def pretrained_model(definition: Definition, folder: Path | None) -> torch.nn.Module:
    """The model that was published, with its own classes. Raises PretrainedUnavailable when the file does not fit.

    The tensors are named as in ``state_dict`` of ultralytics' model; a ``weights.safetensors`` of this trainer will do.
    """
    file = weights_file(definition.name, folder)
    if file is None:
        raise PretrainedUnavailable(f"There are no pretrained weights of {definition.name}. {ADVICE}")
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
