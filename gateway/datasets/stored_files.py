"""The files of a dataset as readers of annotations see them: out of the object store, verified while they are read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, cast

from annotations.reading import ImageSize
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import Picture
from gateway.datasets.inspection import Progress
from storage.objects import keys
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from storage.objects.store import ObjectStore

CHUNK_BYTES = 1 << 18
_BUFFER_BYTES = 1 << 16


class StoredFiles:
    """An ``annotations.reading.Source``. For one thread at a time.

    Opening and reading raise StoreUnavailable, ObjectNotFound, ObjectMismatch where the bytes are not those uploaded,
    and AnalysisStopped.
    """

    def __init__(
        self,
        store: ObjectStore,
        dataset_id: str,
        files: Sequence[ReceivedFile],
        pictures: Mapping[str, Picture],
        progress: Progress,
    ) -> None:
        """``files`` are sorted by path. A file counts as analysed when it is opened first."""
        self._store = store
        self._dataset_id = dataset_id
        self._files = {file.path: file for file in files}
        self._paths = [file.path for file in files]
        self._pictures = pictures
        self._opened: set[str] = set()
        self._progress = progress

    @property
    def paths(self) -> Sequence[str]:
        """Every path, sorted by code points."""
        return self._paths

    def size_bytes(self, path: str) -> int:
        """Bytes of a file."""
        return self._files[path].size_bytes

    def open(self, path: str) -> BinaryIO:
        """Open a file to be read from its beginning as a stream."""
        self._progress.check()
        key = keys.dataset_file(self._dataset_id, path)
        file = self._files.get(path)
        if file is None:
            raise ObjectNotFound(key)
        if path not in self._opened:
            self._opened.add(path)
            self._progress.advance()
        if file.size_bytes <= CHUNK_BYTES:
            return io.BytesIO(b"".join(_verified([self._store.get(key)], key, file.sha256, self._progress.check)))
        raw = _Stream(_verified(self._store.read(key, CHUNK_BYTES), key, file.sha256, self._progress.check))
        return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))

    def image(self, path: str) -> ImageSize | None:
        """Size of a usable image; None for whatever is none."""
        self._progress.check()
        picture = self._pictures.get(path)
        return None if picture is None else picture.size


class _Stream(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _verified(chunks: Iterable[bytes], key: str, sha256: str, check: Callable[[], None]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for chunk in chunks:
        check()
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise ObjectMismatch(key, f"sha256 {sha256}", f"sha256 {digest.hexdigest()}")
