"""What a model found and what is there, drawn on an image."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import TYPE_CHECKING

from visionmesh.cli.picture_text import fitted, font
from visionmesh.v1 import inference_pb2, training_pb2

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

# Blue for what is true and orange for what is wrong: of the palette of Okabe and Ito ("Color Universal Design"), which
# people with any kind of colour vision tell apart. A word stands before each, so that no colour is needed at all.
TRUE: Colour = (86, 180, 233)
WRONG: Colour = (230, 159, 0)
_UNDER: Colour = (0, 0, 0)
_WIDTH = 3
_DASH, _SPACE = 9, 6
_SIZE = 13


def draw_objects(picture: Image.Image, image: training_pb2.ValidationImage) -> None:
    """Draw every object of an image, whole lines around what is there and dashed ones around what was found.

    Those that are wrong come last, on top, and say how.
    """
    from PIL import ImageDraw

    pen = ImageDraw.Draw(picture)
    scale = picture.width / image.width, picture.height / image.height
    hit = training_pb2.OBJECT_OUTCOME_HIT
    for item in sorted(image.objects, key=lambda one: one.outcome != hit):
        wrong = item.outcome != hit
        corners: Sequence[Point] = ()
        if item.HasField("truth_box"):
            corners = _corners(item.truth_box, item.truth_corners, scale)
            _outline(pen, corners, TRUE, dashed=False)
        if item.HasField("predicted_box"):
            corners = _corners(item.predicted_box, item.predicted_corners, scale)
            _outline(pen, corners, WRONG if wrong else TRUE, dashed=True)
        if wrong and corners:
            _name(pen, picture, corners, item)


def _corners(box: inference_pb2.Box, corners: Sequence[inference_pb2.Point], scale: tuple[float, float]) -> list[Point]:
    """Four corners in pixels of the picture."""
    points = [(point.x, point.y) for point in corners] or [
        (box.x_min, box.y_min),
        (box.x_max, box.y_min),
        (box.x_max, box.y_max),
        (box.x_min, box.y_max),
    ]
    return [(x * scale[0], y * scale[1]) for x, y in points]


def _outline(pen: ImageDraw.ImageDraw, corners: Sequence[Point], colour: Colour, *, dashed: bool) -> None:
    """A closed line over a darker, wider one, so that it is seen on every ground."""
    for begin, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        for piece in _dashes(begin, end) if dashed else [(begin, end)]:
            pen.line(piece, fill=_UNDER, width=_WIDTH + 2)
            pen.line(piece, fill=colour, width=_WIDTH)


def _dashes(begin: Point, end: Point) -> list[tuple[Point, Point]]:
    (x, y), (to_x, to_y) = begin, end
    length = hypot(to_x - x, to_y - y)
    # A box may be said to lie far outside; no more is drawn of it than a picture could show.
    pieces = min(int(length // (_DASH + _SPACE)) + 1, 400)
    found = []
    for piece in range(pieces):
        first = piece * (_DASH + _SPACE) / length if length else 0.0
        last = min(1.0, first + _DASH / length) if length else 0.0
        found.append(((x + (to_x - x) * first, y + (to_y - y) * first), (x + (to_x - x) * last, y + (to_y - y) * last)))
    return found


def _name(
    pen: ImageDraw.ImageDraw, picture: Image.Image, corners: Sequence[Point], item: training_pb2.ObjectMatch
) -> None:
    """Write above the highest corner, or below it where there is no room, what is wrong with an object."""
    missed = item.outcome == training_pb2.OBJECT_OUTCOME_MISS
    said = f"{item.predicted_label} {item.confidence:.2f}" + (f", is {item.label}" if item.label else "")
    text = f"missed {item.label}" if missed else said
    text = fitted(text, _SIZE, picture.width - 6)
    width, height = font(_SIZE).getlength(text) + 6, _SIZE + 4
    x, y = min(corners, key=lambda corner: (corner[1], corner[0]))
    x = max(0.0, min(x, picture.width - width))
    y = max(0.0, min(y - height if y >= height else y, picture.height - height))
    pen.rectangle((x, y, x + width, y + height), fill=TRUE if missed else WRONG)
    pen.text((x + 3, y + height / 2), text, _UNDER, font(_SIZE), "lm")
