"""Whether a stored file is an image that can be trained on: read, verified and decoded as a whole."""

from __future__ import annotations

import io
import struct

from PIL import Image, UnidentifiedImageError

from annotations.problems import ERROR, WARNING, Problem
from gateway.datasets.files import ReceivedFile
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore

# Only formats that hold pictures and need no other program to be read. MPO comes in as JPEG, as Pillow has it.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")

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


def inspect_image(store: ObjectStore, dataset_id: str, file: ReceivedFile, max_pixels: int) -> Problem | None:
    """Read a stored image and say what is wrong with it, None when nothing is. Blocks; raises StoreUnavailable."""
    try:
        data = store.get(keys.dataset_file(dataset_id, file.path))
    except ObjectNotFound:
        return Problem(file.path, "storage_corrupt", ERROR, "The object store has lost this file.")
    if sha256_bytes(data) != file.sha256:
        return Problem(file.path, "storage_corrupt", ERROR, "The bytes in the object store are not those uploaded.")
    return decode_problem(file.path, data, max_pixels)


def decode_problem(path: str, data: bytes, max_pixels: int) -> Problem | None:
    """Decode every pixel; what is wrong with the image, or None."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                return _too_many_pixels(path, f"{width} × {height} pixels", max_pixels)
            image.load()
    except Image.DecompressionBombError:
        return _too_many_pixels(path, "far too many pixels", max_pixels)
    except UnidentifiedImageError:
        said = "This is no image, whatever its name says. It was left out; upload the real one under another name."
        return Problem(path, "broken_image", WARNING, said)
    except UNREADABLE as error:
        # Pillow writes "image file is truncated (3 bytes not processed)" and the like: no paths, worth repeating.
        said = f"This image cannot be decoded: {error or type(error).__name__}. It was left out; upload a whole one "
        return Problem(path, "broken_image", WARNING, said + "under another name.")
    return None


def _too_many_pixels(path: str, found: str, max_pixels: int) -> Problem:
    said = f"This image has {found}; the setting max_image_pixels allows {max_pixels}. It was left out."
    return Problem(path, "too_many_pixels", WARNING, said)
