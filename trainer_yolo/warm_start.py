"""Beginning a training with the weights of an earlier one, whose classes may have been others."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from trainer.adapter import BadTrainingData, TrainingReporter, TrainingSpec
from trainer_yolo.checkpoint import load_model


def start_from(model: torch.nn.Module, folder: Path, spec: TrainingSpec, reporter: TrainingReporter) -> None:
    """Give ``model``, just built for the job's classes, what fits of the weights in ``folder``, and log what was taken.

    Of the head the rows of classes of the same name are kept, as ultralytics does it; those of other classes stay as
    they were built. Raises BadTrainingData when the weights are of another model.
    """
    try:
        description, source = load_model(folder)
    except SafetensorError as error:
        raise BadTrainingData(f"The weights to start from cannot be used: {error}") from error
    if (description.model_name, description.task_type) != (spec.model_name, spec.task_type):
        raise BadTrainingData(f"The weights to start from are of {description.model_name}, not of {spec.model_name}.")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load(source, verbose=False)  # type: ignore[operator]
    after, given = model.state_dict(), source.state_dict()
    whole = sum(name in given and torch.equal(after[name], given[name]) for name in after)
    changed = sum(not torch.equal(after[name], before[name]) for name in after)
    names: dict[int, str] = model.names  # type: ignore[assignment]
    known = sum(name in description.class_names for name in names.values())
    reporter.log(
        "info",
        f"Warm start with the weights of epoch {description.epoch} of {description.model_name}: {whole} of "
        f"{len(after)} tensors taken over, {max(changed - whole, 0)} in part; it knows {known} of "
        f"the {len(names)} classes."
        + (" pretrained is ignored: the weights are the checkpoint's." if spec.pretrained else ""),
    )
