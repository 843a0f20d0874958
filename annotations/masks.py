"""Masks as run lengths, as pixels, as COCO's compressed text, and made of polygons (pycocotools does the counting)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotations.model import Box, RunLengthMask

# pycocotools counts in 32 bits.
_MOST_PIXELS = 2**32 - 1

Pixels = NDArray[np.uint8]


def encode_mask(pixels: NDArray[np.generic]) -> RunLengthMask:
    """The run lengths of a mask, (height, width), in which whatever is not 0 belongs to the object."""
    height, width = pixels.shape
    column_by_column = np.not_equal(pixels, 0).ravel(order="F")
    changes = np.flatnonzero(column_by_column[1:] != column_by_column[:-1]) + 1
    runs = np.diff(np.concatenate(([0], changes, [column_by_column.size])))
    first = [0] if column_by_column.size and column_by_column[0] else []
    return RunLengthMask(height, width, (*first, *runs.tolist()))


def decode_mask(mask: RunLengthMask) -> Pixels:
    """The pixels of a mask: uint8, (height, width), 1 on the object. Raises ValueError for counts that do not fit."""
    check_mask(mask)
    values = np.arange(len(mask.counts), dtype=np.uint8) % 2
    flat = np.repeat(values, mask.counts)
    return flat.reshape((mask.height, mask.width), order="F")


def check_mask(mask: RunLengthMask) -> None:
    """Raise ValueError, which says why, unless the runs add up to the pixels."""
    pixels = mask.height * mask.width
    if mask.height < 1 or mask.width < 1 or pixels > _MOST_PIXELS:
        raise ValueError(f"a mask of {mask.width} × {mask.height} pixels")
    if any(count < 0 for count in mask.counts):
        raise ValueError("a run of negative length")
    if (total := sum(mask.counts)) != pixels:
        raise ValueError(f"runs of {total} pixels for a mask of {pixels}")


def mask_area(mask: RunLengthMask) -> int:
    """Pixels of the object."""
    return sum(mask.counts[1::2])


def mask_box(mask: RunLengthMask) -> Box | None:
    """The smallest box around the object; None when the mask is empty. Raises ValueError for counts that do not fit."""
    if not mask_area(mask):
        return None
    pixels = decode_mask(mask)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def compress(mask: RunLengthMask) -> str:
    """COCO's compressed text of a mask's counts."""
    found = coco_mask.frPyObjects(
        {"size": [mask.height, mask.width], "counts": list(mask.counts)}, mask.height, mask.width
    )
    text: bytes = found["counts"]
    return text.decode("ascii")


def decompress(height: int, width: int, text: str) -> RunLengthMask:
    """The mask of COCO's compressed text. Raises ValueError when the text is none or does not fit the size."""
    mask = RunLengthMask(height, width, tuple(_counts(text)))
    check_mask(mask)
    return mask


def polygon_runs(polygons: Iterable[Sequence[float]], height: int, width: int) -> RunLengthMask:
    """The mask of what is within any of the polygons (each x, y, x, y, …), as pycocotools draws them."""
    drawn = [list(polygon) for polygon in polygons]
    if not drawn:
        return RunLengthMask(height, width, (height * width,))
    merged = coco_mask.merge(coco_mask.frPyObjects(drawn, height, width))
    return decompress(height, width, merged["counts"].decode("ascii"))


def polygon_mask(polygons: Iterable[Sequence[float]], height: int, width: int) -> Pixels:
    """The pixels within any of the polygons: uint8, (height, width), 1 on the object."""
    return decode_mask(polygon_runs(polygons, height, width))


def _counts(text: str) -> Iterable[int]:
    """Read COCO's compressed counts: six bits a character, from the third on as difference to the last but one.

    pycocotools' own reader (``rleFrString`` in maskApi.c) runs past the end of a text that is cut, hence this one.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} in a compressed mask")
        value |= (bits & 0x1F) << shift
        shift += 5
        if shift > 60:
            raise ValueError("a run that is too long")
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("a compressed mask that is cut short")
    return counts
