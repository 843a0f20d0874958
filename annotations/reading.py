"""What a format's reader is given, and what it gives: ``read(source, draft)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from annotations.draft import Draft


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Pixels of an image as it is stored, and as it is seen once its EXIF orientation is applied."""

    stored_width: int
    stored_height: int
    width: int
    height: int
    orientation: int = 1  # as EXIF numbers it; 1: stored upright


class Source(Protocol):
    """The files of a dataset."""

    @property
    def paths(self) -> Sequence[str]:
        """Every path, sorted by code points."""
        ...

    def size_bytes(self, path: str) -> int:
        """Bytes of a file."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file to be read from its beginning as a stream. Raises StoreUnavailable, ObjectNotFound."""
        ...

    def image(self, path: str) -> ImageSize | None:
        """Size of a usable image; None for whatever is none: broken, too large, no image, not there."""
        ...


# Reads all annotations into the draft, and tells it what is wrong with a file. No content makes it raise anything.
Reader = Callable[[Source, Draft], None]
