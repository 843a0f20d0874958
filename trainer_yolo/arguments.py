"""From a job and its configuration to ultralytics' training arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainer.adapter import TrainingSpec
from trainer_yolo.definitions import Definition
from trainer_yolo.fields import ARGUMENTS
from trainer_yolo.names import ULTRALYTICS_TASKS

# What is decided here and nowhere else. ``save`` makes a trainer save at the end of each epoch, in its own way.
_FIXED = {
    "mode": "train",
    "data": "dataset",
    "save": True,
    "val": True,
    "plots": False,
    "verbose": False,
    "exist_ok": True,
    "pretrained": False,
    "cache": False,
    # Random states are set anew for every epoch.
    "seed": 0,
}
MOST_WORKERS = 8


def training_arguments(spec: TrainingSpec, definition: Definition, folder: Path) -> dict[str, Any]:
    """Return the arguments of a training that writes nothing outside ``folder``."""
    values: dict[str, Any] = {ARGUMENTS[name]: value for name, value in spec.config.items() if name in ARGUMENTS}
    values["amp"] = "bf16" if values["amp"] and has_fast_bfloat16() else False
    if values.get("auto_augment") == "none":
        values["auto_augment"] = None
    if values["workers"] < 0:
        values["workers"] = min(max(1, spec.threads), MOST_WORKERS) if torch.cuda.is_available() else 0
    return {
        **_FIXED,
        **values,
        "task": ULTRALYTICS_TASKS[spec.task_type],
        "model": f"{definition.name}.yaml",
        "epochs": spec.epochs,
        "batch": spec.batch_size,
        "lr0": spec.learning_rate,
        "imgsz": spec.image_size,
        "device": "0" if torch.cuda.is_available() else "cpu",
        "save_dir": str(folder),
    }


def has_fast_bfloat16() -> bool:
    """Say whether bfloat16 is faster than float32 here: on CUDA devices that compute in it, never on a CPU."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
