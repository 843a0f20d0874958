"""Text on pictures, in the one font that comes with Pillow."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# What the font holds beside ASCII and we use.
_KNOWN = "…·"
_PLAIN = str.maketrans(
    {"×": "x", "–": "-", "—": "-", "ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "đ": "d"}
)


@lru_cache(maxsize=64)
def font(size: int) -> Font:
    """The font at a height in pixels."""
    return ImageFont.load_default(size)


def drawable(text: str, instead: str = "") -> str:
    """The text in letters that the font holds: accents are taken off, other scripts become question marks.

    Where nothing readable is left, it is ``instead``.
    """
    plain = "".join(
        letter if letter in _KNOWN else unicodedata.normalize("NFKD", letter)
        for letter in " ".join(text.split()).translate(_PLAIN)
    )
    kept = [letter for letter in plain if not unicodedata.combining(letter)]
    shown = "".join(letter if letter in _KNOWN or " " <= letter <= "~" else "?" for letter in kept)
    return shown if any(letter.isalnum() for letter in shown) or not instead else instead


def fitted(text: str, size: int, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width`` pixels; empty where not even that has room."""
    if font(size).getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # the most letters that fit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font(size).getlength(text[:middle].rstrip() + "…") <= width else (low, middle - 1)
    return text[:low].rstrip() + "…" if low else ""


def fitted_path(path: str, size: int, width: float) -> str:
    """A path, cut at its beginning: its end tells more."""
    if font(size).getlength(path) <= width:
        return path
    low, high = 0, len(path)
    while low < high:
        middle = (low + high + 1) // 2
        fits = font(size).getlength("…" + path[len(path) - middle :]) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return "…" + path[len(path) - low :] if low else ""
