"""What was found on a validation image beside what is there, matched as ultralytics' confusion matrix does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils import ops
from ultralytics.utils.metrics import batch_probiou, box_iou

# What ultralytics counts by: finds of more than this confidence, that overlap an object by more than this IoU.
CONFIDENCE = 0.25
IOU = 0.45

# The parts of ``storage.objects.object_images.ObjectMatch``, in their order.
Match = tuple[int | None, int | None, float | None, float | None, list[float] | None, list[float] | None]


def image_row(root: Path, found: Mapping[str, torch.Tensor], truth: Mapping[str, Any]) -> dict[str, Any]:
    """An image as a reporter takes it: ``found`` and ``truth`` as a validator of objects judges them.

    ``found`` has ``bboxes`` (N, 4 as corners, or 5 of rotated boxes), ``conf`` and ``cls`` (N,); ``truth`` has
    ``bboxes``, ``cls``, ``imgsz`` (height and width of what the model sees), ``ori_shape`` (those of the image),
    ``ratio_pad`` and ``im_file``. Boxes come in pixels of what the model sees, and go in pixels of the image.
    """
    height, width = (int(side) for side in truth["ori_shape"])
    sure = found["conf"] > CONFIDENCE
    objects = match(
        found={name: found[name][sure] for name in ("bboxes", "conf", "cls")},
        truth={name: truth[name] for name in ("bboxes", "cls")},
        truth_boxes=_in_image(truth["bboxes"], truth),
        found_boxes=_in_image(found["bboxes"][sure], truth),
    )
    path = Path(truth["im_file"]).relative_to(root).as_posix()
    return {"path": path, "width": width, "height": height, "objects": objects}


def match(
    *,
    found: Mapping[str, torch.Tensor],
    truth: Mapping[str, torch.Tensor],
    truth_boxes: Sequence[list[float]],
    found_boxes: Sequence[list[float]],
) -> list[Match]:
    """Give every object that is there, in their order, then what was found beside them, the most certain first.

    Each find, in order of confidence, takes the object that it overlaps most and that none has taken before, whatever
    its class.
    """
    labels, predicted = (one["cls"].int().tolist() for one in (truth, found))
    confidences: list[float] = found["conf"].float().tolist()
    overlap = _overlap(truth["bboxes"], found["bboxes"])
    by_confidence = np.argsort(-np.array(confidences), kind="stable").tolist()
    taken: dict[int, tuple[int, float]] = {}
    for place in by_confidence if labels else ():
        best = int(overlap[:, place].argmax())
        if overlap[best, place] > IOU:
            taken[best] = place, min(1.0, float(overlap[best, place]))
            overlap[best] = 0  # no other find may have it
    matches: list[Match] = []
    for number, label in enumerate(labels):
        if number in taken:
            place, iou = taken[number]
            said = predicted[place], confidences[place], iou
            matches.append((label, *said, truth_boxes[number], found_boxes[place]))
        else:
            matches.append((label, None, None, None, truth_boxes[number], None))
    used = {place for place, _ in taken.values()}
    matches += [
        (None, predicted[place], confidences[place], None, None, found_boxes[place])
        for place in by_confidence
        if place not in used
    ]
    return matches


def _overlap(truth: torch.Tensor, found: torch.Tensor) -> np.ndarray:
    """IoU by [object][find]."""
    if not len(truth) or not len(found):
        return np.zeros((len(truth), len(found)))
    rotated = truth.shape[1] == 5
    overlap: np.ndarray = (batch_probiou if rotated else box_iou)(truth, found).float().cpu().numpy()
    return overlap


def _in_image(boxes: torch.Tensor, truth: Mapping[str, Any]) -> list[list[float]]:
    """Boxes in pixels of the image: four numbers each, or the eight of the corners of rotated ones."""
    if not len(boxes):
        return []
    rotated = boxes.shape[1] == 5
    scaled = ops.scale_boxes(
        truth["imgsz"], boxes.float().clone(), truth["ori_shape"], ratio_pad=truth["ratio_pad"], xywh=rotated
    )
    if rotated:
        scaled = ops.xywhr2xyxyxyxy(scaled).reshape(-1, 8)
    # A model that has gone astray may put boxes anywhere; where they lie does not matter then.
    numbers: list[list[float]] = torch.nan_to_num(scaled, 0.0, 1e6, -1e6).tolist()
    return numbers
