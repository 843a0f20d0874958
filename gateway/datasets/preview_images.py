"""Reading images for previews: verified, upright, no larger than needed, and never too many pixels at once."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from annotations.pictures import small_upright_rgb
from gateway.datasets.errors import storage_corrupt
from gateway.datasets.images import FORMATS, UNREADABLE
from rpc.errors import DomainError
from storage.database.dataset_selection import SelectedFile
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore

_BYTES_AT_ONCE = 128 << 20


class Budget:
    """So much of something that all threads together may hold; what is larger is held alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until there is room. Blocks."""
        amount = min(amount, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._held + amount <= self._limit)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()


class PreviewImages:
    """Images of datasets. All of it blocks; safe for many threads."""

    def __init__(self, store: ObjectStore, max_pixels: int) -> None:
        self._store = store
        self._max_pixels = max_pixels
        self._bytes = Budget(_BYTES_AT_ONCE)
        self._pixels = Budget(max_pixels)

    def read(self, dataset_id: str, file: SelectedFile, side: int) -> Image.Image:
        """An image, upright, RGB, its longer side at most ``side`` pixels.

        Raises STORAGE_CORRUPT, IMAGE_UNREADABLE, IMAGE_TOO_LARGE; StoreUnavailable.
        """
        with self._bytes.hold(file.size_bytes):
            try:
                data = self._store.get(keys.dataset_file(dataset_id, file.path))
            except ObjectNotFound as error:
                raise storage_corrupt(dataset_id, f"The file {file.path!r}", "is missing") from error
            if sha256_bytes(data) != file.sha256:
                raise storage_corrupt(dataset_id, f"The file {file.path!r}", "is not the one that was uploaded")
            return self._decode(file.path, data, side)

    def _decode(self, path: str, data: bytes, side: int) -> Image.Image:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                pixels = image.width * image.height
                if pixels > self._max_pixels:
                    raise _too_large(path, pixels, self._max_pixels)
                with self._pixels.hold(pixels):
                    return small_upright_rgb(image, side)
        except Image.DecompressionBombError as error:
            raise _too_large(path, 0, self._max_pixels) from error
        except UNREADABLE as error:
            raise DomainError(
                "IMAGE_UNREADABLE",
                f"The file {path!r} is no image that can be decoded. ListDatasetProblems tells of broken images.",
                metadata={"path": path},
            ) from error


def _too_large(path: str, pixels: int, max_pixels: int) -> DomainError:
    found = f"{pixels} pixels" if pixels else "far too many pixels"
    return DomainError(
        "IMAGE_TOO_LARGE",
        f"The image {path!r} has {found}; the setting VISIONMESH_MAX_IMAGE_PIXELS allows {max_pixels}.",
        metadata={"path": path, "setting": "VISIONMESH_MAX_IMAGE_PIXELS", "max_image_pixels": str(max_pixels)},
    )
