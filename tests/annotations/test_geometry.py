"""Turning upright and clipping, against Pillow and against areas counted in pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from annotations.geometry import (
    clip_box,
    clip_polygon,
    polygon_area,
    stored_size,
    upright_box,
    upright_mask,
    upright_points,
)
from annotations.masks import decode_mask, encode_mask, polygon_mask
from annotations.model import Box
from tests.annotations.folder_source import ORIENTATION_TAG

WIDTH, HEIGHT = 7, 4
COORDINATES = st.floats(-20, 40, allow_nan=False)


def seen(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as Pillow shows them under an EXIF orientation."""
    image = Image.fromarray(pixels)
    image.getexif()[ORIENTATION_TAG] = orientation
    turned = ImageOps.exif_transpose(image)
    assert turned is not None
    return np.asarray(turned)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_pillow_turns_the_image(orientation: int) -> None:
    pixels = np.random.default_rng(orientation).integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)

    turned = upright_mask(encode_mask(pixels), orientation)

    assert np.array_equal(decode_mask(turned), seen(pixels, orientation))
    assert (turned.width, turned.height) == stored_size(WIDTH, HEIGHT, orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixel", [(0, 0), (6, 0), (2, 3)])
def test_a_box_around_a_pixel_is_around_it_when_turned(orientation: int, pixel: tuple[int, int]) -> None:
    x, y = pixel
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y, x] = 1
    ((row, column),) = np.argwhere(seen(pixels, orientation))

    box = upright_box(Box(x, y, x + 1, y + 1), WIDTH, HEIGHT, orientation)

    assert box == Box(column, row, column + 1, row + 1)
    middle = upright_points((x + 0.5, y + 0.5), WIDTH, HEIGHT, orientation)
    assert middle == (column + 0.5, row + 0.5)


def test_a_polygon_within_the_image_stays_as_it_is() -> None:
    polygon = (1.0, 1.0, 5.0, 1.5, 3.0, 3.0)
    assert clip_polygon(polygon, WIDTH, HEIGHT) == polygon


def test_a_polygon_across_a_corner_keeps_what_is_within() -> None:
    assert set(zip(*[iter(clip_polygon((-2, -2, 2, -2, 2, 2, -2, 2), WIDTH, HEIGHT))] * 2, strict=True)) == {
        (0, 0), (2, 0), (2, 2), (0, 2),
    }  # fmt: skip


def test_a_polygon_beside_the_image_vanishes() -> None:
    assert clip_polygon((10, 1, 12, 1, 12, 3), WIDTH, HEIGHT) == ()


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=3))
def test_a_clipped_triangle_lies_within_and_covers_what_is_within(corners: list[tuple[float, float]]) -> None:
    triangle = [value for corner in corners for value in corner]

    clipped = clip_polygon(triangle, 20, 20)

    assert all(0 <= value <= 20 for value in clipped)
    # Drawn on a canvas around both: 20 pixels of margin on each side.
    drawn = polygon_mask([[value + 20 for value in triangle]], 60, 60)[20:40, 20:40]
    assert abs(polygon_area(clipped)) == pytest.approx(int(drawn.sum()), abs=45)


def test_a_box_beside_the_image_comes_out_empty() -> None:
    assert clip_box(Box(-5, 1, 3, 9), WIDTH, HEIGHT) == Box(0, 1, 3, HEIGHT)
    assert clip_box(Box(9, 1, 12, 3), WIDTH, HEIGHT).area == 0
