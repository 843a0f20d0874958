"""Size and cost of the models: from the file beside this module, measured where it lacks one.

The file is made by ``python -m trainer_yolo.count_models``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trainer_yolo.definitions import Definition, definitions
from trainer_yolo.names import CLASSIFICATION

FILE = Path(__file__).with_name("model_counts.json")


@dataclass(frozen=True)
class Measured:
    """``parameters`` with the classes of the definition; ``gflops`` of one image of the default size.

    A multiplication with its addition counts as two. ``stride`` is what image sizes are multiples of, in pixels.
    """

    parameters: int
    gflops: float
    stride: int


@dataclass(frozen=True)
class CountedModels:
    """What the file holds: the version of ultralytics that was measured, and its models by name."""

    ultralytics_version: str
    models: Mapping[str, Measured]


@lru_cache(maxsize=1)
def counted_models() -> CountedModels:
    """Return what the file holds."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    models = {name: Measured(**measured) for name, measured in content["models"].items()}
    return CountedModels(content["ultralytics_version"], models)


def if_counted(name: str) -> Measured | None:
    """Return the measures of a model, None where the file is older than it."""
    return counted_models().models.get(name)


@lru_cache(maxsize=512)
def measures_of(name: str) -> Measured:
    """Return the measures of a model, taking them where need be. Raises KeyError when there is no such model."""
    return if_counted(name) or measure(definitions()[name])


def default_image_size(task_type: str) -> int:
    """Pixels of a side that ultralytics trains a task with unless told otherwise."""
    return 224 if task_type == CLASSIFICATION else 640


def measure(definition: Definition) -> Measured:
    """Build a model and measure it."""
    # They bring torch, which the catalogue does without.
    from ultralytics.utils.torch_utils import get_flops

    from trainer_yolo.models import build_model, largest_stride

    classes = [str(number) for number in range(int(definition.content["nc"]))]
    model = build_model(definition, classes)
    return Measured(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        gflops=round(float(get_flops(model, default_image_size(definition.task_type))), 3),
        stride=largest_stride(model),
    )
