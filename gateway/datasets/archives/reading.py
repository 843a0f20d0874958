"""From the bytes of an archive to the files in it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

import zstandard

from gateway.datasets.archives.rules import ArchiveError, ArchiveLimits, Gauge, place, shown
from gateway.datasets.archives.tar import PIECE_BYTES, TarEntry, TarReader
from gateway.datasets.archives.zip import ZipEntry, zip_entries
from gateway.datasets.files import END_OF_FILE, UNKNOWN_SIZE, FileAnnouncement, Part

# Endings of the names of archives, as a client may give them.
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst")
# Memory that a frame of Zstandard may ask for: beyond it lie only `--long` and `--ultra`.
MAX_WINDOW_BYTES = 32 << 20


def is_archive(path: str) -> bool:
    """Whether the name of a file says that it is an archive that can be unpacked."""
    return path.lower().endswith(ENDINGS)


def files_of(path: str, chunks: Iterator[bytes], limits: ArchiveLimits) -> Iterator[Part]:
    """The files of the archive ``path``, whose bytes ``chunks`` gives: for each its announcement, bytes and end.

    They lie below the folder of ``path``. Raises ArchiveError. Blocks while ``chunks`` does.
    """
    gauge = Gauge(limits)
    folder = path.rpartition("/")[0]
    files = 0
    for entry in _entries(path.lower(), _counted(chunks, gauge), gauge):
        where = place(entry.name, folder, limits)
        if where is not None:
            files += 1
            yield FileAnnouncement(
                where, UNKNOWN_SIZE if entry.size_bytes is None else entry.size_bytes, "", archive=path
            )
        for piece in entry.content:
            if isinstance(entry, ZipEntry):
                gauge.unpacked(len(piece), shown(entry.name))
            if where is not None and piece:
                yield piece
        if where is not None:
            yield END_OF_FILE
    if not files:
        raise ArchiveError("It holds no file.")


def _entries(name: str, chunks: Iterator[bytes], gauge: Gauge) -> Iterator[ZipEntry] | Iterator[TarEntry]:
    if name.endswith(".zip"):
        return zip_entries(chunks, gauge)
    packed = _Bytes(chunks)
    if name.endswith((".gz", ".tgz")):
        read = _gunzipping(packed)
    elif name.endswith(".zst"):
        read = _unzstding(packed)
    else:
        read = packed.read

    def counted(size: int) -> bytes:
        data = read(size)
        gauge.unpacked(len(data))
        return data

    return TarReader(counted, gauge).entries()


def _counted(chunks: Iterator[bytes], gauge: Gauge) -> Iterator[bytes]:
    for chunk in chunks:
        gauge.packed(len(chunk))
        yield chunk


class _Bytes:
    """Chunks as what can be read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def read(self, size: int = PIECE_BYTES) -> bytes:
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk = memoryview(chunk)
        piece, self._chunk = bytes(self._chunk[:size]), self._chunk[size:]
        return piece


def _gunzipping(packed: _Bytes) -> Callable[[int], bytes]:
    file = gzip.GzipFile(fileobj=cast(IO[bytes], packed), mode="rb")

    def read(size: int) -> bytes:
        try:
            return file.read(size)
        except EOFError as error:
            raise ArchiveError("It ends in the middle: the archive is not whole.") from error
        except (OSError, zlib.error) as error:
            raise ArchiveError("It is not packed with gzip, or damaged.") from error

    return read


def _unzstding(packed: _Bytes) -> Callable[[int], bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    reader = decompressor.stream_reader(cast(IO[bytes], packed), read_size=PIECE_BYTES, read_across_frames=True)

    def read(size: int) -> bytes:
        try:
            return reader.read(size)
        except zstandard.ZstdError as error:
            why = "It is not packed with Zstandard, damaged, or asks for a larger window than is allowed."
            raise ArchiveError(why, limit=f"window {MAX_WINDOW_BYTES} bytes") from error

    return read
