"""What a stored file is as an image: read once, verified, decoded as a whole, measured."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from annotations.problems import ERROR, WARNING, Problem
from annotations.reading import ImageSize
from gateway.datasets.files import ReceivedFile
from gateway.datasets.perceptual import shrunken
from gateway.work_folder import disk_errors
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore

# Only formats that hold pictures and need no other program to be read. MPO comes in as JPEG, as Pillow has it.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
ANIMATED = ("PNG", "GIF", "WEBP", "TIFF")

# Larger files go through the disk, so that a few of them at once do not fill the memory.
LARGE_FILE_BYTES = 16 << 20

# Of an image in memory; below ``rpc.allocator.LARGE_BLOCK_BYTES``.
_BLOCK_BYTES = 1 << 20

_ORIENTATION = 0x0112  # EXIF's tag
_SIDEWAYS = (5, 6, 7, 8)

# What Pillow's decoders are known to raise on broken or hostile bytes.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ArithmeticError,
    MemoryError,
)


def use_small_blocks() -> None:
    """Have Pillow keep images in blocks that the C library keeps for the next ones (``rpc.allocator``)."""
    Image.core.set_block_size(_BLOCK_BYTES)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Picture:
    """A usable image. ``shrunken`` is by what it is compared with others, None where it shows too little for that."""

    size: ImageSize
    shrunken: bytes | None
    animated: bool


class Inspector:
    """Looks at the images of one dataset, in any number of threads at once. ``folder`` takes large ones for a while."""

    def __init__(self, store: ObjectStore, dataset_id: str, max_pixels: int, folder: Path) -> None:
        self._store = store
        self._dataset_id = dataset_id
        self._max_pixels = max_pixels
        self._folder = folder

    def inspect(self, file: ReceivedFile) -> Picture | Problem:
        """Read a stored image and measure it, or say what is wrong with it. Blocks.

        Raises StoreUnavailable, WorkFolderUnusable.
        """
        if file.size_bytes == 0:
            return Problem(file.path, "empty_image", WARNING, f"The file has no bytes. {_LEFT_OUT}")
        try:
            if file.size_bytes > LARGE_FILE_BYTES:
                return self._inspect_large(file)
            data = self._store.get(keys.dataset_file(self._dataset_id, file.path))
        except ObjectNotFound:
            return storage_corrupt(file.path, lost=True)
        if sha256_bytes(data) != file.sha256:
            return storage_corrupt(file.path)
        return measure(file.path, io.BytesIO(data), self._max_pixels)

    def _inspect_large(self, file: ReceivedFile) -> Picture | Problem:
        copy, digest = self._folder / uuid4().hex, hashlib.sha256()
        try:
            with disk_errors(), copy.open("wb") as target:
                for chunk in self._store.read(keys.dataset_file(self._dataset_id, file.path)):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != file.sha256:
                return storage_corrupt(file.path)
            with copy.open("rb") as opened:
                return measure(file.path, opened, self._max_pixels)
        finally:
            copy.unlink(missing_ok=True)


def measure(path: str, file: BinaryIO, max_pixels: int) -> Picture | Problem:
    """Decode every pixel of an image's first frame; the picture, or what is wrong with it."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                return _too_many_pixels(path, f"{width} × {height} pixels", max_pixels)
            # Pillow turns TIFF upright as it loads; what the file says of it is to be had only before.
            is_tiff = image.format == "TIFF"
            orientation = _orientation(image) if is_tiff else 1
            _leave_colour(image)
            image.load()
            if not is_tiff:
                orientation = _orientation(image)
            size = image.size
            turned = size[::-1] if orientation in _SIDEWAYS else size
            stored, upright = (turned, size) if is_tiff else (size, turned)
            small = shrunken(image, 1 if is_tiff else orientation)
            return Picture(ImageSize(*stored, *upright, orientation), small, _is_animated(image))
    except Image.DecompressionBombError:
        return _too_many_pixels(path, "far too many pixels", max_pixels)
    except UnidentifiedImageError:
        said = "This is no image, whatever its name says. It was left out; upload the real one under another name."
        return Problem(path, "broken_image", WARNING, said)
    except UNREADABLE as error:
        # Pillow writes "image file is truncated (3 bytes not processed)" and the like: no paths, worth repeating.
        said = f"This image cannot be decoded: {error or type(error).__name__}. {_LEFT_OUT}"
        return Problem(path, "broken_image", WARNING, said)


def storage_corrupt(path: str, *, lost: bool = False) -> Problem:
    """The object store does not hold what was uploaded."""
    said = "has lost this file" if lost else "does not hold the bytes that were uploaded"
    said += ". Upload the dataset anew, and have the store looked after."
    return Problem(path, "storage_corrupt", ERROR, f"The object store {said}")


_LEFT_OUT = "It was left out; upload a whole one under another name."


def _leave_colour(image: Image.Image) -> None:
    """Have a JPEG decoded into its brightness, which is all that images are compared by.

    Its bytes are all read either way, and fail alike; but that saves a third of the time, which goes into enlarging and
    converting its colours. Those that no decoder enlarges are for decoding in colour to find out.
    """
    if isinstance(image, JpegImageFile):
        across, down = ([component[direction] for component in image.layer] for direction in (1, 2))
        if all(factor and max(factors) % factor == 0 for factors in (across, down) for factor in factors):
            image.draft("L", None)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # metadata that cannot be parsed names no orientation; the pixels are good
        return 1
    return found if found in range(1, 9) else 1


def _is_animated(image: Image.Image) -> bool:
    """Whether more frames follow the first."""
    try:
        return image.format in ANIMATED and bool(getattr(image, "is_animated", False))
    except UNREADABLE:
        return True  # there is another frame, and it is broken


def _too_many_pixels(path: str, found: str, max_pixels: int) -> Problem:
    said = f"This image has {found}; the setting max_image_pixels allows {max_pixels}. It was left out."
    return Problem(path, "too_many_pixels", WARNING, said)
