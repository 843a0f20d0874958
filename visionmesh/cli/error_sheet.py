"""What a model got wrong, as a contact sheet, with Pillow."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING

from visionmesh.v1 import training_pb2

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# Longest side of a picture on the sheet, in pixels.
SIDE = 320
# Blue for what is true and orange for what is wrong: of the palette of Okabe and Ito ("Color Universal Design"), which
# people with any kind of colour vision tell apart. A word stands before each, so that no colour is needed at all.
TRUE: Colour = (86, 180, 233)
WRONG: Colour = (230, 159, 0)
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

    columns = min(len(tiles), _MOST_COLUMNS, max(2, ceil(sqrt(len(tiles) * 1.4))))
    lines = [_lines(tile) for tile in tiles]
    below = _LINE * (max(map(len, lines)) + 1) + 2 * _PAD
    header = 2 * _TITLE
    step_x, step_y = SIDE + _GAP, SIDE + below + _GAP
    size = columns * step_x + _GAP, header + ceil(len(tiles) / columns) * step_y + _GAP
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, header / 2 + _GAP / 2), _fitted(title, _TITLE, size[0] - 2 * _GAP), _TEXT, _font(_TITLE), "lm")
    for place, (tile, said) in enumerate(zip(tiles, lines, strict=True)):
        row, column = divmod(place, columns)
        left, top = _GAP + column * step_x, header + _GAP + row * step_y
        pen.rectangle((left, top, left + SIDE - 1, top + SIDE + below - 1), fill=_PANEL)
        picture = _picture(tile)
        if picture is None:
            _cross(pen, left, top, tile.missing)
        else:
            sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
        _write(pen, left, top + SIDE, tile.image.path, said)
    file = io.BytesIO()
    sheet.save(file, encoding, quality=_QUALITY)
    return file.getvalue(), *sheet.size


def _picture(tile: Tile) -> Image.Image | None:
    from PIL import Image

    if not tile.picture:
        return None
    with Image.open(io.BytesIO(tile.picture)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    return picture


def _lines(tile: Tile) -> list[Line]:
    image = tile.image
    said = image.predictions[0]
    return [
        Line("truth", image.label, TRUE),
        Line("right" if image.correct else "said", said.label, TRUE if image.correct else WRONG),
        Line("sure", f"{said.confidence:.1%}, loss {image.loss:.3f}", _FAINT),
    ]


def _write(pen: ImageDraw.ImageDraw, left: int, top: int, path: str, lines: Sequence[Line]) -> None:
    """Write below a picture, whose colour stands as a bar at the side of each line as well."""
    begin = left + _PAD + 8
    texts = begin + max(_font(_SIZE).getlength(line.word) for line in lines) + 10
    room = left + SIDE - _PAD
    middle = top + _PAD + _LINE / 2
    for line in lines:
        if line.colour != _FAINT:
            pen.rectangle((left + _PAD, middle - _SIZE / 2, left + _PAD + 3, middle + _SIZE / 2), fill=line.colour)
        pen.text((begin, middle), line.word, line.colour, _font(_SIZE), "lm")
        pen.text((texts, middle), _fitted(line.text, _SIZE, room - texts), _TEXT, _font(_SIZE), "lm")
        middle += _LINE
    pen.text((begin, middle), _fitted(path, _SIZE - 3, room - begin, end=True), _FAINT, _font(_SIZE - 3), "lm")


def _cross(pen: ImageDraw.ImageDraw, left: int, top: int, why: str) -> None:
    """What stands in place of an image that cannot be had."""
    third, middle = SIDE / 3, SIDE / 2
    for first, second in ((third, 2 * third), (2 * third, third)):
        pen.line((left + third, top + first, left + 2 * third, top + second), fill=_FAINT, width=6)
    text = _fitted(why, _SIZE - 2, SIDE - 2 * _PAD)
    pen.text((left + middle, top + 2.4 * third), text, _FAINT, _font(_SIZE - 2), "mm")


def _fitted(text: str, size: int, width: float, *, end: bool = False) -> str:
    """A text in letters that Pillow's font has, cut with dots (at its beginning, with ``end``) to a width in pixels."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()).replace("·", "-"))
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in plain if not unicodedata.combining(letter))
    # Beyond this much no letter is narrow enough to fit: a long text must not be measured letter by letter.
    kept = shown[-200:] if end else shown[:200]
    cut = len(kept) < len(shown)
    while kept and _font(size).getlength(dotted := _dotted(kept, cut=cut, end=end)) > width:
        kept, cut = (kept[1:] if end else kept[:-1]), True
    return dotted if kept else ""


def _dotted(text: str, *, cut: bool, end: bool) -> str:
    return text if not cut else f"...{text}" if end else f"{text}..."


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    found = _FONTS.get(size)
    if found is None:
        found = _FONTS[size] = ImageFont.load_default(size)
    return found


_FONTS: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}
