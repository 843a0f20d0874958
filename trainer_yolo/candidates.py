"""From what a model computes to the objects that an answer names: suppression by the options of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from ultralytics.utils import nms, ops

from trainer.adapter import PredictOptions

# What is found on one image, most confident first: float32, (N, 6 + extra), in pixels of the frame. A row is a box
# (x_min, y_min, x_max, y_max; rotated: centre, width, height), confidence, label id, and what its task adds: mask
# coefficients, keypoints or an angle.
Rows = torch.Tensor

# From the raw predictions of one image, (1, …), whose frame has a shape (height, width) in pixels.
Choose = Callable[[torch.Tensor, tuple[int, int], PredictOptions], Rows]

# As many objects as a prediction can ask for.
MOST_DETECTIONS = 3000


def suppressed(class_names: Sequence[str], *, rotated: bool) -> Choose:
    """Of boxes of a class that overlap the most confident is an object. Raw: (1, 4 + classes + extra, boxes)."""

    def choose(predictions: torch.Tensor, _: tuple[int, int], options: PredictOptions) -> Rows:
        return _non_max_suppression(predictions, class_names, options, rotated=rotated)

    return choose


def end_to_end(class_names: Sequence[str], select: Callable[[torch.Tensor], torch.Tensor]) -> Choose:
    """Every box is an object. Raw: (1, boxes, 4 + classes + extra); ``select`` is the head's own choice of the best."""

    def choose(predictions: torch.Tensor, _: tuple[int, int], options: PredictOptions) -> Rows:
        return _non_max_suppression(select(predictions), class_names, options, end2end=True)

    return choose


def by_transformer(class_names: Sequence[str]) -> Choose:
    """Every query is an object. Raw: (1, queries, 6), its centre, width and height as parts of the frame."""

    def choose(predictions: torch.Tensor, shape: tuple[int, int], options: PredictOptions) -> Rows:
        height, width = shape
        boxes = ops.xywh2xyxy(predictions[..., :4]) * predictions.new_tensor([width, height, width, height])
        rows = torch.cat([boxes, predictions[..., 4:]], dim=-1)
        return _non_max_suppression(rows, class_names, options, end2end=True)

    return choose


def _non_max_suppression(
    predictions: torch.Tensor, class_names: Sequence[str], options: PredictOptions, **how: Any
) -> Rows:
    """Ultralytics' own, for one image; predictions that are ``end2end`` are only filtered."""
    chosen = None
    if options.labels is not None:
        chosen = [label_id for label_id, name in enumerate(class_names) if options.allows(name)]
    [rows] = nms.non_max_suppression(
        predictions,
        options.confidence_threshold,
        options.iou_threshold,
        classes=chosen,
        max_det=options.max_detections,
        nc=len(class_names),
        **how,
    )
    best_first = rows[:, 4].argsort(descending=True, stable=True)
    found: Rows = rows[best_first]
    return found
