"""Masks of objects: as polygons or as run lengths, both in pixels of the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.utils import ops

from annotations.masks import encode_mask
from annotations.model import RunLengthMask
from trainer_yolo.framing import Framed

# Pixels of masks that are drawn at once: 64 MB of float32.
_PIXELS_AT_ONCE = 1 << 24

# x, y, x, y, …
Polygon = tuple[float, ...]


def polygons(
    prototypes: torch.Tensor, coefficients: torch.Tensor, boxes: torch.Tensor, framed: Framed
) -> Iterator[tuple[Polygon, ...] | None]:
    """The outlines of each object's mask on the image; None where the mask is empty.

    ``prototypes`` are (channels, h, w), ``coefficients`` (N, channels), ``boxes`` (N, 4) in pixels of the frame. Like
    ultralytics' own they are drawn on the frame, go through the centres of its pixels, and know no holes.
    """
    for part in _parts(len(coefficients), framed.shape):
        masks = ops.process_mask(prototypes, coefficients[part], boxes[part], framed.shape, upsample=True)
        for mask in masks.cpu().numpy():
            yield _in_image(mask, framed) if mask.any() else None


def run_lengths(
    prototypes: torch.Tensor, coefficients: torch.Tensor, boxes: torch.Tensor, framed: Framed
) -> Iterator[RunLengthMask | None]:
    """Each object's mask, drawn on the image with all its pixels; None where it is empty.

    As ``polygons``, but for ``boxes``: they are in pixels of the image.
    """
    for part in _parts(len(coefficients), framed.image_shape):
        masks = ops.process_mask_native(prototypes, coefficients[part], boxes[part], framed.image_shape)
        for mask in masks.cpu().numpy():
            yield encode_mask(mask) if mask.any() else None


def _parts(count: int, shape: tuple[int, int]) -> Iterator[slice]:
    """Slices of so many masks that they fit into memory together."""
    at_once = max(1, _PIXELS_AT_ONCE // (shape[0] * shape[1]))
    for start in range(0, count, at_once):
        yield slice(start, start + at_once)


def _outlines(mask: NDArray[np.uint8]) -> Iterator[NDArray[np.integer[Any]]]:
    """Outlines of what is connected, each (points, 2): three points at least."""
    for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        if len(contour) >= 3:
            yield np.reshape(contour, (-1, 2))
        else:
            # A pixel or a line of them: its outer edge.
            x, y, width, height = cv2.boundingRect(contour)
            yield np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], dtype=np.int32)


def _in_image(mask: NDArray[np.uint8], framed: Framed) -> tuple[Polygon, ...]:
    outlines = (framed.points_in_image(torch.from_numpy(outline).float()) for outline in _outlines(mask))
    # What lies in the padding beside the image has no width or no height once it is clipped.
    return tuple(
        tuple(points.flatten().tolist()) for points in outlines if bool((points.amax(0) > points.amin(0)).all())
    )
