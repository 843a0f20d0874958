"""The one annotation model: every format is read into it, and every trainer writes what its framework reads from it.

Coordinates are pixels of the upright image (EXIF orientation applied): x to the right, y down, (0, 0) the outer corner
of the first pixel, so that a box around a whole image is (0, 0, width, height).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

SPLITS = ("train", "val", "test")


class Visibility(IntEnum):
    """Whether a keypoint can be seen, numbered as COCO does."""

    ABSENT = 0  # not labelled: its coordinates mean nothing
    OCCLUDED = 1
    VISIBLE = 2


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box; ``x_max`` and ``y_max`` are its far edges."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @property
    def width(self) -> float:
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        return self.y_max - self.y_min

    @property
    def area(self) -> float:
        """Square pixels; 0 where the box is empty or inside out."""
        return max(0.0, self.width) * max(0.0, self.height)

    @classmethod
    def around(cls, coordinates: Iterable[float]) -> Box:
        """The smallest box around points given as x, y, x, y, … Raises ValueError when there are none."""
        flat = tuple(coordinates)
        return cls(min(flat[0::2]), min(flat[1::2]), max(flat[0::2]), max(flat[1::2]))


@dataclass(frozen=True, slots=True)
class Keypoint:
    """One point of a pose."""

    x: float
    y: float
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class RunLengthMask:
    """A mask as COCO's uncompressed run lengths: column by column, runs of background and object in turn.

    The first run is background, maybe of length 0; all of them add up to ``height`` × ``width``.
    """

    height: int
    width: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """One object on an image.

    ``category_id`` is a place in the dataset's categories. ``box`` is always there: formats that give none have it made
    around polygons, mask, rotated box or keypoints. Of ``polygons`` (each x, y, x, y, …) and ``mask`` at most one is
    given. ``keypoints`` are as many as the category names, or none. ``rotated_box`` holds four corners, clockwise, the
    only coordinates that may lie beyond the image.
    ``crowd`` marks a group that is no single object: trainers leave it out.
    """

    category_id: int
    box: Box
    polygons: tuple[tuple[float, ...], ...] = ()
    mask: RunLengthMask | None = None
    keypoints: tuple[Keypoint, ...] = ()
    rotated_box: tuple[float, ...] = ()
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image with what is annotated on it; no objects at all is an answer too, and trains as background.

    ``width`` and ``height`` are pixels of the upright image. ``split`` is one of ``SPLITS``.
    """

    path: str
    width: int
    height: int
    split: str
    objects: tuple[AnnotatedObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects.

    For poses ``keypoint_names`` names the points in their order, ``skeleton`` the pairs to draw a line between (places
    in that order, from 0), and ``flip_indices`` which point each becomes when the image is mirrored (empty: not known).
    """

    name: str
    keypoint_names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_indices: tuple[int, ...] = ()
