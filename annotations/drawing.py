"""Drawing what is annotated on an image: masks, outlines, boxes, poses and the names of the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from annotations.colours import Colour, class_colour, text_colour
from annotations.model import AnnotatedImage, AnnotatedObject, Category, RunLengthMask, Visibility
from annotations.text import drawable, fitted, font

Points = Sequence[tuple[float, float]]
# (left, top, right, bottom) in whole pixels.
Area = tuple[int, int, int, int]

_DARK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_FILL_OPACITY = 0.38
_HALO_OPACITY = 0.55
_DARKENED = [round(value * (1 - _HALO_OPACITY)) for value in range(256)] * 3
# Slanted lines are drawn this much larger and averaged down, as long as the larger drawing stays small.
_SMOOTHING = 3
_SMOOTHED_PIXELS = 4_000_000
# Pictures below this many pixels have no room for names.
_SMALLEST_WITH_NAMES = 150
_MANY_OBJECTS = 30


def draw_objects(picture: Image.Image, image: AnnotatedImage, categories: Sequence[Category]) -> None:
    """Draw the objects of ``image`` onto ``picture``: the upright image, RGB, at any size.

    Large objects lie under small ones. Of names that would cover each other the largest object's is drawn.
    """
    drawing = _Drawing(picture, image, categories)
    objects = sorted(image.objects, key=lambda found: -found.box.area)
    for found in objects:
        drawing.fill(found)
    for found in objects:
        drawing.outline(found)
    for found in objects:
        drawing.pose(found)
    if max(picture.size) >= _SMALLEST_WITH_NAMES:
        for found in objects:
            drawing.name(found)


class _Drawing:
    """One picture. Coordinates of objects are those of the image, everything else is in the picture's pixels."""

    def __init__(self, picture: Image.Image, image: AnnotatedImage, categories: Sequence[Category]) -> None:
        self._picture = picture
        self._draw = ImageDraw.Draw(picture)
        self._categories = categories
        self._scale = picture.width / image.width, picture.height / image.height
        longer = max(picture.size)
        self._line = min(6, max(1, round(longer / 380)))
        # The more there is, the smaller is what is written beside it.
        crowding = 0.75 if len(image.objects) > _MANY_OBJECTS else 1.0
        self._font_size = min(34, max(11, round(longer / 54 * crowding)))
        self._names: list[Area] = []

    def fill(self, found: AnnotatedObject) -> None:
        """The inside of polygons or of a mask, so that the image shows through."""
        colour = class_colour(found.category_id)
        if found.polygons:
            shapes = [self._points(polygon) for polygon in found.polygons]

            def polygons(draw: ImageDraw.ImageDraw, move: _Move) -> None:
                for shape in shapes:
                    if len(shape) >= 3:
                        draw.polygon(move(shape), fill=255)

            self._stamp([point for shape in shapes for point in shape], 1, colour, _FILL_OPACITY, polygons)
        elif found.mask is not None:
            shown = _mask_image(found.mask, *self._picture.size)
            inside = shown.getbbox()
            if inside is not None:
                part = shown.crop(inside)
                self._picture.paste(colour, inside, part.point(lambda value: value * _FILL_OPACITY))
                self._picture.paste(colour, inside, _rim(part, self._line))

    def outline(self, found: AnnotatedObject) -> None:
        """The polygons, else the rotated box, else the box; a mask has a rim of its own."""
        colour = class_colour(found.category_id)
        if found.polygons:
            for polygon in found.polygons:
                self._closed_line(self._points(polygon), colour)
        elif found.rotated_box:
            self._closed_line(self._points(found.rotated_box), colour)
        elif found.mask is None:
            self._box(found, colour)

    def pose(self, found: AnnotatedObject) -> None:
        """Bones and points; a hidden point is without the colour of its class."""
        if not found.keypoints:
            return
        colour = class_colour(found.category_id)
        category = self._category(found)
        scale_x, scale_y = self._scale
        places = [(point.x * scale_x, point.y * scale_y) for point in found.keypoints]
        seen = [point.visibility is not Visibility.ABSENT for point in found.keypoints]
        for first, second in category.skeleton if category else ():
            if max(first, second) < len(places) and seen[first] and seen[second]:
                self._line_between([places[first], places[second]], colour)
        radius = self._line * 1.4 + 1
        for point, (x, y) in zip(found.keypoints, places, strict=True):
            if point.visibility is Visibility.ABSENT:
                continue
            self._disc(x, y, radius + 1, _DARK)
            self._disc(x, y, radius, _WHITE)
            if point.visibility is Visibility.VISIBLE:
                self._disc(x, y, max(1.0, radius - max(1, self._line / 2)), colour)
            elif radius >= 3:
                self._disc(x, y, max(1.0, radius - max(1, self._line / 2)), _DARK)

    def name(self, found: AnnotatedObject) -> None:
        """The class on a plate of its colour, at the object's box, where there is room."""
        category = self._category(found)
        text = drawable(category.name if category else "", f"class {found.category_id}")
        text = f"{text} (crowd)" if found.crowd else text
        size, pad = self._font_size, max(2, self._font_size // 5)
        scale_x, scale_y = self._scale
        left, right = found.box.x_min * scale_x, found.box.x_max * scale_x
        room = min(self._picture.width * 0.7, max(9.0 * size, 1.5 * (right - left)))
        text = fitted(text, size, room - 2 * pad)
        width, height = round(font(size).getlength(text)) + 2 * pad, round(size * 1.12) + 2 * pad
        top, bottom = found.box.y_min * scale_y, found.box.y_max * scale_y
        places = [(left, top - height), (left, top), (left, bottom), (right - width, bottom - height)]
        for x, y in places:
            area = self._inside(round(x), round(y), width, height)
            if area is not None and not any(_overlap(area, other) for other in self._names):
                self._names.append(area)
                self._plate(area, text, pad, class_colour(found.category_id))
                return

    def _plate(self, area: Area, text: str, pad: int, colour: Colour) -> None:
        left, top, right, bottom = area
        self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), radius=pad, fill=colour)
        middle = (top + bottom) / 2
        self._draw.text((left + pad, middle), text, font=font(self._font_size), fill=text_colour(colour), anchor="lm")

    def _inside(self, x: int, y: int, width: int, height: int) -> Area | None:
        """The area, moved sideways into the picture; None where it is too high, too low or too large."""
        if y < 0 or y + height > self._picture.height or width > self._picture.width:
            return None
        x = min(max(0, x), self._picture.width - width)
        return x, y, x + width, y + height

    def _box(self, found: AnnotatedObject, colour: Colour) -> None:
        scale_x, scale_y = self._scale
        box = found.box
        left, right = self._edges(box.x_min * scale_x, box.x_max * scale_x, self._picture.width)
        top, bottom = self._edges(box.y_min * scale_y, box.y_max * scale_y, self._picture.height)
        corners = (left, top, right, bottom)
        if found.crowd:
            self._dashed(corners, colour)
            return
        for edge in (
            (left - 1, top - 1, right + 2, top),
            (left - 1, bottom + 1, right + 2, bottom + 2),
            (left - 1, top, left, bottom + 1),
            (right + 1, top, right + 2, bottom + 1),
        ):
            self._darken(edge)
        self._draw.rectangle(corners, outline=colour, width=min(self._line, max(1, min(right - left, bottom - top))))

    def _edges(self, near: float, far: float, length: int) -> tuple[int, int]:
        """First and last pixel of a box in one direction, cut where nobody sees: drawing takes as long as it is wide.

        The far edge lies behind the last pixel; no box is so small that it is not seen.
        """
        outside = self._line + 2
        low, high = max(-outside, near), min(length + outside, far)
        first = round(min(low, length + outside))
        return first, max(first, round(max(high, -outside)) - 1)

    def _darken(self, area: Area) -> None:
        width, height = self._picture.size
        left, top, right, bottom = max(0, area[0]), max(0, area[1]), min(width, area[2]), min(height, area[3])
        if left < right and top < bottom:
            part = self._picture.crop((left, top, right, bottom))
            self._picture.paste(part.point(_DARKENED), (left, top))

    def _dashed(self, corners: Area, colour: Colour) -> None:
        left, top, right, bottom = corners
        dash = self._line * 4
        for start in range(left, right + 1, 2 * dash):
            end = min(start + dash, right)
            for y in (top, bottom - self._line + 1):
                self._draw.rectangle((start, y, max(start, end), y + self._line - 1), fill=colour)
        for start in range(top, bottom + 1, 2 * dash):
            end = min(start + dash, bottom)
            for x in (left, right - self._line + 1):
                self._draw.rectangle((x, start, x + self._line - 1, max(start, end)), fill=colour)

    def _closed_line(self, points: Points, colour: Colour) -> None:
        if len(points) >= 2:
            self._line_between([*points, points[0]], colour)

    def _line_between(self, points: Points, colour: Colour) -> None:
        for width, ink, opacity in ((self._line + 2, _DARK, _HALO_OPACITY), (self._line, colour, 1.0)):

            def line(draw: ImageDraw.ImageDraw, move: _Move, width: int = width) -> None:
                draw.line(move(points), fill=255, width=round(width * move.zoom), joint="curve")

            self._stamp(points, width + 1, ink, opacity, line)

    def _disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        around = [(x - radius, y - radius), (x + radius, y + radius)]
        self._stamp(around, 2, colour, 1.0, lambda draw, move: draw.ellipse(move(around), fill=255))

    def _stamp(
        self,
        points: Points,
        margin: int,
        colour: Colour,
        opacity: float,
        paint: Callable[[ImageDraw.ImageDraw, _Move], None],
    ) -> None:
        """Lay ``colour`` over the picture where ``paint`` paints white: around ``points``, and ``margin`` more."""
        if not points:
            return
        # Wider than the picture by what a line can reach in, so that huge coordinates cost nothing.
        left = max(-margin, int(min(x for x, _ in points)) - margin - 1)
        top = max(-margin, int(min(y for _, y in points)) - margin - 1)
        right = min(self._picture.width + margin, int(max(x for x, _ in points)) + margin + 2)
        bottom = min(self._picture.height + margin, int(max(y for _, y in points)) + margin + 2)
        if left >= right or top >= bottom:
            return
        width, height = right - left, bottom - top
        zoom = _SMOOTHING if width * height * _SMOOTHING**2 <= _SMOOTHED_PIXELS else 1
        mask = Image.new("L", (width * zoom, height * zoom))
        paint(ImageDraw.Draw(mask), _Move(left, top, zoom))
        if zoom > 1:
            mask = mask.reduce(zoom)
        if opacity < 1:
            mask = mask.point(lambda value: value * opacity)
        self._picture.paste(colour, (left, top, right, bottom), mask)

    def _points(self, flat: Sequence[float]) -> list[tuple[float, float]]:
        scale_x, scale_y = self._scale
        return [(x * scale_x, y * scale_y) for x, y in zip(flat[0::2], flat[1::2], strict=False)]

    def _category(self, found: AnnotatedObject) -> Category | None:
        return self._categories[found.category_id] if found.category_id < len(self._categories) else None


@dataclass(frozen=True, slots=True)
class _Move:
    """From the picture to a part of it that is drawn larger."""

    left: int
    top: int
    zoom: int

    def __call__(self, points: Points) -> list[tuple[float, float]]:
        return [((x - self.left) * self.zoom, (y - self.top) * self.zoom) for x, y in points]


def _mask_image(mask: RunLengthMask, width: int, height: int) -> Image.Image:
    """The mask at another size, mode L, 255 inside: looked up for each pixel, so that a large mask costs no more."""
    zoom = 2 if width * height <= _SMOOTHED_PIXELS // 4 else 1
    columns = ((np.arange(width * zoom) + 0.5) * (mask.width / (width * zoom))).astype(np.int64)
    rows = ((np.arange(height * zoom) + 0.5) * (mask.height / (height * zoom))).astype(np.int64)
    places = columns[np.newaxis, :] * mask.height + rows[:, np.newaxis]
    # Runs of background and object in turn: those with an odd number are the object's.
    inside = np.searchsorted(np.cumsum(mask.counts), places, side="right") % 2
    return Image.fromarray((inside * 255).astype(np.uint8)).reduce(zoom)


def _rim(mask: Image.Image, line: int) -> Image.Image:
    """The inner rim of a mask, about ``line`` pixels wide."""
    inside = np.pad(np.asarray(mask) > 127, line)
    eroded = inside.copy()
    for _ in range(line):
        eroded[1:-1, 1:-1] &= eroded[:-2, 1:-1] & eroded[2:, 1:-1] & eroded[1:-1, :-2] & eroded[1:-1, 2:]
    rim = (inside & ~eroded)[line:-line, line:-line]
    return Image.fromarray(rim.astype(np.uint8) * 255)


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
