"""The fields of ``advanced_config`` by task, a module a subject; every one of them changes the training."""

from __future__ import annotations

from collections.abc import Mapping

from trainer_yolo.fields.arguments import Fields
from trainer_yolo.fields.augmentation import CLASSIFICATION_AUGMENTATION, DETECTION_AUGMENTATION, PASTING
from trainer_yolo.fields.losses import DETECTION_LOSS, MASKS, ORIENTED_LOSS, POSE_LOSS
from trainer_yolo.fields.optimization import OPTIMIZATION, OPTIMIZER
from trainer_yolo.fields.run import (
    DETECTION_VALIDATION,
    DROPOUT,
    FREEZE,
    INTERVAL,
    RECTANGLES,
    RUN,
    SINGLE_CLASS,
)
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

_BOXES = (*DETECTION_VALIDATION, FREEZE, SINGLE_CLASS, RECTANGLES, *RUN)

FIELDS: Mapping[str, Fields] = {
    DETECTION: (*OPTIMIZATION, *DETECTION_LOSS, *DETECTION_AUGMENTATION, *_BOXES),
    SEGMENTATION: (*OPTIMIZATION, *DETECTION_LOSS, *MASKS, *DETECTION_AUGMENTATION, *PASTING, *_BOXES),
    POSE: (*OPTIMIZATION, *DETECTION_LOSS, *POSE_LOSS, *DETECTION_AUGMENTATION, *_BOXES),
    ORIENTED: (*OPTIMIZATION, *DETECTION_LOSS, *ORIENTED_LOSS, *DETECTION_AUGMENTATION, *PASTING, *_BOXES),
    CLASSIFICATION: (*OPTIMIZATION, *CLASSIFICATION_AUGMENTATION, DROPOUT, FREEZE, *RUN),
}

# The argument of ultralytics that each field sets; what is not here is this trainer's own.
ARGUMENTS: Mapping[str, str] = {
    field.name: field.name.rpartition(".")[2]
    for fields in FIELDS.values()
    for field in fields
    if field.name != INTERVAL.name
} | {OPTIMIZER.name: "optimizer"}
