"""Images that look alike: each shrunken to 9 × 8 grey values, and pairs whose hashes and values are close.

The hash is the difference hash (dHash) of N. Krawetz, "Kind of Like That", hackerfactor.com, 2013: whether each of
8 × 8 places of the shrunken image is brighter than its right neighbour. It survives other sizes and encodings, and
finds pairs fast. Drawings and digits of one outline have the same hash, though; only the values tell them apart
(docs/decisions/0011).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from PIL import Image

_Known = tuple[str, str, bytes]  # path, split, shrunken

HASH_SIDE = 8
# Of 64 bits; with four bands of 16 bits two hashes so close have a band in common (G. S. Manku et al., "Detecting
# Near-Duplicates for Web Crawling", WWW 2007).
MOST_DIFFERENT_BITS = 3
_BANDS = MOST_DIFFERENT_BITS + 1
_BAND_BITS = HASH_SIDE * HASH_SIDE // _BANDS
# Grey values of 255, on average over an image: other encodings and sizes differ by 1 to 3.
MOST_DIFFERENT_GREY = 5

# Every image is compared with so many of a band, and of a hash, at most: where thousands share one, the first will do.
_MOST_COMPARED = 256
_MOST_OF_A_HASH = 16

# Pixels are picked, not averaged, down to this side first: 16 × 18 of them for each place of the hash cost a tenth of
# averaging all. Averaging follows on what is left.
_PICKED_SIDE = 144
# An image whose grey values differ by less shows nothing to be told apart by.
_LEAST_CONTRAST = 8

# Modes of grey with more than 8 bits.
_DEEP = ("I", "F")

# What EXIF's orientation asks for, for a square image.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def shrunken(image: Image.Image, orientation: int) -> bytes | None:
    """The 9 × 8 grey values of a decoded image as it is seen upright, row by row; None where it shows too little."""
    picked = image.resize((_PICKED_SIDE, _PICKED_SIDE), Image.Resampling.NEAREST)
    if picked.mode.startswith(_DEEP):
        picked = _stretched(picked)
    try:
        grey = picked.convert("L")
    except ValueError:  # a mode that Pillow cannot turn into grey
        return None
    if orientation in _TURNS:
        grey = grey.transpose(_TURNS[orientation])
    small = grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    values = small.tobytes()
    return values if max(values) - min(values) >= _LEAST_CONTRAST else None


def difference_hash(values: bytes) -> int:
    """The 64 bits of what ``shrunken`` gave."""
    bits = 0
    for row in range(0, len(values), HASH_SIDE + 1):
        for place in range(row, row + HASH_SIDE):
            bits = bits << 1 | (values[place] > values[place + 1])
    return bits


def _stretched(deep: Image.Image) -> Image.Image:
    """Values of more than 8 bits brought to 0 to 255: Pillow would cut them off."""
    values = deep.convert("F")
    low, high = (float(value) for value in values.getextrema())  # type: ignore[arg-type]
    span = high - low
    if not 0 < span < float("inf"):
        return values
    return values.point(lambda value: value * (255 / span) - low * 255 / span)


def near_duplicates(images: Iterable[tuple[str, str, bytes]]) -> Iterator[tuple[str, str]]:
    """Of (path, split, shrunken) yield (path, path of an earlier one that looks the same in another split), at most one
    for each. Images come split by split, best the largest split first, which is compared with nothing.

    The time grows with the images, not with their pairs.
    """
    bands: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(_BANDS)]
    known: dict[int, list[_Known]] = {}
    splits: set[str] = set()
    for path, split, values in images:
        bits = difference_hash(values)
        parts = [bits >> _BAND_BITS * band & (1 << _BAND_BITS) - 1 for band in range(_BANDS)]
        splits.add(split)
        if len(splits) > 1 and (other := _find(bands, known, parts, bits, split, values)) is not None:
            yield path, other
        if bits not in known:
            known[bits] = []
            for band, part in zip(bands, parts, strict=True):
                band[part].append(bits)
        if len(known[bits]) < _MOST_OF_A_HASH:
            known[bits].append((path, split, values))


def _find(
    bands: list[dict[int, list[int]]],
    known: dict[int, list[_Known]],
    parts: list[int],
    bits: int,
    split: str,
    values: bytes,
) -> str | None:
    for band, part in zip(bands, parts, strict=True):
        for other in band.get(part, ())[:_MOST_COMPARED]:
            if (other ^ bits).bit_count() <= MOST_DIFFERENT_BITS:
                for path, other_split, other_values in known[other]:
                    if other_split != split and _differ_little(values, other_values):
                        return path
    return None


def _differ_little(values: bytes, others: bytes) -> bool:
    total = sum(abs(value - other) for value, other in zip(values, others, strict=True))
    return total <= MOST_DIFFERENT_GREY * len(values)
