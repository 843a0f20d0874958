"""The files of a dataset as a tar archive, piece by piece, each verified before its last byte is given out.

Headers hold nothing but path, size and one time for all, so the same files give the same bytes. All of it blocks.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from gateway.datasets.errors import storage_corrupt
from rpc.errors import DomainError
from storage.database.dataset_selection import SelectedFile
from storage.objects import keys
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore

MAX_CHUNK_BYTES = 1 << 20
# Two empty blocks, as the format ends.
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)

_PIECE_BYTES = 1 << 18
# A file that is one piece is read ahead of its turn: over a network, small files wait more than they flow.
_READ_AHEAD_FILES = 16


@dataclass(frozen=True)
class ArchiveChunk:
    """Bytes of the archive, at most 1 MiB; ``last_path`` is the last file that ends in them, empty when none does."""

    data: bytes
    last_path: str


class ArchiveWriter:
    """Writes files of one dataset; ``mtime`` is seconds since 1970, ``threads`` read small files ahead."""

    def __init__(self, store: ObjectStore, threads: Executor, dataset_id: str, mtime: int) -> None:
        self._store = store
        self._threads = threads
        self._dataset_id = dataset_id
        self._mtime = mtime

    def chunks(self, files: Iterable[SelectedFile]) -> Iterator[ArchiveChunk]:
        """Yield the files' part of the archive, in their order.

        Raises STORAGE_CORRUPT for a file that is missing or damaged, after what comes before its end; StoreUnavailable.
        """
        waiting: list[bytes] = []
        size, last_path = 0, ""
        try:
            for file, contents in self._contents(files):
                for piece in self._member(file, contents):
                    if size + len(piece) > MAX_CHUNK_BYTES:
                        yield ArchiveChunk(b"".join(waiting), last_path)
                        waiting, size, last_path = [], 0, ""
                    waiting.append(piece)
                    size += len(piece)
                last_path = file.path
        except DomainError:
            if waiting:
                yield ArchiveChunk(b"".join(waiting), last_path)
            raise
        if waiting:
            yield ArchiveChunk(b"".join(waiting), last_path)

    def _contents(self, files: Iterable[SelectedFile]) -> Iterator[tuple[SelectedFile, Iterator[bytes]]]:
        """Each file with its bytes in pieces."""
        coming = iter(files)
        ahead: deque[tuple[SelectedFile, Future[bytes] | None]] = deque()
        try:
            while True:
                while len(ahead) < _READ_AHEAD_FILES and (file := next(coming, None)) is not None:
                    small = file.size_bytes <= _PIECE_BYTES
                    ahead.append((file, self._threads.submit(self._store.get, self._key(file)) if small else None))
                if not ahead:
                    return
                file, read = ahead.popleft()
                yield file, self._pieces(file, read)
        finally:
            for _, read in ahead:
                if read is not None:
                    read.cancel()

    def _pieces(self, file: SelectedFile, read: Future[bytes] | None) -> Iterator[bytes]:
        try:
            if read is not None:
                yield read.result()
            else:
                yield from self._store.read(self._key(file), _PIECE_BYTES)
        except ObjectNotFound as error:
            raise storage_corrupt(self._dataset_id, f"The file {file.path!r}", "is missing") from error

    def _member(self, file: SelectedFile, pieces: Iterator[bytes]) -> Iterator[bytes]:
        verified = self._verified(file, pieces)
        first = next(verified, b"")  # before the header: of a file that is missing nothing is sent
        yield self._header(file)
        if first:
            yield first
        yield from verified
        if padding := -file.size_bytes % tarfile.BLOCKSIZE:
            yield bytes(padding)

    def _verified(self, file: SelectedFile, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces, each held back until the next one is there, and the last until size and digest are right."""
        digest = hashlib.sha256()
        left = file.size_bytes
        held = b""
        for piece in pieces:
            digest.update(piece)
            left -= len(piece)
            if left < 0:
                break
            if held:
                yield held
            held = piece
        if left != 0 or digest.hexdigest() != file.sha256:
            raise storage_corrupt(self._dataset_id, f"The file {file.path!r}", "is not the one that was uploaded")
        if held:
            yield held

    def _header(self, file: SelectedFile) -> bytes:
        entry = tarfile.TarInfo(file.path)
        entry.size = file.size_bytes
        entry.mtime = self._mtime
        entry.mode = 0o644
        return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")

    def _key(self, file: SelectedFile) -> str:
        return keys.dataset_file(self._dataset_id, file.path)
