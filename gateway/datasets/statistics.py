"""What a dataset measures: histograms and counts, as its record keeps them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from annotations.reading import ImageSize

OBJECTS_PER_IMAGE = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200)
RELATIVE_BOX_SIZES = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
IMAGE_SIZES = (0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
ASPECT_RATIOS = (0, 0.25, 0.5, 0.67, 0.8, 0.95, 1.05, 1.25, 1.5, 2, 4)


class Histogram:
    """How many values fall into each of a row of ranges, given by their lower bounds; the last has no end."""

    def __init__(self, lower_bounds: Sequence[float]) -> None:
        self._bounds = lower_bounds
        self._counts = [0] * len(lower_bounds)

    def add(self, value: float, times: int = 1) -> None:
        """Count a value; one below all ranges belongs to the first."""
        self._counts[max(0, bisect_right(self._bounds, value) - 1)] += times

    def as_json(self) -> dict[str, Any]:
        """Bounds and counts, named as in the contract."""
        return {"lower_bounds": list(self._bounds), "counts": self._counts}


def image_statistics(sizes: Iterable[ImageSize]) -> dict[str, Any]:
    """Histograms of the longer sides and of the aspect ratios of upright images."""
    longer, aspect = Histogram(IMAGE_SIZES), Histogram(ASPECT_RATIOS)
    for size, count in Counter(sizes).items():
        longer.add(max(size.width, size.height), count)
        aspect.add(size.width / size.height, count)
    return {"image_sizes": longer.as_json(), "aspect_ratios": aspect.as_json()}


def nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Counts by split and class, from those by (split, class); both sorted, and no zeros."""
    found: dict[str, dict[str, int]] = {}
    for (split, name), count in sorted(counts.items()):
        if count:
            found.setdefault(split, {})[name] = count
    return found
