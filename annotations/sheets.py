"""Pictures to look at: one image with a caption, or many on a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from PIL import Image, ImageDraw

from annotations.colours import Colour
from annotations.text import drawable, fitted, fitted_path, font

_BACKGROUND: Colour = (24, 26, 31)
_PANEL: Colour = (38, 41, 48)
_TEXT: Colour = (236, 238, 241)
_FAINT: Colour = (158, 164, 174)
# Narrower pictures get room beside them, so that their caption can be read.
_CAPTION_WIDTH = 280
_SMALLEST_WITH_CAPTION = 160
_SMALLEST_WITH_TITLE = 400


@dataclass(frozen=True)
class Caption:
    """What stands below a picture: ``title`` with a dot of ``colour`` before it, and ``path`` smaller."""

    title: str
    path: str
    colour: Colour | None = None


@dataclass(frozen=True)
class Layout:
    """Where things lie on a contact sheet, in pixels: ``side`` is that of the square for each picture."""

    columns: int
    rows: int
    side: int
    margin: int
    header: int
    caption: int
    font_size: int

    @property
    def width(self) -> int:
        """Pixels of the whole sheet."""
        return self.columns * self.side + (self.columns + 1) * self.margin

    @property
    def height(self) -> int:
        """Pixels of the whole sheet."""
        return self.header + self.rows * (self.side + self.caption) + (self.rows + 1) * self.margin


def sheet_layout(count: int, max_side: int) -> Layout:
    """A sheet, at most ``max_side`` pixels each way, of large squares for ``count`` pictures, with few places empty."""
    found = [_layout(count, columns, max_side) for columns in range(count, 0, -1)]
    largest = max(layout.side for layout in found)
    large = [layout for layout in found if layout.side >= 0.9 * largest]
    return min(large, key=lambda layout: (layout.columns * layout.rows - count, -layout.side))


def contact_sheet(
    layout: Layout, pictures: Sequence[Image.Image], captions: Sequence[Caption], title: str, note: str
) -> Image.Image:
    """Lay RGB pictures, none larger than ``layout.side``, row by row; ``note`` stands right of the title."""
    sheet = Image.new("RGB", (layout.width, layout.height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if layout.header:
        _header(draw, layout, title, note)
    step_x, step_y = layout.side + layout.margin, layout.side + layout.caption + layout.margin
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(place, layout.columns)
        left, top = layout.margin + column * step_x, layout.header + layout.margin + row * step_y
        bottom = top + layout.side + layout.caption
        draw.rectangle((left, top, left + layout.side - 1, bottom - 1), fill=_PANEL)
        x, y = (layout.side - picture.width) // 2, (layout.side - picture.height) // 2
        sheet.paste(picture, (left + x, top + y))
        if layout.caption:
            area = (left, top + layout.side, left + layout.side, bottom)
            _caption(draw, area, layout.font_size, caption)
    return sheet


def caption_height(max_side: int) -> int:
    """Pixels that the caption of a single picture takes; 0 where there is no room for one."""
    return 2 * _caption_size(max_side) if max_side >= _SMALLEST_WITH_CAPTION else 0


def captioned(picture: Image.Image, caption: Caption, max_side: int) -> Image.Image:
    """A picture, at most ``max_side`` wide and ``caption_height`` less high, with its caption below."""
    height = caption_height(max_side)
    if not height:
        return picture
    width = max(picture.width, min(max_side, _CAPTION_WIDTH))
    whole = Image.new("RGB", (width, picture.height + height), _BACKGROUND)
    whole.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(whole)
    size = _caption_size(max_side)
    pad = size // 2
    middle = picture.height + height / 2
    left = _dot(draw, pad, middle, size, caption.colour)
    title = fitted(drawable(caption.title), size, width - left - pad)
    draw.text((left, middle), title, font=font(size), fill=_TEXT, anchor="lm")
    left += round(font(size).getlength(title)) + size
    small = _smaller(size)
    path = fitted_path(drawable(caption.path), small, width - left - pad)
    if len(path) > 4:
        draw.text((width - pad, middle), path, font=font(small), fill=_FAINT, anchor="rm")
    return whole


def filling(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A picture that fits in ``width`` × ``height``; a small one as many whole times larger as do."""
    if picture.width > width or picture.height > height:
        scale = min(width / picture.width, height / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        return picture.resize(size, Image.Resampling.LANCZOS)
    times = min(width // picture.width, height // picture.height)
    if times < 2:
        return picture
    # From some size on, pixels are to be seen as what they are.
    how = Image.Resampling.NEAREST if times >= 3 else Image.Resampling.BICUBIC
    return picture.resize((picture.width * times, picture.height * times), how)


def unreadable(side: int) -> Image.Image:
    """What stands in place of an image that cannot be decoded."""
    picture = Image.new("RGB", (side, side), _PANEL)
    draw = ImageDraw.Draw(picture)
    third = side / 3
    width = max(1, side // 40)
    draw.line((third, third, 2 * third, 2 * third), fill=_FAINT, width=width)
    draw.line((third, 2 * third, 2 * third, third), fill=_FAINT, width=width)
    return picture


def _layout(count: int, columns: int, max_side: int) -> Layout:
    rows = ceil(count / columns)
    margin = max(1, round(max_side / 110)) if max_side >= 128 else 1
    title_size = _title_size(max_side)
    header = round(title_size * 2) if max_side >= _SMALLEST_WITH_TITLE else 0
    side = max(1, (max_side - (columns + 1) * margin) // columns)
    while True:
        font_size = min(22, max(10, round(side / 15)))
        # Two lines, one, or none: as there is room.
        lines = 2 if side >= 90 else 1 if side >= 56 else 0
        caption = round(font_size * (0.75 + 1.3 * lines)) if lines else 0
        layout = Layout(columns, rows, side, margin, header, caption, font_size)
        if layout.height <= max_side or side == 1:
            return layout
        side -= max(1, (layout.height - max_side) // (2 * rows))


def _header(draw: ImageDraw.ImageDraw, layout: Layout, title: str, note: str) -> None:
    size = layout.header // 2
    small = _smaller(size)
    middle = layout.margin + layout.header / 2
    room = layout.width - 2 * layout.margin
    note = fitted(drawable(note), small, room * 0.6)
    title = fitted(drawable(title), size, room - font(small).getlength(note) - size)
    draw.text((layout.margin, middle), title, font=font(size), fill=_TEXT, anchor="lm")
    draw.text((layout.width - layout.margin, middle), note, font=font(small), fill=_FAINT, anchor="rm")


def _caption(draw: ImageDraw.ImageDraw, area: tuple[int, int, int, int], size: int, caption: Caption) -> None:
    left, top, right, bottom = area
    pad = max(3, size // 2)
    small = _smaller(size)
    two_lines = bottom - top > 2.5 * size
    line = size * 1.3
    middle = top + pad * 0.75 + line / 2
    begin = _dot(draw, left + pad, middle, size, caption.colour)
    title = fitted(drawable(caption.title), size, right - pad - begin)
    draw.text((begin, middle), title, font=font(size), fill=_TEXT, anchor="lm")
    if two_lines:
        path = fitted_path(drawable(caption.path), small, right - left - 2 * pad)
        draw.text((left + pad, middle + line), path, font=font(small), fill=_FAINT, anchor="lm")


def _dot(draw: ImageDraw.ImageDraw, left: float, middle: float, size: int, colour: Colour | None) -> float:
    """A dot where there is a colour; gives where the text begins."""
    if colour is None:
        return left
    across = round(size * 0.7)
    draw.rounded_rectangle(
        (left, middle - across / 2, left + across, middle + across / 2), radius=across // 3, fill=colour
    )
    return left + across + size // 2


def _caption_size(max_side: int) -> int:
    return min(32, max(12, round(max_side / 52)))


def _title_size(max_side: int) -> int:
    return min(40, max(15, round(max_side / 48)))


def _smaller(size: int) -> int:
    return max(9, round(size * 0.85))
