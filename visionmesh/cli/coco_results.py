"""What was found on images as COCO's results format, which its evaluation reads.

Objects are a list of ``image_id`` (the image's place among the file names in their order, from 1), ``file_name`` (which
COCO passes over), ``category_id`` (the label id + 1, as the platform writes COCO), ``bbox`` (x, y, width, height),
``score``, and where there are any ``segmentation`` (compressed run lengths; a polygon for a rotated box) and
``keypoints`` (x, y, how sure the model is, …).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from visionmesh.cli.failures import USAGE, CommandError
from visionmesh.v1 import common_pb2, inference_pb2

# Hundredths of a pixel; COCO's own results have one decimal.
_DECIMALS = 2


class CocoResults:
    """The results of images that are known beforehand, written at the end."""

    def __init__(self, file_names: Sequence[str]) -> None:
        self._file_names = file_names
        in_order = sorted(range(len(file_names)), key=lambda place: file_names[place])
        self._ids: Mapping[int, int] = {place: number for number, place in enumerate(in_order, start=1)}
        self._results: list[dict[str, Any]] = []

    def add(self, place: int, answer: inference_pb2.PredictResponse) -> None:
        """Take over what was found on the image at a place. Raises CommandError for the classes of a whole image."""
        if answer.task_type == common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION:
            raise CommandError("USAGE", "COCO's results are of objects, and this model classifies images", USAGE)
        image = {"image_id": self._ids[place], "file_name": self._file_names[place]}
        self._results.extend({**image, **encode_detection(found)} for found in answer.detections)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(json.dumps(self._results), encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def encode_detection(found: inference_pb2.Detection) -> dict[str, Any]:
    """One object, without its image."""
    box = found.box
    content: dict[str, Any] = {
        "category_id": found.label_id + 1,
        "bbox": _rounded((box.x_min, box.y_min, box.x_max - box.x_min, box.y_max - box.y_min)),
        "score": found.confidence,
    }
    if found.HasField("mask_rle"):
        mask = found.mask_rle
        content["segmentation"] = {"size": [mask.height, mask.width], "counts": compress(mask.counts)}
    elif found.HasField("rotated_box"):
        corners = found.rotated_box.corners
        content["segmentation"] = [_rounded(value for point in corners for value in (point.x, point.y))]
    if found.keypoints:
        content["keypoints"] = [
            value
            for keypoint in found.keypoints
            for value in (*_rounded((keypoint.point.x, keypoint.point.y)), keypoint.confidence)
        ]
    return content


def compress(counts: Sequence[int]) -> str:
    """Run lengths as COCO's text: from the fourth on as difference to the last but one, five bits a character."""
    text = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            # The sign is that of the fifth bit.
            more = value != (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits | 0x20 if more else bits)))
    return "".join(text)


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(value, _DECIMALS) for value in values]
