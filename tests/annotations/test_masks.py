"""Run lengths, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from annotations.masks import (
    check_mask,
    compress,
    decode_mask,
    decompress,
    encode_mask,
    mask_area,
    mask_box,
    polygon_mask,
)
from annotations.model import Box, RunLengthMask

MASKS = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


@given(MASKS)
def test_run_lengths_are_those_of_pycocotools(pixels: np.ndarray) -> None:
    theirs = coco_mask.encode(np.asfortranarray(pixels))
    height, width = pixels.shape

    mask = encode_mask(pixels)

    check_mask(mask)
    assert np.array_equal(decode_mask(mask), pixels)
    assert compress(mask) == theirs["counts"].decode()
    assert decompress(height, width, theirs["counts"].decode()) == mask
    assert mask_area(mask) == coco_mask.area(theirs) == pixels.sum()
    if pixels.any():
        x, y, across, down = coco_mask.toBbox(theirs)
        assert mask_box(mask) == Box(x, y, x + across, y + down)
    else:
        assert mask_box(mask) is None


def test_long_runs_survive_compression() -> None:
    mask = RunLengthMask(5000, 4000, (1, 19_999_990, 9))
    assert decompress(5000, 4000, compress(mask)) == mask


@pytest.mark.parametrize("text", ["", "\x00", "ä", "o", "oooooooooooooooooooo", "1", "99999999", "P" * 1000])
def test_text_that_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decompress(4, 4, text)


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_whatever_text_is_read_fits_its_size(text: str) -> None:
    try:
        mask = decompress(4, 4, text)
    except ValueError:
        return
    assert decode_mask(mask).shape == (4, 4)


@pytest.mark.parametrize(
    "mask",
    [RunLengthMask(2, 2, (1, 2)), RunLengthMask(2, 2, (5, -1)), RunLengthMask(0, 2, ()), RunLengthMask(2, 2, ())],
)
def test_counts_that_do_not_add_up_are_refused(mask: RunLengthMask) -> None:
    with pytest.raises(ValueError):
        check_mask(mask)


def test_polygons_become_the_pixels_within_any_of_them() -> None:
    pixels = polygon_mask([(0, 0, 2, 0, 2, 2, 0, 2), (3, 3, 5, 3, 5, 5, 3, 5)], 5, 6)
    assert pixels.sum() == 8
    assert pixels[:2, :2].all() and pixels[3:5, 3:5].all()
    assert polygon_mask([], 5, 6).sum() == 0
