"""The models of ultralytics that the tasks of the mesh can use. Reading them imports neither torch nor ultralytics."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from trainer.adapter import ModelInfo
from trainer_yolo.counts import Measured, default_image_size, if_counted, measures_of
from trainer_yolo.definitions import Definition, definitions
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

LICENSE = "agpl-3.0"

_WHAT = {
    CLASSIFICATION: "classifies images",
    DETECTION: "finds boxes",
    ORIENTED: "finds rotated boxes",
    POSE: "finds boxes with keypoints",
    SEGMENTATION: "finds boxes with masks",
}


@lru_cache(maxsize=1)
def list_models() -> tuple[ModelInfo, ...]:
    """Return every model, by name; ``parameters`` is 0 for one that is newer than the file of counts."""
    return tuple(_describe(definition, if_counted(name)) for name, definition in definitions().items())


@lru_cache(maxsize=512)
def get_model(name: str) -> ModelInfo:
    """Return one model with its parameter count. Raises KeyError when ultralytics defines no such model."""
    return _describe(definitions()[name], measures_of(name))


def _describe(definition: Definition, measured: Measured | None) -> ModelInfo:
    size = default_image_size(definition.task_type)
    info = ModelInfo(
        name=definition.name,
        task_types=(definition.task_type,),
        parameters=0,
        default_image_size=size,
        # Pixels in [0, 1], and nothing else.
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation="bilinear",
        # None ships with the package, and what can be fetched are pickles, which are never loaded.
        pretrained_tags=(),
        description=f"ultralytics {definition.name}: {_WHAT[definition.task_type]}.",
        license=LICENSE,
    )
    if measured is None:
        return info
    cost = f"{measured.gflops:.1f} GFLOPs an image of {size} pixels; image sizes are multiples of {measured.stride}."
    return replace(info, parameters=measured.parameters, description=f"{info.description[:-1]}, {cost}")
