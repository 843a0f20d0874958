"""Plane geometry of annotations: clipping to an image, and turning what was drawn on an image as it is stored upright.

Points are x, y, x, y, … in pixels of the model: (0, 0) is the outer corner of the first pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from annotations.masks import decode_mask, encode_mask
from annotations.model import Box, RunLengthMask

Points = tuple[float, ...]

# EXIF orientations that swap width and height.
_SWAPPING = (5, 6, 7, 8)


def polygon_area(polygon: Sequence[float]) -> float:
    """Square pixels of a polygon (shoelace formula): above 0 where its points run clockwise on the screen."""
    xs, ys = polygon[0::2], polygon[1::2]
    before = zip((*xs[-1:], *xs), (*ys[-1:], *ys), strict=True)
    return sum([x * y_next - x_next * y for (x, y), x_next, y_next in zip(before, xs, ys, strict=False)]) / 2


def clip_box(box: Box, width: float, height: float) -> Box:
    """The part of a box that lies within (0, 0, width, height); empty or inside out where none does."""
    return Box(max(box.x_min, 0.0), max(box.y_min, 0.0), min(box.x_max, width), min(box.y_max, height))


def clip_polygon(polygon: Sequence[float], width: float, height: float) -> Points:
    """The part of a polygon within (0, 0, width, height), by Sutherland and Hodgman; empty where none is.

    A polygon that leaves the image and comes back stays one polygon, its parts joined along the border.
    """
    xs, ys = polygon[0::2], polygon[1::2]
    if polygon and min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return tuple(polygon)
    points = list(zip(xs, ys, strict=True))
    for axis, limit, below in ((0, 0.0, False), (0, width, True), (1, 0.0, False), (1, height, True)):
        points = _clip_edge(points, axis, limit, below)
        if not points:
            return ()
    return tuple(value for point in points for value in point)


def _clip_edge(points: list[tuple[float, float]], axis: int, limit: float, below: bool) -> list[tuple[float, float]]:
    """Keep what lies on one side of a line: ``below`` or above ``limit`` on an axis."""
    kept: list[tuple[float, float]] = []
    for previous, point in zip([points[-1], *points[:-1]], points, strict=True):
        inside = point[axis] <= limit if below else point[axis] >= limit
        was_inside = previous[axis] <= limit if below else previous[axis] >= limit
        if inside != was_inside:
            share = (limit - previous[axis]) / (point[axis] - previous[axis])
            other = previous[1 - axis] + share * (point[1 - axis] - previous[1 - axis])
            kept.append((limit, other) if axis == 0 else (other, limit))
        if inside:
            kept.append(point)
    return kept


def stored_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height as stored, of an image that is ``width`` × ``height`` upright; the way back is the same."""
    return (height, width) if orientation in _SWAPPING else (width, height)


def upright_points(points: Sequence[float], width: float, height: float, orientation: int) -> Points:
    """Points of a stored image of ``width`` × ``height``, where they are once its EXIF orientation is applied."""
    turn = _TURNS.get(orientation)
    if turn is None:
        return tuple(points)
    turned = (turn(x, y, width, height) for x, y in zip(points[0::2], points[1::2], strict=True))
    return tuple(value for point in turned for value in point)


def upright_box(box: Box, width: float, height: float, orientation: int) -> Box:
    """A box of a stored image, turned upright; one that is inside out stays so nowhere: it comes out ordered."""
    return Box.around(upright_points((box.x_min, box.y_min, box.x_max, box.y_max), width, height, orientation))


def upright_mask(mask: RunLengthMask, orientation: int) -> RunLengthMask:
    """A mask of a stored image, turned upright. Raises ValueError as ``decode_mask`` does."""
    turn = _MASK_TURNS.get(orientation)
    return mask if turn is None else encode_mask(turn(decode_mask(mask)))


# EXIF 2.32, tag 0x0112: what to do to a stored image to see it upright.
_TURNS: dict[int, Callable[[float, float, float, float], tuple[float, float]]] = {
    2: lambda x, y, width, height: (width - x, y),
    3: lambda x, y, width, height: (width - x, height - y),
    4: lambda x, y, width, height: (x, height - y),
    5: lambda x, y, width, height: (y, x),
    6: lambda x, y, width, height: (height - y, x),
    7: lambda x, y, width, height: (height - y, width - x),
    8: lambda x, y, width, height: (y, width - x),
}

_MASK_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda mask: np.rot90(mask, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda mask: np.rot90(mask, -1),
    7: lambda mask: np.transpose(np.rot90(mask, 2)),
    8: np.rot90,
}
