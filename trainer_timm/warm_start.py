"""Beginning a training with the weights of an earlier one, whose classes may have been others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from trainer.adapter import BadTrainingData, TrainingReporter, TrainingSpec
from trainer_timm.checkpoint import load_model
from trainer_timm.heads import head_names, is_of
from trainer_timm.models import build_resized

Tensors = Mapping[str, torch.Tensor]


def start_from(
    model: torch.nn.Module, folder: Path, spec: TrainingSpec, class_names: Sequence[str], reporter: TrainingReporter
) -> None:
    """Give ``model``, just built for ``class_names``, the weights in ``folder``, and log what was taken over.

    The head is kept when both know the same classes, its rows put into the order of ``class_names``; otherwise, or
    where an architecture's head has no plain row for each class, it stays as it was built. Raises BadTrainingData when
    the weights are of another model.
    """
    description, weights = load_model(folder)
    if description.model_name != spec.model_name:
        raise BadTrainingData(f"The weights to start from are of {description.model_name}, not of {spec.model_name}.")
    size = description.preprocessing.image_size
    source_size = "" if size == spec.image_size else f" (trained at {size} pixels, now {spec.image_size})"
    if size != spec.image_size and _misfits(model, weights):
        # Tables of positions have the shape of one image size; timm knows how to stretch each of them.
        weights = build_resized(spec.model_name, len(description.class_names), spec.image_size, weights).state_dict()
    heads = head_names(model)
    head = {name for name in model.state_dict() if is_of(name, heads)}
    kept, said = _ordered_head(weights, head, description.class_names, class_names)
    if kept is None and not head:
        raise BadTrainingData(f"{spec.model_name} does not tell which part is its head, so the classes cannot change.")
    taken = {name: tensor for name, tensor in weights.items() if not is_of(name, heads)} | (kept or {})
    fresh = {name: tensor for name, tensor in model.state_dict().items() if kept is None and name in head}
    try:
        model.load_state_dict({**taken, **fresh})
    except RuntimeError as error:
        raise BadTrainingData(f"The weights to start from do not fit {spec.model_name}: {error}") from error
    reporter.log(
        "info",
        f"Warm start with the weights of epoch {description.epoch} of {description.model_name}{source_size}: "
        f"{len(taken)} of {len(taken) + len(fresh)} tensors taken over; {said}."
        + (" pretrained is ignored: the weights are the checkpoint's." if spec.pretrained else ""),
    )


def _ordered_head(
    weights: Tensors, head: set[str], source: Sequence[str], target: Sequence[str]
) -> tuple[dict[str, torch.Tensor] | None, str]:
    """The tensors of the head in the order of ``target``, None when it must be replaced, and a word about it."""
    names = head & set(weights)
    if tuple(source) == tuple(target):
        return {name: weights[name] for name in names}, "the head is kept"
    if sorted(source) != sorted(target):
        return (
            None,
            f"the head is new: the checkpoint knows {len(source)} classes, the dataset has {len(target)} others",
        )
    rows = torch.tensor([source.index(name) for name in target])
    plain = all(
        name.rpartition(".")[2] in ("weight", "bias") and weights[name].shape[:1] == (len(source),) for name in names
    )
    if not names or not plain:
        return None, "the head is new: the classes have another order, which cannot be given to a head of this kind"
    return {name: weights[name][rows] for name in names}, "the head is kept, its rows in the dataset's order of classes"


def _misfits(model: torch.nn.Module, weights: Tensors) -> bool:
    """Whether a tensor outside the head has another shape than the model's."""
    heads = head_names(model)
    return any(
        name in weights and weights[name].shape != tensor.shape
        for name, tensor in model.state_dict().items()
        if not is_of(name, heads)
    )
