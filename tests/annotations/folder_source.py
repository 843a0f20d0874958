"""The files of a dataset in a local folder, as a reader is given them, and real images to put there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from annotations.reading import ImageSize
from storage.objects.errors import ObjectNotFound

ORIENTATION_TAG = 0x0112
SWAPPING = (5, 6, 7, 8)


class FolderSource:
    """A ``Source`` over the files that are below a folder now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = (path for path in folder.rglob("*") if path.is_file())
        self._paths = sorted(path.relative_to(folder).as_posix() for path in files)

    @property
    def paths(self) -> Sequence[str]:
        return self._paths

    def size_bytes(self, path: str) -> int:
        return (self._folder / path).stat().st_size

    def open(self, path: str) -> BinaryIO:
        if path not in self._paths:
            raise ObjectNotFound(path)
        return (self._folder / path).open("rb")

    def image(self, path: str) -> ImageSize | None:
        if path not in self._paths:
            return None
        try:
            with Image.open(self._folder / path) as image:
                image.load()
                orientation = int(image.getexif().get(ORIENTATION_TAG, 1))
                stored = image.size
        except (OSError, UnidentifiedImageError):
            return None
        upright = stored[::-1] if orientation in SWAPPING else stored
        return ImageSize(*stored, *upright, orientation)


def save_image(path: Path, width: int = 64, height: int = 48, orientation: int = 1) -> Path:
    """Write a plain image of so many pixels as stored, in the format that the path's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, height), (40, 90, 160))
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION_TAG] = orientation
    image.save(path, exif=exif)
    return path
