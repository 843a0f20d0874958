"""Checkpoints that took no training: random weights whose confidences spread all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.trainer_yolo.helpers import SIZE
from trainer_torch.checkpoint_files import write_checkpoint as write_files
from trainer_yolo.checkpoint import Keypoints, ModelDescription, TrainingState, take_snapshot
from trainer_yolo.definitions import definitions
from trainer_yolo.names import CLASSIFICATION, POSE

NAMES = ("cat", "dog", "bird")


def write_checkpoint(folder: Path, model_name: str, *, values: int = 3, size: int = SIZE) -> Path:
    """A checkpoint of a model; of a pose with four keypoints of so many ``values``."""
    torch.manual_seed(5)
    task_type = definitions()[model_name].task_type
    description = ModelDescription(
        model_name=model_name,
        task_type=task_type,
        class_names=NAMES,
        image_size=size,
        epoch=1,
        metrics={},
        versions={},
        keypoints=Keypoints(4, values) if task_type == POSE else None,
    )
    model = description.build()
    _calibrate(model)
    _spread(model.model[-1], task_type)  # type: ignore[index]
    state = TrainingState({}, {"state": {}, "param_groups": []}, 1, 1, 0.0, {})
    return write_files(folder, take_snapshot(description, model.state_dict(), state))


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Coarse noise: a bit of everything."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def _calibrate(model: torch.nn.Module) -> None:
    """Give every normalisation the statistics of what it sees, as a trained one has them."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    images = [np.asarray(picture(SIZE, SIZE, seed)) for seed in range(48)]
    with torch.no_grad():
        model.train()(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255)


def _spread(head: Any, task_type: str) -> None:
    """Make scores differ from place to place and from class to class."""
    last: list[Any]
    if task_type == CLASSIFICATION:
        last = [head.linear]
    elif hasattr(head, "dec_score_head"):
        last = [head.enc_score_head, *head.dec_score_head]
    else:
        branches = (getattr(head, name, None) for name in ("cv3", "one2one_cv3"))
        last = [branch[-1] for branch in branches if branch is not None for branch in branch]
    with torch.no_grad():
        for layer in last:
            layer.weight.normal_(0, 2 * layer.weight[0].numel() ** -0.5)
            layer.bias.fill_(-0.5)
