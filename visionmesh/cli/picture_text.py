"""Text on pictures that the client draws, in the one font that comes with Pillow."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL import ImageFont

    Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

# No letter is so narrow that more would fit: a long text must not be measured letter by letter.
_MOST_LETTERS = 200


def fitted(text: str, size: int, width: float, *, end: bool = False) -> str:
    """A text in letters that Pillow's font has, cut with dots (at its beginning, with ``end``) to a width in pixels."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()).replace("·", "-"))
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in plain if not unicodedata.combining(letter))
    kept = shown[-_MOST_LETTERS:] if end else shown[:_MOST_LETTERS]
    cut = len(kept) < len(shown)
    while kept and font(size).getlength(dotted := _dotted(kept, cut=cut, end=end)) > width:
        kept, cut = (kept[1:] if end else kept[:-1]), True
    return dotted if kept else ""


def _dotted(text: str, *, cut: bool, end: bool) -> str:
    return text if not cut else f"...{text}" if end else f"{text}..."


@lru_cache(maxsize=16)
def font(size: int) -> Font:
    """Pillow's own font at a height in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
