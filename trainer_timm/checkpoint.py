"""Checkpoint folders: safetensors and JSON only, so that loading one can run no code.

``weights.safetensors`` holds the model's state and, under the metadata key ``visionmesh``, a JSON object:

    framework, model_name, task_type   strings
    class_names                        list of strings; the index is the label id
    preprocessing                      image_size (pixels), mean, std, interpolation, crop_pct, crop_mode
    epoch                              epochs done, from 1
    metrics                            name → value on the validation split
    versions                           library → version

``training_state.safetensors`` holds the optimiser's tensors (``state.<parameter>.<name>`` and
``group.<index>.<name>``), where weights are averaged the weights themselves (``model.<name>``: the average is what
``weights.safetensors`` holds) and, under the same key, a JSON object:

    optimizer      param_groups (as torch gives them) and scalars (parameter → name → value that is no tensor)
    epoch          epochs done
    updates        updates done; the schedule is a function of epoch and updates, random state of (seed, epoch)
    best_metric    best value of the primary metric so far
    scheduler      what a plateau schedule has counted; other schedules remember nothing
    early_stopping best value of the metric watched and its epoch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from trainer_timm.names import CLASSIFICATION, FRAMEWORK
from trainer_timm.transforms import Preprocessing
from trainer_torch.checkpoint_files import TRAINING_STATE_FILE, WEIGHTS_FILE, Snapshot, Tensors, read_tensors
from trainer_torch.optimizer_state import join_state, split_state

_OWN_WEIGHTS = "model."


@dataclass(frozen=True)
class ModelDescription:
    """All that is needed to rebuild a trained model besides its weights."""

    model_name: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    epoch: int
    metrics: Mapping[str, float]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands: epochs and updates done, and the best primary metric so far.

    ``weights`` are the model's own where the checkpoint's are their average, else None.
    """

    optimizer: Mapping[str, Any]
    epoch: int
    updates: int
    best_metric: float
    weights: Mapping[str, torch.Tensor] | None = None
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    early_stopping: Mapping[str, Any] = field(default_factory=dict)


def take_snapshot(description: ModelDescription, weights: Tensors, state: TrainingState) -> Snapshot:
    """Copy what a checkpoint holds."""
    tensors, scalars = split_state(state.optimizer)
    tensors |= {f"{_OWN_WEIGHTS}{name}": tensor for name, tensor in (state.weights or {}).items()}
    content: dict[str, Any] = {
        "optimizer": scalars,
        "epoch": state.epoch,
        "updates": state.updates,
        "best_metric": state.best_metric,
        "scheduler": dict(state.scheduler),
        "early_stopping": dict(state.early_stopping),
    }
    return Snapshot.of(description.epoch, (weights, _describe(description)), (tensors, content))


def load_model(folder: Path) -> tuple[ModelDescription, Tensors]:
    """Read the model's description and its weights, on the CPU.

    Raises FileNotFoundError when the folder has no weights, and SafetensorError when they are not of this trainer.
    """
    tensors, content = read_tensors(folder / WEIGHTS_FILE)
    if content.get("framework") != FRAMEWORK:
        raise SafetensorError(f"{WEIGHTS_FILE} was made by {content.get('framework')}, not by {FRAMEWORK}.")
    preprocessing = dict(content["preprocessing"])
    preprocessing["mean"] = tuple(preprocessing["mean"])
    preprocessing["std"] = tuple(preprocessing["std"])
    description = ModelDescription(
        model_name=content["model_name"],
        class_names=tuple(content["class_names"]),
        preprocessing=Preprocessing(**preprocessing),
        epoch=content["epoch"],
        metrics=content["metrics"],
        versions=content["versions"],
    )
    return description, tensors


def load_training_state(folder: Path) -> TrainingState:
    """Read what ``take_snapshot`` was given, the optimiser's tensors on the CPU."""
    tensors, content = read_tensors(folder / TRAINING_STATE_FILE)
    own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_OWN_WEIGHTS)}
    return TrainingState(
        optimizer=join_state(tensors, content["optimizer"]),
        epoch=content["epoch"],
        updates=content["updates"],
        best_metric=content["best_metric"],
        weights={name.removeprefix(_OWN_WEIGHTS): tensor for name, tensor in own.items()} or None,
        scheduler=content["scheduler"],
        early_stopping=content["early_stopping"],
    )


def _describe(description: ModelDescription) -> dict[str, Any]:
    return {
        "framework": FRAMEWORK,
        "model_name": description.model_name,
        "task_type": CLASSIFICATION,
        "class_names": list(description.class_names),
        "preprocessing": asdict(description.preprocessing),
        "epoch": description.epoch,
        "metrics": dict(description.metrics),
        "versions": dict(description.versions),
    }
