"""Building a model of the catalogue for the classes of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ultralytics.nn.tasks import (
    ClassificationModel,
    DetectionModel,
    OBBModel,
    PoseModel,
    RTDETRDetectionModel,
    SegmentationModel,
)

from trainer_yolo.definitions import Definition
from trainer_yolo.environment import leave_pillow_alone
from trainer_yolo.names import CLASSIFICATION, ORIENTED, POSE, SEGMENTATION

# Here, since everything that imports ultralytics comes by.
leave_pillow_alone()


def build_model(
    definition: Definition, class_names: Sequence[str], keypoints: tuple[int, int] | None = None
) -> torch.nn.Module:
    """Build a model with random weights for RGB images in [0, 1], float32 (N, 3, H, W); nothing is fetched.

    ``keypoints`` are a pose's points and the values of each (3: x, y and visibility).
    """
    model: torch.nn.Module = _class_of(definition)(
        definition.configuration(len(class_names), keypoints), ch=3, nc=len(class_names), verbose=False
    )
    model.names = dict(enumerate(class_names))  # type: ignore[assignment]
    return model


def largest_stride(model: torch.nn.Module) -> int:
    """Pixels of a side that one cell of the coarsest feature map stands for: image sizes are multiples of it."""
    return max(int(model.stride.max()), 32)  # type: ignore[operator]


def _class_of(definition: Definition) -> Any:
    if definition.is_rtdetr:
        return RTDETRDetectionModel
    return {
        CLASSIFICATION: ClassificationModel,
        ORIENTED: OBBModel,
        POSE: PoseModel,
        SEGMENTATION: SegmentationModel,
    }.get(definition.task_type, DetectionModel)
