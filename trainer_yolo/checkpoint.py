"""Checkpoint folders: safetensors and JSON only, so that loading one can run no code.

``weights.safetensors`` holds the model's averaged weights and, under the metadata key ``visionmesh``, a JSON object:

    framework, model_name, task_type   strings
    class_names                        list of strings; the index is the label id
    image_size                         pixels of a side
    keypoints                          of a pose: points, values of each, names, skeleton, flip_indices; else null
    definition                         the model's definition as ultralytics ships it
    epoch                              epochs done, from 1
    metrics                            name → value on the validation split
    versions                           library → version

``training_state.safetensors`` holds the weights that go on learning (``model.<name>``), the optimiser's tensors
(``state.<parameter>.<name>``, ``group.<index>.<name>``) and, under the same key, a JSON object:

    optimizer      param_groups (as torch gives them) and scalars (parameter → name → value that is no tensor)
    epoch          epochs done; random state derives from seed and epoch
    updates        updates done, of the optimiser and of the average
    best_metric    best value of the primary metric so far
    early_stopping best value of the primary metric, with its sign, and its epoch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from trainer_torch.checkpoint_files import TRAINING_STATE_FILE, WEIGHTS_FILE, Snapshot, Tensors, read_tensors
from trainer_torch.optimizer_state import join_state, split_state
from trainer_yolo.definitions import definitions
from trainer_yolo.models import build_model
from trainer_yolo.names import FRAMEWORK

_OWN_WEIGHTS = "model."


@dataclass(frozen=True)
class Keypoints:
    """The points of a pose: how many there are, and ``values`` of each (3: x, y and visibility).

    ``names``, ``skeleton`` and ``flip_indices`` are as in ``annotations.model.Category``, each empty where not known.
    """

    points: int
    values: int = 3
    names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelDescription:
    """All that is needed to rebuild a trained model besides its weights."""

    model_name: str
    task_type: str
    class_names: tuple[str, ...]
    image_size: int
    epoch: int
    metrics: Mapping[str, float]
    versions: Mapping[str, str]
    keypoints: Keypoints | None = None

    def build(self) -> torch.nn.Module:
        """Build the model with random weights. Raises KeyError when ultralytics defines no such model."""
        points = self.keypoints
        shape = None if points is None else (points.points, points.values)
        return build_model(definitions()[self.model_name], self.class_names, shape)


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands; ``weights`` are those that go on learning, not their average."""

    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any]
    epoch: int
    updates: int
    best_metric: float
    early_stopping: Mapping[str, Any]


def take_snapshot(description: ModelDescription, weights: Mapping[str, torch.Tensor], state: TrainingState) -> Snapshot:
    """Copy what a checkpoint holds; ``weights`` are the averaged ones."""
    tensors, scalars = split_state(state.optimizer)
    tensors |= {f"{_OWN_WEIGHTS}{name}": tensor for name, tensor in state.weights.items()}
    content: dict[str, Any] = {
        "optimizer": scalars,
        "epoch": state.epoch,
        "updates": state.updates,
        "best_metric": state.best_metric,
        "early_stopping": dict(state.early_stopping),
    }
    return Snapshot.of(description.epoch, (weights, _describe(description)), (tensors, content))


def read_weights(folder: Path) -> tuple[ModelDescription, Tensors]:
    """Read a model's description and its weights, on the CPU, building nothing.

    Raises FileNotFoundError when the folder has no weights, and SafetensorError when they are not of this trainer, or
    of a model that the ultralytics installed here lacks or defines otherwise.
    """
    tensors, content = read_tensors(folder / WEIGHTS_FILE)
    if content.get("framework") != FRAMEWORK:
        raise SafetensorError(f"{WEIGHTS_FILE} was made by {content.get('framework')}, not by {FRAMEWORK}.")
    try:
        return _description(content), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise SafetensorError(f"{WEIGHTS_FILE} is not described as it should be: {error!r}.") from error


def load_model(folder: Path) -> tuple[ModelDescription, torch.nn.Module]:
    """Read a checkpoint and build its model on the CPU, in evaluation mode, its weights in float32.

    Raises what ``read_weights`` raises, and SafetensorError when the weights do not fit the model.
    """
    description, weights = read_weights(folder)
    model = description.build()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise SafetensorError(f"{WEIGHTS_FILE} does not fit {description.model_name}: {error}") from error
    return description, model.float().eval()


def load_training_state(folder: Path) -> TrainingState:
    """Read what ``take_snapshot`` was given, all tensors on the CPU."""
    tensors, content = read_tensors(folder / TRAINING_STATE_FILE)
    own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_OWN_WEIGHTS)}
    return TrainingState(
        weights={name.removeprefix(_OWN_WEIGHTS): tensor for name, tensor in own.items()},
        optimizer=join_state(tensors, content["optimizer"]),
        epoch=content["epoch"],
        updates=content["updates"],
        best_metric=content["best_metric"],
        early_stopping=content["early_stopping"],
    )


def _describe(description: ModelDescription) -> dict[str, Any]:
    return {
        "framework": FRAMEWORK,
        "model_name": description.model_name,
        "task_type": description.task_type,
        "class_names": list(description.class_names),
        "image_size": description.image_size,
        "keypoints": None if description.keypoints is None else asdict(description.keypoints),
        "definition": dict(definitions()[description.model_name].content),
        "epoch": description.epoch,
        "metrics": dict(description.metrics),
        "versions": dict(description.versions),
    }


def _description(content: Mapping[str, Any]) -> ModelDescription:
    name = content["model_name"]
    definition = definitions().get(name)
    # Built from what is installed, never from what the file says: a definition names code.
    if definition is None:
        raise SafetensorError(f"{WEIGHTS_FILE} is of {name}, a model that ultralytics does not define here.")
    if definition.content != content["definition"]:
        raise SafetensorError(
            f"{WEIGHTS_FILE} is of a {name} that the ultralytics installed here defines otherwise; it was trained with "
            f"{content['versions']}."
        )
    points = content["keypoints"]
    return ModelDescription(
        model_name=name,
        task_type=content["task_type"],
        class_names=tuple(content["class_names"]),
        image_size=content["image_size"],
        epoch=content["epoch"],
        metrics=content["metrics"],
        versions=content["versions"],
        keypoints=None if points is None else _keypoints(points),
    )


def _keypoints(content: Mapping[str, Any]) -> Keypoints:
    return Keypoints(
        points=content["points"],
        values=content["values"],
        names=tuple(content["names"]),
        skeleton=tuple((first, second) for first, second in content["skeleton"]),
        flip_indices=tuple(content["flip_indices"]),
    )
