"""The outline of an object as one polygon, which is how ultralytics takes masks and rotated boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.geometry import polygon_area
from annotations.masks import decode_mask
from annotations.model import AnnotatedObject, RunLengthMask
from annotations.writers.polygons import join_polygons

# Points of a polygon in pixels: float32, (points, 2), x and y.
Outline = NDArray[np.float32]

# Numbers of a polygon of three corners.
_SMALLEST_POLYGON = 6


def outline_of(found: AnnotatedObject, width: int, height: int, *, rotated: bool) -> tuple[Outline, bool]:
    """The outline of an object on an image of ``width`` × ``height`` pixels, and whether it was annotated.

    A rotated box has four corners. An object without mask or rotated box has its upright box for an outline.
    """
    if rotated:
        if found.rotated_box:
            return np.array(found.rotated_box, dtype=np.float32).reshape(-1, 2), True
        return _box(found), False
    polygons = found.polygons if found.mask is None else mask_polygons(found.mask, width, height)
    drawn = [polygon for polygon in polygons if len(polygon) >= _SMALLEST_POLYGON and polygon_area(polygon) != 0]
    if not drawn:
        return _box(found), False
    return np.array(join_polygons(drawn), dtype=np.float32).reshape(-1, 2), True


def mask_polygons(mask: RunLengthMask, width: int, height: int) -> list[tuple[float, ...]]:
    """The outlines of a mask's parts (each x, y, x, y, …) on ``width`` × ``height`` pixels; holes are filled."""
    pixels = np.ascontiguousarray(decode_mask(mask))
    contours, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([width / mask.width, height / mask.height])
    return [tuple((contour.reshape(-1, 2) * scale).ravel().tolist()) for contour in contours]


def _box(found: AnnotatedObject) -> Outline:
    box = found.box
    corners = [(box.x_min, box.y_min), (box.x_max, box.y_min), (box.x_max, box.y_max), (box.x_min, box.y_max)]
    return np.array(corners, dtype=np.float32)
