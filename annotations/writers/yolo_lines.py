"""Objects of the model as lines of YOLO's label files, one line for each object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from annotations.geometry import polygon_area
from annotations.model import AnnotatedImage, AnnotatedObject, Box, RunLengthMask, Visibility
from annotations.writers.polygons import join_polygons

TASKS = ("detect", "segment", "pose", "obb")
# A share of an image of 100,000 pixels is right to a thousandth of a pixel.
_DECIMALS = 8
# Ultralytics refuses an image with coordinates beyond this (``verify_image_label`` in ``data/utils.py``).
_LARGEST_SHARE = 1.01

PolygonsOf = Callable[[RunLengthMask], Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class LineWriter:
    """Writes lines for one of ``TASKS``.

    ``polygons_of`` gives the outlines of a mask in pixels, each x, y, x, y, … ``keypoints`` is how many points every
    pose has. An object that has not what the task asks for is written by its box: as a rectangle, or as a pose of which
    no point is labelled. Left out, it would be taught as background.
    """

    task: str
    polygons_of: PolygonsOf
    keypoints: int = 0

    def lines(self, image: AnnotatedImage) -> list[str]:
        """A line for each object of an image but crowds."""
        return [self._line(found, image) for found in image.objects if not found.crowd]

    def _line(self, found: AnnotatedObject, image: AnnotatedImage) -> str:
        if self.task == "segment":
            values = _shares(self._outline(found), image, inside=True)
        elif self.task == "obb":
            values = _shares(_corners(found, image), image, inside=False)
        else:
            values = _center_and_size(found.box, image)
            if self.task == "pose":
                values += self._points(found, image)
        return " ".join([str(found.category_id), *(_written(value) for value in values)])

    def _outline(self, found: AnnotatedObject) -> Sequence[float]:
        polygons = found.polygons if found.mask is None else self.polygons_of(found.mask)
        drawn = [polygon for polygon in polygons if len(polygon) >= 6 and polygon_area(polygon) != 0]
        return join_polygons(drawn) if drawn else _rectangle(found.box)

    def _points(self, found: AnnotatedObject, image: AnnotatedImage) -> list[float]:
        values: list[float] = []
        for point in found.keypoints:
            x, y = point.x / image.width, point.y / image.height
            labelled = point.visibility is not Visibility.ABSENT and 0 <= x <= 1 and 0 <= y <= 1
            values += [x, y, point.visibility] if labelled else [0, 0, 0]
        return values + [0] * (3 * self.keypoints - len(values))


def _corners(found: AnnotatedObject, image: AnnotatedImage) -> Sequence[float]:
    """Corners of the rotated box as they are, unless ultralytics would refuse the whole image for them."""
    corners = found.rotated_box
    if not corners:
        return _rectangle(found.box)
    box = Box.around(corners)
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    fits = box.width <= image.width * _LARGEST_SHARE and box.height <= image.height * _LARGEST_SHARE
    return corners if fits and 0 <= x <= image.width and 0 <= y <= image.height else _rectangle(found.box)


def _rectangle(box: Box) -> tuple[float, ...]:
    return (box.x_min, box.y_min, box.x_max, box.y_min, box.x_max, box.y_max, box.x_min, box.y_max)


def _center_and_size(box: Box, image: AnnotatedImage) -> list[float]:
    return [
        (box.x_min + box.x_max) / 2 / image.width,
        (box.y_min + box.y_max) / 2 / image.height,
        box.width / image.width,
        box.height / image.height,
    ]


def _shares(points: Iterable[float], image: AnnotatedImage, *, inside: bool) -> list[float]:
    shares = [value / (image.height if place % 2 else image.width) for place, value in enumerate(points)]
    return [min(max(share, 0.0), 1.0) for share in shares] if inside else shares


def _written(value: float) -> str:
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
