"""Lines of YOLO's label files: what kind a dataset's are, and what each says.

    class x_center y_center width height                     a box
    class x_center y_center width height x y (visibility) …  a box with keypoints
    class x y x y x y …                                      a polygon of three points or more
    class x y x y x y x y                                    corners of a rotated box, or a polygon of four points

All coordinates are shares of the image's width and height.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from annotations.geometry import polygon_area
from annotations.model import Box
from annotations.raw import RawObject

BOX_TOKENS = 5
CORNER_TOKENS = 9
_POLYGON_TOKENS = 7
# Ultralytics takes coordinates that are so far off the image (``verify_image_label`` in ``data/utils.py``).
TOLERANCE = 0.01


class LineProblem(Exception):
    """The line is left out: the kind of problem, and what is wrong in words for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Survey:
    """What the lines of a dataset look like, all together."""

    lengths: Counter[int] = field(default_factory=Counter)
    class_ids: set[int] = field(default_factory=set)

    def take(self, text: str) -> None:
        """Look at the text of a label file."""
        for line in text.splitlines():
            tokens = line.split()
            if tokens:
                self.lengths[len(tokens)] += 1
                if (class_id := parse_class_id(tokens[0])) is not None:
                    self.class_ids.add(class_id)

    @property
    def rotated(self) -> bool:
        """Whether lines of four points are rotated boxes: every line that can be read at all has four points."""
        sound = {
            length for length in self.lengths if length == BOX_TOKENS or (length >= _POLYGON_TOKENS and length % 2)
        }
        return sound == {CORNER_TOKENS}


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads the lines of one dataset.

    ``places`` are the categories by class id, and ``keypoint_counts`` how many keypoints each category names, which is
    ``keypoints`` wherever it is not 0. ``keypoint_values`` is 2 (x, y) or 3 (with visibility); ``rotated`` whether four
    points are a rotated box.
    """

    places: Mapping[int, int]
    keypoints: int = 0
    keypoint_values: int = 3
    rotated: bool = False

    def read(self, tokens: list[str], width: int, height: int) -> RawObject:
        """The object of a line, in pixels of an image. Raises LineProblem."""
        class_id = parse_class_id(tokens[0])
        if class_id is None:
            raise LineProblem("bad_annotation", f"{tokens[0][:20]!r} is no class id: whole numbers from 0 on are.")
        if class_id not in self.places:
            raise LineProblem("unknown_class", f"The class id {class_id} is none of the dataset's classes.")
        values = _numbers(tokens[1:])
        place = self.places[class_id]
        count = len(tokens)
        if self.keypoints and count == BOX_TOKENS + self.keypoints * self.keypoint_values:
            return self._pose(place, values, width, height)
        if count == BOX_TOKENS:
            return RawObject(place, box=_box(values, width, height))
        if self.keypoints:
            wanted = BOX_TOKENS + self.keypoints * self.keypoint_values
            raise LineProblem(
                "bad_annotation",
                f"It has {count} values; a pose of {self.keypoints} keypoints has {wanted}, a box {BOX_TOKENS}.",
            )
        if count < _POLYGON_TOKENS or not count % 2:
            raise LineProblem(
                "bad_annotation",
                f"It has {count} values. A box has {BOX_TOKENS} (class, center, width and height), a polygon a class "
                "and three pairs or more, a rotated box a class and four pairs.",
            )
        points = _points(values, width, height)
        if count == CORNER_TOKENS and self.rotated:
            return RawObject(place, rotated_box=_around(points))
        return RawObject(place, polygons=(points,))

    def _pose(self, place: int, values: list[float], width: int, height: int) -> RawObject:
        step = self.keypoint_values
        keypoints = [
            _keypoint(values[start : start + step], width, height) for start in range(BOX_TOKENS - 1, len(values), step)
        ]
        return RawObject(place, box=_box(values[:4], width, height), keypoints=keypoints, keypoint_count=self.keypoints)


def parse_class_id(token: str) -> int | None:
    """A class id, which some tools write as ``3.0``; None when it is none."""
    try:
        value = float(token)
    except ValueError:
        return None
    return int(value) if value.is_integer() and 0 <= value < 2**31 else None


def _numbers(tokens: Iterable[str]) -> list[float]:
    values = []
    for token in tokens:
        try:
            values.append(float(token))
        except ValueError as error:
            raise LineProblem("bad_annotation", f"{token[:20]!r} is no number.") from error
    return values


def _box(values: list[float], width: int, height: int) -> tuple[float, ...]:
    """Edges in pixels of a center and a size."""
    x, y, w, h = values
    _check_range(values)
    if w < 0 or h < 0:
        raise LineProblem("coordinates_out_of_range", f"The box has a negative size ({w:g}, {h:g}).")
    return ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)


def _points(values: list[float], width: int, height: int) -> tuple[float, ...]:
    """Points in pixels. As ultralytics does it, the box around them is what must lie in range."""
    if not all(math.isfinite(value) for value in values):
        _check_range(values)
    box = Box.around(values)
    _check_range([(box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2, box.width, box.height])
    points = tuple(value * (height if place % 2 else width) for place, value in enumerate(values))
    if box.width <= 0 or box.height <= 0:
        raise LineProblem("empty_box", "All of its points lie on a line.")
    return points


def _keypoint(values: list[float], width: int, height: int) -> tuple[float, float, float]:
    x, y = values[:2]
    # Two values: ultralytics takes a point as seen unless it lies off the image on the negative side.
    visibility = values[2] if len(values) > 2 else 2.0 * (x >= 0 and y >= 0)
    if visibility == 0:
        return (0.0, 0.0, 0.0)
    _check_range((x, y))
    return (x * width, y * height, visibility)


def _check_range(values: Iterable[float]) -> None:
    # Written so that NaN is out of range too.
    wrong = [f"{value:g}" for value in values if not -TOLERANCE <= value <= 1 + TOLERANCE]
    if wrong:
        raise LineProblem(
            "coordinates_out_of_range",
            f"{', '.join(wrong[:4])}: coordinates are shares of the image's width and height, from 0 to 1.",
        )


def _around(points: tuple[float, ...]) -> tuple[float, ...]:
    """Four corners in their order around the middle, clockwise, from the first one: some tools write them crosswise."""
    pairs = list(zip(points[0::2], points[1::2], strict=True))
    x, y = sum(points[0::2]) / 4, sum(points[1::2]) / 4
    ordered = sorted(pairs, key=lambda pair: math.atan2(pair[1] - y, pair[0] - x))
    start = ordered.index(pairs[0])
    corners = tuple(value for pair in ordered[start:] + ordered[:start] for value in pair)
    if polygon_area(corners) <= 0:
        raise LineProblem("empty_box", "The corners of the rotated box enclose no area.")
    return corners
