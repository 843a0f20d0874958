"""Several polygons of one object as a single one, for formats that hold one for each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def join_polygons(polygons: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One polygon that covers what all of them cover; each is x, y, x, y, … with three points or more.

    Each polygon is cut open at the corner that is nearest to what is joined so far, and bound in there by a bridge that
    goes over and back on the same line, so it adds no area. The idea is that of ultralytics' converter from COCO.
    """
    if len(polygons) == 1:
        return tuple(polygons[0])
    joined, *others = (np.asarray(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons)
    for other in others:
        here, there = _nearest(joined, other)
        # Both ends of the bridge are passed twice: on the way over, and on the way back.
        turned = np.concatenate([other[there:], other[: there + 1]])
        joined = np.concatenate([joined[: here + 1], turned, joined[here:]])
    return tuple(float(value) for value in joined.ravel())


def _nearest(first: Points, second: Points) -> tuple[int, int]:
    """The places of the two corners that are nearest to each other. Row by row: outlines have thousands of points."""
    best = (np.inf, 0, 0)
    for place, (x, y) in enumerate(second):
        distances = (first[:, 0] - x) ** 2 + (first[:, 1] - y) ** 2
        nearest = int(np.argmin(distances))
        best = min(best, (float(distances[nearest]), nearest, place))
    return best[1], best[2]
