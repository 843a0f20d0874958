"""Reading the tar archive of ``DownloadDataset`` while it arrives."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

_READ_BYTES = 1 << 18


@dataclass(frozen=True)
class Member:
    """A file of the archive. ``end`` is the offset behind it, where the next one begins."""

    path: str
    size_bytes: int
    end: int
    _content: IO[bytes]

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, once. Raises as the stream does, and ``tarfile.ReadError`` when it ends too soon."""
        while chunk := self._content.read(_READ_BYTES):
            yield chunk


class ArchiveStream:
    """Files from chunks of bytes. What is read is written to ``copy`` as it is, where one is given."""

    def __init__(self, chunks: Iterator[bytes], copy: BinaryIO | None = None) -> None:
        self._chunks = chunks
        self._copy = copy
        self._waiting = memoryview(b"")

    def read(self, size: int) -> bytes:
        """The next bytes, fewer than ``size`` at the end only: how ``tarfile`` reads."""
        found = bytearray()
        while len(found) < size:
            if not self._waiting:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._waiting = memoryview(chunk)
            taken, self._waiting = self._waiting[: size - len(found)], self._waiting[size - len(found) :]
            found += taken
        if self._copy is not None:
            self._copy.write(found)
        return bytes(found)

    def members(self) -> Iterator[Member]:
        """Yield the files in their order; the bytes of one must be taken before the next. Reads to the end.

        Raises ``tarfile.TarError`` for what is no archive, or holds anything but files.
        """
        with tarfile.open(fileobj=cast(IO[bytes], self), mode="r|", bufsize=_READ_BYTES) as archive:
            while (entry := archive.next()) is not None:
                # It would keep every entry for a look-up that nobody makes.
                archive.members.clear()  # type: ignore[attr-defined]
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None:
                    raise tarfile.ReadError(f"{entry.name!r} is no file")
                blocks = -(-entry.size // tarfile.BLOCKSIZE)
                yield Member(entry.name, entry.size, entry.offset_data + blocks * tarfile.BLOCKSIZE, content)
        while self.read(_READ_BYTES):
            pass
