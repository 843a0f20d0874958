"""From rows of numbers to the objects that a prediction answers, task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from ultralytics.utils import ops

from annotations.model import Box
from trainer.adapter import DetectedKeypoint, DetectedRotatedBox, Detection, PredictOptions
from trainer_yolo.candidates import Rows
from trainer_yolo.framing import Framed
from trainer_yolo.masks import polygons, run_lengths

# Rows of one image, and for segmentation its prototypes, (channels, h, w).
Describe = Callable[[Rows, torch.Tensor | None, Framed, PredictOptions], list[Detection]]

# Where a row's extra numbers begin.
_EXTRA = 6


def upright(class_names: Sequence[str]) -> Describe:
    """Boxes and nothing else."""

    def describe(rows: Rows, _: torch.Tensor | None, framed: Framed, options: PredictOptions) -> list[Detection]:
        boxes = framed.boxes_in_image(rows[:, :4]).tolist()
        return [
            Detection(class_names[label_id], label_id, confidence, Box(*box))
            for (confidence, label_id), box in zip(_said(rows), boxes, strict=True)
        ]

    return describe


def segmented(class_names: Sequence[str]) -> Describe:
    """Boxes with masks. An object whose mask is empty is none."""

    def describe(
        rows: Rows, prototypes: torch.Tensor | None, framed: Framed, options: PredictOptions
    ) -> list[Detection]:
        assert prototypes is not None
        boxes = framed.boxes_in_image(rows[:, :4])
        said = list(zip(_said(rows), boxes.tolist(), strict=True))
        if options.run_length_masks:
            return [
                Detection(class_names[label_id], label_id, confidence, Box(*box), mask=mask)
                for ((confidence, label_id), box), mask in zip(
                    said, run_lengths(prototypes, rows[:, _EXTRA:], boxes, framed), strict=True
                )
                if mask is not None
            ]
        return [
            Detection(class_names[label_id], label_id, confidence, Box(*box), polygons=outlines)
            for ((confidence, label_id), box), outlines in zip(
                said, polygons(prototypes, rows[:, _EXTRA:], rows[:, :4], framed), strict=True
            )
            if outlines is not None
        ]

    return describe


def posed(class_names: Sequence[str], points: int, values: int) -> Describe:
    """Boxes with keypoints of 2 or 3 values each: x, y and how sure the model is; 1 where it does not say."""

    def describe(rows: Rows, _: torch.Tensor | None, framed: Framed, options: PredictOptions) -> list[Detection]:
        boxes = framed.boxes_in_image(rows[:, :4]).tolist()
        keypoints = framed.points_in_image(rows[:, _EXTRA:].reshape(-1, points, values)).tolist()
        return [
            Detection(
                class_names[label_id],
                label_id,
                confidence,
                Box(*box),
                keypoints=tuple(DetectedKeypoint(x, y, *(sure or [1.0])) for x, y, *sure in pose),
            )
            for (confidence, label_id), box, pose in zip(_said(rows), boxes, keypoints, strict=True)
        ]

    return describe


def oriented(class_names: Sequence[str]) -> Describe:
    """Rotated boxes, each with the upright box around it."""

    def describe(rows: Rows, _: torch.Tensor | None, framed: Framed, options: PredictOptions) -> list[Detection]:
        rotated = torch.cat([framed.boxes_in_image(rows[:, :4], rotated=True), rows[:, -1:]], dim=1)
        # ultralytics begins at the lower right and goes round against the clock.
        corners = ops.xywhr2xyxyxyxy(rotated).flip(1).roll(-1, 1)
        around = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
        boxes = ops.clip_boxes(around, framed.image_shape).tolist()
        flat = corners.flatten(1).tolist()
        return [
            Detection(
                class_names[label_id],
                label_id,
                confidence,
                Box(*box),
                rotated_box=DetectedRotatedBox(x, y, width, height, angle, tuple(outline)),
            )
            for (confidence, label_id), box, (x, y, width, height, angle), outline in zip(
                _said(rows), boxes, rotated.tolist(), flat, strict=True
            )
        ]

    return describe


def _said(rows: Rows) -> list[tuple[float, int]]:
    """Confidence and label id of each row."""
    return [(confidence, int(label_id)) for confidence, label_id in rows[:, 4:_EXTRA].tolist()]
