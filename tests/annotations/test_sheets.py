"""Contact sheets and captions: even, within their size, readable."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from annotations.sheets import (
    Caption,
    caption_height,
    captioned,
    contact_sheet,
    filling,
    sheet_layout,
    unreadable,
)
from annotations.text import drawable, fitted, fitted_path, font


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 16, 25, 47, 100])
@pytest.mark.parametrize("side", [32, 100, 256, 500, 1024, 4096])
def test_a_sheet_of_any_number_fits_its_size_and_uses_it(count: int, side: int) -> None:
    layout = sheet_layout(count, side)
    assert max(layout.width, layout.height) <= side
    assert layout.columns * layout.rows >= count
    assert (layout.rows - 1) * layout.columns < count  # no row is empty
    assert max(layout.width, layout.height) > side * 0.6
    assert layout.side >= 1


def test_pictures_lie_in_even_cells_and_do_not_touch() -> None:
    layout = sheet_layout(6, 600)
    shapes = [(layout.side, layout.side // 2), (layout.side // 3, layout.side), (layout.side, layout.side)] * 2
    pictures = [Image.new("RGB", shape, (255, 0, 40 * n)) for n, shape in enumerate(shapes)]
    captions = [Caption("a class of a very long name that nothing has room for", "a/b.png", (0, 255, 0))] * 6
    sheet = np.asarray(contact_sheet(layout, pictures, captions, "A title " * 50, "6 of 600 images"))
    assert sheet.shape == (layout.height, layout.width, 3)
    lefts = set()
    for n, picture in enumerate(pictures):
        rows, columns = np.nonzero((sheet == (255, 0, 40 * n)).all(axis=2))
        assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == picture.size
        lefts.add((columns.min() + columns.max() + 1) // 2 % (layout.side + layout.margin))
    assert len(lefts) <= 2  # the same middle in each cell, to a pixel
    dots = (sheet == (0, 255, 0)).all(axis=2)
    assert dots.any()
    margin = sheet[:, : layout.margin]
    assert (margin == margin[0, 0]).all()


def test_a_caption_stands_below_and_never_on_the_picture() -> None:
    picture = Image.new("RGB", (500, 400), (255, 0, 0))
    whole = captioned(picture, Caption("cat · train", "a/" * 200 + "b.png", (0, 255, 0)), 500)
    assert whole.size == (500, 400 + caption_height(500))
    pixels = np.asarray(whole)
    assert (pixels[:400] == (255, 0, 0)).all()
    assert (pixels[400:] == (0, 255, 0)).all(axis=2).any()
    narrow = captioned(Image.new("RGB", (20, 400), (255, 0, 0)), Caption("cat", "b.png"), 500)
    assert narrow.width == 280
    assert caption_height(100) == 0
    assert captioned(picture, Caption("cat", "b.png"), 100) is picture


def test_small_pictures_grow_by_whole_steps_and_large_ones_shrink() -> None:
    small = Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3) * 9)
    grown = np.asarray(filling(small, 100, 50))
    assert grown.shape == (48, 48, 3)
    assert (grown[8::16, 8::16] == np.asarray(small)).all()
    assert filling(Image.new("RGB", (60, 40)), 100, 50).size == (60, 40)
    assert filling(Image.new("RGB", (200, 100)), 100, 40).size == (80, 40)
    assert filling(Image.new("RGB", (4000, 1)), 100, 40).size == (100, 1)
    assert unreadable(1).size == (1, 1)


def test_text_is_cut_to_its_room() -> None:
    for width in (0, 5, 30, 200):
        for cut in (fitted("a long name of a class", 14, width), fitted_path("a/long/path.png", 14, width)):
            assert not cut or font(14).getlength(cut) <= width
    assert fitted("cat", 14, 100) == "cat"
    assert fitted("a long name of a class", 14, 80).startswith("a long")
    assert fitted_path("train/animals/cat.png", 14, 80).endswith("cat.png")


def test_letters_that_the_font_lacks_are_replaced_by_what_can_be_read() -> None:
    assert drawable("Ünïcödé\n×  ß …") == "Unicode x ss …"
    assert drawable("кошка", "class 4") == "class 4"
    assert drawable("кот 7") == "??? 7"
    assert drawable("a\0b") == "a?b"
