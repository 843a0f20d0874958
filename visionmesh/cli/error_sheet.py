"""What a model got wrong, as a contact sheet, with Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING

from visionmesh.cli.error_boxes import TRUE, WRONG, Colour, draw_objects
from visionmesh.cli.outcomes import count_outcomes
from visionmesh.cli.picture_text import fitted, font
from visionmesh.v1 import training_pb2

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

# Longest side of a picture on the sheet, in pixels; objects need more of it.
SIDE, OBJECTS_SIDE = 320, 480
_BACKGROUND: Colour = (24, 26, 31)
_PANEL: Colour = (38, 41, 48)
_TEXT: Colour = (236, 238, 241)
_FAINT: Colour = (158, 164, 174)
_GAP, _PAD, _SIZE, _LINE = 10, 7, 16, 21
_TITLE = 22
_MOST_COLUMNS = 10
_QUALITY = 92


@dataclass(frozen=True)
class Tile:
    """An image of the sheet: its picture, encoded, or why there is none."""

    image: training_pb2.ValidationImage
    picture: bytes = b""
    missing: str = ""


@dataclass(frozen=True)
class Line:
    """A line below a picture: what it says in white, after a word in a colour that tells what it is."""

    word: str
    text: str
    colour: Colour


def draw_sheet(tiles: Sequence[Tile], title: str, encoding: str) -> tuple[bytes, int, int]:
    """The sheet as JPEG or PNG (Pillow's name), its width and its height in pixels."""
    from PIL import Image, ImageDraw

    side = OBJECTS_SIDE if any(tile.image.width for tile in tiles) else SIDE
    columns = min(len(tiles), _MOST_COLUMNS, max(2, ceil(sqrt(len(tiles) * 1.4))))
    lines = [_lines(tile.image) for tile in tiles]
    below = _LINE * (max(map(len, lines)) + 1) + 2 * _PAD
    header = 2 * _TITLE
    step_x, step_y = side + _GAP, side + below + _GAP
    size = columns * step_x + _GAP, header + ceil(len(tiles) / columns) * step_y + _GAP
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    middle = header / 2 + _GAP / 2
    pen.text((_GAP, middle), fitted(title, _TITLE, size[0] - 2 * _GAP), _TEXT, font(_TITLE), "lm")
    for place, (tile, said) in enumerate(zip(tiles, lines, strict=True)):
        row, column = divmod(place, columns)
        left, top = _GAP + column * step_x, header + _GAP + row * step_y
        pen.rectangle((left, top, left + side - 1, top + side + below - 1), fill=_PANEL)
        picture = _picture(tile, side)
        if picture is None:
            _cross(pen, left, top, side, tile.missing)
        else:
            sheet.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
        _write(pen, left, top + side, left + side - _PAD, tile.image.path, said)
    file = io.BytesIO()
    sheet.save(file, encoding, quality=_QUALITY)
    return file.getvalue(), *sheet.size


def _picture(tile: Tile, side: int) -> Image.Image | None:
    from PIL import Image

    if not tile.picture:
        return None
    with Image.open(io.BytesIO(tile.picture)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((side, side))
    if tile.image.objects:
        draw_objects(picture, tile.image)
    return picture


def _lines(image: training_pb2.ValidationImage) -> list[Line]:
    if image.width:
        return _object_lines(image)
    said = image.predictions[0]
    return [
        Line("truth", image.label, TRUE),
        Line("right" if image.correct else "said", said.label, TRUE if image.correct else WRONG),
        Line("sure", f"{said.confidence:.1%}, loss {image.loss:.3f}", _FAINT),
    ]


def _object_lines(image: training_pb2.ValidationImage) -> list[Line]:
    hits, missed, wrong, alarms = count_outcomes(image)
    there = hits + missed + wrong
    return [
        Line("truth", f"{there} object{'s' if there != 1 else ''}, {hits} found", TRUE),
        Line("wrong", f"{missed} missed, {wrong} of another class, {alarms} false", WRONG),
        Line("loss", f"{image.loss:.3f}", _FAINT),
    ]


def _write(pen: ImageDraw.ImageDraw, left: int, top: int, room: int, path: str, lines: Sequence[Line]) -> None:
    """Write below a picture, up to ``room``; the colour of a line stands as a bar before it as well."""
    begin = left + _PAD + 8
    texts = begin + max(font(_SIZE).getlength(line.word) for line in lines) + 10
    middle = top + _PAD + _LINE / 2
    for line in lines:
        if line.colour != _FAINT:
            pen.rectangle((left + _PAD, middle - _SIZE / 2, left + _PAD + 3, middle + _SIZE / 2), fill=line.colour)
        pen.text((begin, middle), line.word, line.colour, font(_SIZE), "lm")
        pen.text((texts, middle), fitted(line.text, _SIZE, room - texts), _TEXT, font(_SIZE), "lm")
        middle += _LINE
    pen.text((begin, middle), fitted(path, _SIZE - 3, room - begin, end=True), _FAINT, font(_SIZE - 3), "lm")


def _cross(pen: ImageDraw.ImageDraw, left: int, top: int, side: int, why: str) -> None:
    """What stands in place of an image that cannot be had."""
    third, middle = side / 3, side / 2
    for first, second in ((third, 2 * third), (2 * third, third)):
        pen.line((left + third, top + first, left + 2 * third, top + second), fill=_FAINT, width=6)
    text = fitted(why, _SIZE - 2, side - 2 * _PAD)
    pen.text((left + middle, top + 2.4 * third), text, _FAINT, font(_SIZE - 2), "mm")
