"""The outline of an object as one polygon, which is how ultralytics takes masks and rotated boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics.data.converter import merge_multi_segment

from annotations.model import AnnotatedObject, RunLengthMask

# Points of a polygon in pixels: float32, (points, 2), x and y.
Outline = NDArray[np.float32]

_SMALLEST_POLYGON = 3


def outline_of(found: AnnotatedObject, width: int, height: int, *, rotated: bool) -> tuple[Outline, bool]:
    """The outline of an object on an image of ``width`` × ``height`` pixels, and whether it was annotated.

    A rotated box has four corners. An object without mask or rotated box has its upright box for an outline.
    """
    if rotated:
        if found.rotated_box:
            return np.array(found.rotated_box, dtype=np.float32).reshape(-1, 2), True
        return _box(found), False
    polygons = [np.array(polygon, dtype=np.float32).reshape(-1, 2) for polygon in found.polygons]
    if found.mask is not None:
        polygons = mask_polygons(found.mask, width, height)
    polygons = [polygon for polygon in polygons if len(polygon) >= _SMALLEST_POLYGON]
    if not polygons:
        return _box(found), False
    if len(polygons) == 1:
        return polygons[0], True
    # Parts of an object that something covers in its middle, joined by lines without area.
    return np.concatenate(merge_multi_segment(polygons)).astype(np.float32), True


def mask_polygons(mask: RunLengthMask, width: int, height: int) -> list[Outline]:
    """The outlines of a mask's parts, stretched to ``width`` × ``height`` pixels; holes are filled."""
    values = np.zeros(len(mask.counts), dtype=np.uint8)
    values[1::2] = 1
    pixels = np.repeat(values, mask.counts).reshape(mask.width, mask.height).T
    contours, _ = cv2.findContours(np.ascontiguousarray(pixels), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([width / mask.width, height / mask.height], dtype=np.float32)
    return [contour.reshape(-1, 2).astype(np.float32) * scale for contour in contours]


def _box(found: AnnotatedObject) -> Outline:
    box = found.box
    corners = [(box.x_min, box.y_min), (box.x_max, box.y_min), (box.x_max, box.y_max), (box.x_min, box.y_max)]
    return np.array(corners, dtype=np.float32)
