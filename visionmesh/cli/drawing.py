"""Predictions drawn on their images, with Pillow: the only part of the client that needs it."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from visionmesh.cli.failures import CommandError
from visionmesh.v1 import inference_pb2

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

# Images smaller than this, in pixels of the longer side, are enlarged: nothing could be read on them.
_SMALLEST = 640

# Points that the model is less sure of are not there, for the eye.
_VISIBLE = 0.5

# Of 255: how much of the image a mask hides.
_MASK_OPACITY = 110

_QUALITY = 92

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


def require_pillow() -> None:
    """Raise CommandError, which says what to install, when Pillow is missing."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        message = "drawing needs Pillow, which is not installed: pip install 'visionmesh[draw]'"
        raise CommandError("PILLOW_MISSING", message) from error


def draw_prediction(image: Path, answer: inference_pb2.PredictResponse, target: Path) -> None:
    """Draw what was found on an image and save it as JPEG, whole or not at all; missing folders are made.

    Raises OSError when the image cannot be read or the target not be written.
    """
    from PIL import Image, ImageOps

    with Image.open(image) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    longer = max(picture.size)
    times = -(-_SMALLEST // longer) if longer < _SMALLEST else 1
    drawn = _Canvas(picture.resize((picture.width * times, picture.height * times)) if times > 1 else picture, times)
    for found in reversed(answer.detections):  # the most certain lies on top
        drawn.mask(found)
    for found in reversed(answer.detections):
        drawn.outline(found)
    for found in reversed(answer.detections):
        drawn.name(found)
    drawn.bars(answer.classifications)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        drawn.picture.save(part, "JPEG", quality=_QUALITY)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


class _Canvas:
    """A picture that was enlarged by a number of times; coordinates are those of the image."""

    def __init__(self, picture: Image.Image, times: int) -> None:
        from PIL import ImageFont

        self.picture = picture
        self._times = times
        longer = max(picture.size)
        self._line = max(2, round(longer / 320))
        self._font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.load_default(max(12, round(longer / 45)))

    def mask(self, found: inference_pb2.Detection) -> None:
        """Tint what a mask covers."""
        from PIL import Image, ImageDraw

        if found.HasField("mask_rle"):
            covered = _unpack(found.mask_rle).resize(self.picture.size).point(lambda value: value * _MASK_OPACITY)
        elif found.mask:
            covered = Image.new("L", self.picture.size)
            pen = ImageDraw.Draw(covered)
            for polygon in found.mask:
                points = self._points((point.x, point.y) for point in polygon.points)
                if len(points) > 2:
                    pen.polygon(points, fill=_MASK_OPACITY)
        else:
            return
        self.picture.paste(colour_of(found.label_id), mask=covered)

    def outline(self, found: inference_pb2.Detection) -> None:
        """Draw the box, rotated where it is, and the keypoints."""
        pen, colour = self._pen(), colour_of(found.label_id)
        corners = self._corners(found)
        pen.line([*corners, *corners[:2]], fill=colour, width=self._line, joint="curve")
        radius = self._line * 2
        for keypoint in found.keypoints:
            if keypoint.confidence >= _VISIBLE:
                [(x, y)] = self._points([(keypoint.point.x, keypoint.point.y)])
                round_it = (x - radius, y - radius, x + radius, y + radius)
                pen.ellipse(round_it, fill=colour, outline="white", width=max(1, self._line // 2))

    def name(self, found: inference_pb2.Detection) -> None:
        """Write label and confidence above the highest corner, or below it where there is no room."""
        x, y = min(self._corners(found), key=lambda corner: (corner[1], corner[0]))
        text = f"{found.label} {found.confidence:.2f}"
        width, height = self._size(text)
        x = max(0.0, min(x, self.picture.width - width))
        y = y - height if y >= height else max(0.0, y)
        self._write((x, y), text, colour_of(found.label_id))

    def bars(self, classes: Sequence[inference_pb2.Classification]) -> None:
        """Draw the classes of the image one below the other, each with a bar as long as it is certain."""
        if not classes:
            return
        pen = self._pen()
        texts = [f"{found.label} {found.confidence:.2f}" for found in classes]
        height = self._size("Xg")[1]
        longest = max(self.picture.width * 2 // 5, max(self._size(text)[0] for text in texts))
        for row, (found, text) in enumerate(zip(classes, texts, strict=True)):
            top = row * (height + self._line)
            pen.rectangle((0, top, longest, top + height), fill=(40, 40, 40))
            pen.rectangle((0, top, round(longest * found.confidence), top + height), fill=colour_of(found.label_id))
            pen.text((self._line * 2, top), text, fill="white", font=self._font, stroke_width=1, stroke_fill="black")

    def _corners(self, found: inference_pb2.Detection) -> Points:
        if found.HasField("rotated_box"):
            return self._points((point.x, point.y) for point in found.rotated_box.corners)
        box = found.box
        return self._points(
            ((box.x_min, box.y_min), (box.x_max, box.y_min), (box.x_max, box.y_max), (box.x_min, box.y_max))
        )

    def _points(self, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * self._times, y * self._times) for x, y in points]

    def _write(self, place: tuple[float, float], text: str, colour: Colour) -> None:
        pen, (width, height) = self._pen(), self._size(text)
        x, y = place
        pen.rectangle((x, y, x + width, y + height), fill=colour)
        pen.text((x + self._line, y), text, fill="black" if _is_bright(colour) else "white", font=self._font)

    def _size(self, text: str) -> tuple[int, int]:
        """Width and height of a text with the space around it."""
        left, _, right, _ = self._pen().textbbox((0, 0), text, font=self._font)
        bottom = self._pen().textbbox((0, 0), "Xg", font=self._font)[3]
        return round(right - left) + 2 * self._line, round(bottom) + self._line

    def _pen(self) -> ImageDraw.ImageDraw:
        from PIL import ImageDraw

        return ImageDraw.Draw(self.picture)


def colour_of(label_id: int) -> Colour:
    """A colour for a class; those of neighbours are far apart."""
    # Steps of the golden section never come close to an earlier one for long.
    red, green, blue = colorsys.hsv_to_rgb((0.02 + label_id * 0.618034) % 1.0, 0.8, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _is_bright(colour: Colour) -> bool:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue > 150


def _unpack(mask: inference_pb2.RunLengthMask) -> Image.Image:
    """A mask as an image of ones and zeros."""
    from PIL import Image

    columns = b"".join((b"\1" if place % 2 else b"\0") * count for place, count in enumerate(mask.counts))
    return Image.frombytes("L", (mask.height, mask.width), columns).transpose(Image.Transpose.TRANSPOSE)
