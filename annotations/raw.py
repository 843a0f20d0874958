"""What a file says of an object, as it stands there, and its coordinates as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from annotations.model import Box, Keypoint, RunLengthMask, Visibility

# Beyond this no coordinate is one, and sums of two might overflow.
LARGEST_COORDINATE = 1e9
# Boxes narrower than this are none: the document keeps a ten-thousandth of a pixel.
SMALLEST_SIDE = 1e-3
ABSENT = Keypoint(0.0, 0.0, Visibility.ABSENT)


@dataclass(frozen=True, slots=True)
class RawObject:
    """What a file says of an object, in pixels of the frame, nothing checked but the category.

    ``box`` is x_min, y_min, x_max, y_max (``corners`` makes it of x, y, width, height); empty or None: made around the
    rest. Each of ``polygons`` is x, y, x, y, …; of ``polygons`` and ``mask`` one at most is given. ``keypoints`` are
    (x, y, visibility) each; ``keypoint_count`` is how many the category names. ``rotated_box`` is x, y of four corners.
    """

    category_id: int
    box: object = ()
    polygons: Sequence[object] = ()
    mask: RunLengthMask | None = None
    keypoints: Sequence[Sequence[object]] = ()
    keypoint_count: int = 0
    rotated_box: object = ()
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """An object whose coordinates are numbers."""

    category_id: int
    box: Box | None
    polygons: tuple[tuple[float, ...], ...]
    mask: RunLengthMask | None
    keypoints: tuple[Keypoint, ...]
    rotated_box: tuple[float, ...]
    crowd: bool


class BadObject(Exception):
    """The object is left out: kind and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def number(value: object) -> float | None:
    """A finite coordinate, or None: a bool or a string is none, nor is what lies beyond ``LARGEST_COORDINATE``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is converted: an int may be too large for a float. NaN compares false.
    return float(value) if -LARGEST_COORDINATE <= value <= LARGEST_COORDINATE else None


def numbers(values: object) -> tuple[float, ...] | None:
    """Finite coordinates, or None when the value is no list of them."""
    if not isinstance(values, list | tuple) or not {int, float}.issuperset(map(type, values)):
        return None
    try:
        found = tuple(map(float, values))
    except OverflowError:
        return None
    # A NaN, which comparisons overlook, shows in the sum: it is unequal to itself.
    total = sum(found)
    far = found and (min(found) < -LARGEST_COORDINATE or max(found) > LARGEST_COORDINATE)
    return None if far or total != total else found


def corners(box: object) -> object:
    """x_min, y_min, x_max, y_max of x, y, width, height; what is no such box comes back as it is, for the check."""
    found = numbers(box)
    if found is None or len(found) != 4:
        return box
    x, y, width, height = found
    return (x, y, x + width, y + height)


def parse(raw: RawObject) -> Parts:
    """The object with its coordinates as numbers. Raises BadObject."""
    box = _listed(raw.box, 4, "its box") if _given(raw.box) else ()
    if box and (box[2] - box[0] < SMALLEST_SIDE or box[3] - box[1] < SMALLEST_SIDE):
        sides = f"{box[2] - box[0]:g} × {box[3] - box[1]:g}"
        raise BadObject("empty_box", f"its box is {sides} pixels; the object was left out. Draw it again.")
    rotated = _listed(raw.rotated_box, 8, "its rotated box") if _given(raw.rotated_box) else ()
    return Parts(
        category_id=raw.category_id,
        box=Box(*box) if box else None,
        polygons=tuple(_polygon(polygon) for polygon in raw.polygons),
        mask=raw.mask,
        keypoints=_keypoints(raw),
        rotated_box=rotated,
        crowd=raw.crowd,
    )


def _given(values: object) -> bool:
    return values is not None and values != [] and values != ()


def _listed(values: object, count: int, what: str) -> tuple[float, ...]:
    found = numbers(values)
    if found is None or len(found) != count:
        raise bad_object(f"{what} is not made of {count} finite numbers ({_told(values)})")
    return found


def _polygon(values: object) -> tuple[float, ...]:
    found = numbers(values)
    if found is None or len(found) % 2:
        raise bad_object(f"a polygon is not a list of pairs of finite numbers ({_told(values)})")
    return found


def _keypoints(raw: RawObject) -> tuple[Keypoint, ...]:
    if not raw.keypoints:
        return ()
    if len(raw.keypoints) != raw.keypoint_count:
        raise bad_object(f"it has {len(raw.keypoints)} keypoints, its category names {raw.keypoint_count}")
    return tuple(_keypoint(values) for values in raw.keypoints)


def _keypoint(values: Sequence[object]) -> Keypoint:
    if len(values) != 3 or isinstance(values[2], bool) or values[2] not in (0, 1, 2):
        raise bad_object(f"a keypoint is not x, y and a visibility of 0, 1 or 2 ({_told(values)})")
    seen = Visibility(int(values[2]))
    if seen is Visibility.ABSENT:
        return ABSENT
    x, y = _listed(values[:2], 2, "a keypoint")
    return Keypoint(x, y, seen)


def bad_object(said: str) -> BadObject:
    """Of kind ``bad_annotation``: ``said`` is what is wrong."""
    return BadObject("bad_annotation", f"{said}; the object was left out. Correct it, or remove it from the file.")


def _told(values: object) -> str:
    """What stood in the file, short enough for a message."""
    if isinstance(values, list | tuple):
        shown = [_short(value) for value in values[:8]]
        return ", ".join([*shown, "…"] if len(values) > 8 else shown) or "nothing"
    return _short(values)


def _short(value: object) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**20 else "a huge number"
    if isinstance(value, str):
        return repr(value[:20])
    return type(value).__name__
