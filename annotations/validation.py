"""From what a file says of an object to an object of the model, or to what is wrong with it: for every format.

Coordinates come as they stand in the file: strings, NaN, infinities and lists of the wrong length are answered, never
raised. What passes lies within its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from annotations.draft import Draft
from annotations.geometry import (
    clip_box,
    clip_polygon,
    polygon_area,
    stored_size,
    upright_box,
    upright_mask,
    upright_points,
)
from annotations.masks import check_mask, mask_box
from annotations.model import AnnotatedObject, Box, Keypoint, Visibility
from annotations.problems import WARNING, Problem
from annotations.raw import ABSENT, SMALLEST_SIDE, BadObject, Parts, RawObject, bad_object, parse

# So far beyond the image's edge is rounding of whoever wrote it, not worth telling: it is moved to the edge.
TOLERANCE = 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """The image that coordinates are meant on, in pixels upright.

    ``orientation`` is the EXIF orientation by which the coordinates are still to be turned; it stays 1 where they are
    upright, whatever the image's own is.
    """

    width: int
    height: int
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """The object, None when it is left out, and what is wrong: one that was clipped passes with a problem."""

    found: AnnotatedObject | None
    problems: tuple[Problem, ...] = ()


def add_checked(draft: Draft, image_path: str, raw: RawObject, frame: Frame, path: str, where: str) -> bool:
    """Check an object, add it to its image, and report what is wrong. Whether it was added."""
    checked = check_object(raw, frame, path, where)
    for problem in checked.problems:
        draft.report(problem)
    if checked.found is None:
        return False
    draft.add_object(image_path, checked.found)
    return True


def check_object(raw: RawObject, frame: Frame, path: str, where: str) -> Checked:
    """Make an object of the model of what a file says. Raises nothing, whatever the content.

    ``path`` is the file that says it, ``where`` the place in it for people, such as ``line 3``. Kinds of problems, all
    WARNING: ``bad_annotation`` and ``empty_box`` leave the object out; ``box_outside_image`` clips it, or leaves it out
    when nothing of it is within the image; ``bad_polygon`` leaves out a polygon that has no area.
    """
    problems: list[Problem] = []

    def tell(kind: str, message: str) -> None:
        problems.append(Problem(path, kind, WARNING, f"{where[:1].upper()}{where[1:]}: {message}"))

    try:
        parts = _upright(parse(raw), frame)
        parts, flat = _without_flat_polygons(parts)
        if flat:
            tell("bad_polygon", f"{flat} of its polygons have no area and were left out. Draw at least three points.")
        found, clipped = _clip(parts, frame)
        if clipped:
            tell("box_outside_image", f"it reaches beyond the image ({frame.width} × {frame.height}) and was clipped.")
    except BadObject as bad:
        tell(bad.kind, str(bad))
        found = None
    return Checked(found, tuple(problems))


def _upright(parts: Parts, frame: Frame) -> Parts:
    """Turn everything as the image is turned; a mask must be of the size of the image it was drawn on."""
    width, height = stored_size(frame.width, frame.height, frame.orientation)
    mask = parts.mask
    if mask is not None:
        if (mask.width, mask.height) != (width, height):
            raise bad_object(f"its mask is {mask.width} × {mask.height} pixels, its image {width} × {height}")
        try:
            check_mask(mask)
        except ValueError as error:
            raise bad_object(f"its mask does not fit: {error}") from error
    if frame.orientation == 1:
        return parts

    def turn(points: Sequence[float]) -> tuple[float, ...]:
        return upright_points(points, width, height, frame.orientation)

    return replace(
        parts,
        box=parts.box and upright_box(parts.box, width, height, frame.orientation),
        polygons=tuple(turn(polygon) for polygon in parts.polygons),
        mask=mask and upright_mask(mask, frame.orientation),
        keypoints=tuple(
            point if point.visibility is Visibility.ABSENT else _moved(point, turn((point.x, point.y)))
            for point in parts.keypoints
        ),
        rotated_box=turn(parts.rotated_box),
    )


def _without_flat_polygons(parts: Parts) -> tuple[Parts, int]:
    kept = tuple(polygon for polygon in parts.polygons if _has_area(polygon))
    flat = len(parts.polygons) - len(kept)
    return (replace(parts, polygons=kept) if flat else parts), flat


def _has_area(polygon: Sequence[float]) -> bool:
    return len(polygon) >= 6 and abs(polygon_area(polygon)) > 0


def _clip(parts: Parts, frame: Frame) -> tuple[AnnotatedObject, bool]:
    """The object within the image, and whether more than ``TOLERANCE`` of it lay beyond."""
    box = parts.box or _box_around(parts)
    if box is None:
        raise bad_object("it has no box, and nothing that one could be made around")
    width, height = float(frame.width), float(frame.height)
    clipped = clip_box(box, width, height)
    if clipped.width < SMALLEST_SIDE or clipped.height < SMALLEST_SIDE:
        if box.width < SMALLEST_SIDE or box.height < SMALLEST_SIDE:
            raise BadObject("empty_box", "what is drawn has no area; the object was left out. Draw it again.")
        raise BadObject(
            "box_outside_image",
            f"it lies outside the image ({frame.width} × {frame.height}) and was left out. Check that the coordinates "
            "are meant in pixels of this image.",
        )
    polygons = [(polygon, clip_polygon(polygon, width, height)) for polygon in parts.polygons]
    found = AnnotatedObject(
        category_id=parts.category_id,
        box=clipped,
        polygons=tuple(inner for whole, inner in polygons if inner == whole or _has_area(inner)),
        mask=parts.mask,
        keypoints=tuple(_clip_keypoint(point, width, height) for point in parts.keypoints),
        # Its corners stay where they are: moved to the edge they would make no rectangle, and another angle.
        rotated_box=_clockwise(parts.rotated_box),
        crowd=parts.crowd,
    )
    return found, any(_beyond(points, width, height) for points in _all_points(parts))


def _box_around(parts: Parts) -> Box | None:
    if parts.polygons:
        return Box.around(value for polygon in parts.polygons for value in polygon)
    if parts.mask is not None:
        box = mask_box(parts.mask)
        if box is None:
            raise BadObject("empty_box", "its mask is empty; the object was left out. Draw it again.")
        return box
    if parts.rotated_box:
        return Box.around(parts.rotated_box)
    seen = [value for point in parts.keypoints if point.visibility for value in (point.x, point.y)]
    return Box.around(seen) if seen else None


def _clip_keypoint(point: Keypoint, width: float, height: float) -> Keypoint:
    """A point beyond the image cannot be seen on it: it becomes one that is not labelled."""
    if point.visibility is Visibility.ABSENT or _beyond((point.x, point.y), width, height):
        return ABSENT
    return _moved(point, _clamp((point.x, point.y), width, height))


def _moved(point: Keypoint, to: Sequence[float]) -> Keypoint:
    return Keypoint(to[0], to[1], point.visibility)


def _clamp(points: Sequence[float], width: float, height: float) -> tuple[float, ...]:
    limits = (width, height)
    return tuple(min(max(value, 0.0), limits[place % 2]) for place, value in enumerate(points))


def _clockwise(corners: tuple[float, ...]) -> tuple[float, ...]:
    """Four corners in the order in which a clock's hand passes them, from the same first one."""
    if not corners or polygon_area(corners) >= 0:
        return corners
    first, second, third, fourth = (corners[place : place + 2] for place in (0, 2, 4, 6))
    return (*first, *fourth, *third, *second)


def _all_points(parts: Parts) -> Iterable[Sequence[float]]:
    if parts.box is not None:
        yield (parts.box.x_min, parts.box.y_min, parts.box.x_max, parts.box.y_max)
    yield from parts.polygons
    yield parts.rotated_box
    yield from ((point.x, point.y) for point in parts.keypoints)


def _beyond(points: Sequence[float], width: float, height: float) -> bool:
    xs, ys = points[0::2], points[1::2]
    return bool(points) and (min(*xs, *ys) < -TOLERANCE or max(xs) > width + TOLERANCE or max(ys) > height + TOLERANCE)
