"""Images that look alike: a perceptual hash of each, and pairs whose hashes are close.

The hash is the difference hash (dHash) of N. Krawetz, "Kind of Like That", hackerfactor.com, 2013: whether each of
8 × 8 places of the shrunken grey image is brighter than its right neighbour. It survives other sizes and encodings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from PIL import Image

HASH_SIDE = 8
# Of 64 bits; with four bands of 16 bits two hashes so close have a band in common (G. S. Manku et al., "Detecting
# Near-Duplicates for Web Crawling", WWW 2007).
MOST_DIFFERENT_BITS = 3
_BANDS = MOST_DIFFERENT_BITS + 1
_BAND_BITS = HASH_SIDE * HASH_SIDE // _BANDS

# Every hash is compared with so many of a band at most: where thousands share one, the first ones will do.
_MOST_COMPARED = 512

# Pixels are picked, not averaged, down to this side first: 16 × 18 of them for each place of the hash cost a tenth of
# averaging all. Averaging follows on what is left.
_PICKED_SIDE = 144
# Grey values of an image that differ by less show nothing that a hash could tell from another such image.
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


def perceptual_hash(image: Image.Image, orientation: int) -> int | None:
    """The 64 bits of a decoded image as it is seen upright; None for one that shows too little to be told apart."""
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
    if max(values) - min(values) < _LEAST_CONTRAST:
        return None
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


def near_duplicates(images: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, str]]:
    """Of (path, split, hash) yield (path, path of an earlier one that looks the same in another split), at most one
    for each. Images come split by split, best the largest split first, which is compared with nothing.

    The time grows with the images, not with their pairs.
    """
    bands: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(_BANDS)]
    firsts: dict[str, dict[int, str]] = defaultdict(dict)  # by split and hash the first path
    known: set[int] = set()
    for path, split, bits in images:
        parts = [bits >> _BAND_BITS * band & (1 << _BAND_BITS) - 1 for band in range(_BANDS)]
        others = [paths for name, paths in firsts.items() if name != split]
        if others and (other := _find(bands, parts, bits, others)) is not None:
            yield path, other
        firsts[split].setdefault(bits, path)
        if bits not in known:
            known.add(bits)
            for band, part in zip(bands, parts, strict=True):
                band[part].append(bits)


def _find(bands: list[dict[int, list[int]]], parts: list[int], bits: int, others: list[dict[int, str]]) -> str | None:
    for band, part in zip(bands, parts, strict=True):
        for other in band.get(part, ())[:_MOST_COMPARED]:
            if (other ^ bits).bit_count() <= MOST_DIFFERENT_BITS:
                for paths in others:
                    if other in paths:
                        return paths[other]
    return None
