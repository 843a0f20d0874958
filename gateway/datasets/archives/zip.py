"""Reading a zip archive as a stream, from the headers before its files; the directory at its end tells of links."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from stream_inflate import StreamInflateError
from stream_unzip import (
    IntegrityError,
    NotStreamUnzippable,
    PasswordError,
    TruncatedDataError,
    UnsupportedFeatureError,
    UnzipError,
    stream_unzip,
)

from gateway.datasets.archives.rules import ArchiveError, Gauge, shown

PIECE_BYTES = 256 << 10
MAX_DIRECTORY_BYTES = 128 << 20

_END, _END64, _DIRECTORY_ENTRY = b"PK\x05\x06", b"PK\x06\x06", b"PK\x01\x02"
_ENTRY = Struct("<4sBBHHHHHIIIHHHHHII")
_UNIX = (3, 19)  # systems whose attributes hold the kind of a file: Unix, macOS
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True)
class ZipEntry:
    """An entry: a folder's name ends in ``/``. ``size_bytes`` is None where it stands only behind the content, which
    must be read to its end before the next entry."""

    name: str
    size_bytes: int | None
    content: Iterator[bytes]


def zip_entries(chunks: Iterator[bytes], gauge: Gauge) -> Iterator[ZipEntry]:
    """Yield every entry. Raises ArchiveError: for links only at the end, where a zip archive tells of them."""
    tail = _Tail()
    name = ""
    # With a password, an encrypted entry gives its name before it fails.
    entries = stream_unzip(tail.watching(chunks), password=secrets.token_bytes(16), chunk_size=PIECE_BYTES)
    while True:
        try:
            found = next(entries, None)
        except (UnzipError, StreamInflateError) as error:
            raise _translated(error, "") from error
        if found is None:
            break
        tail.shorten()
        name = _text(found[0])
        gauge.entry(shown(name))
        yield ZipEntry(name, found[1], _content(found[2], name, tail))
    _refuse_links(tail.content())


def _content(pieces: Iterator[bytes], name: str, tail: _Tail) -> Iterator[bytes]:
    try:
        for piece in pieces:
            tail.shorten()
            yield piece
    except (UnzipError, StreamInflateError) as error:
        raise _translated(error, name) from error


def _translated(error: Exception, name: str) -> ArchiveError:
    entry = shown(name)
    subject = f"The entry {entry}" if entry else "An entry"
    if isinstance(error, PasswordError):
        why = f"{subject} is encrypted; encrypted archives are not taken."
    elif isinstance(error, TruncatedDataError):
        why = "It ends in the middle: the archive is not whole."
    elif isinstance(error, NotStreamUnzippable):
        why = f"{subject} says its size only behind its bytes; pack the archive anew, compressed, or upload the files."
    elif isinstance(error, UnsupportedFeatureError):
        why = f"{subject} is packed in a way that cannot be read; pack the archive anew, with deflate."
    elif isinstance(error, IntegrityError):
        why = f"{subject} is damaged: its bytes are not those that were packed."
    else:
        why = f"It is no zip archive, or damaged: {subject[0].lower()}{subject[1:]} cannot be read."
    return ArchiveError(why, entry=entry)


class _Tail:
    """The newest chunks of the archive: when its files have ended, all that follows them."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def watching(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._chunks.append(chunk)
            self._size += len(chunk)
            if self._size > MAX_DIRECTORY_BYTES:
                limit = f"directory {MAX_DIRECTORY_BYTES} bytes"
                raise ArchiveError("The directory of the archive is larger than is allowed.", limit=limit)
            yield chunk

    def shorten(self) -> None:
        """A file was read from the last chunk: those before it are of the past."""
        if len(self._chunks) > 1:
            del self._chunks[:-1]
            self._size = len(self._chunks[0])

    def content(self) -> bytes:
        return b"".join(self._chunks)


def _refuse_links(tail: bytes) -> None:
    """Read the directory, whose entries alone say what kind of file each is."""
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + 22:
        raise ArchiveError("It ends in the middle: its directory is missing.")
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    end64 = tail.rfind(_END64, 0, end)
    if end64 >= 0 and (size == _ZIP64 or tail[end + 8 : end + 10] == b"\xff\xff"):
        end, size = end64, int.from_bytes(tail[end64 + 40 : end64 + 48], "little")
    place = end - size
    while 0 <= place < end:
        header = tail[place : place + _ENTRY.size]
        if len(header) < _ENTRY.size or header[:4] != _DIRECTORY_ENTRY:
            raise ArchiveError("It is damaged: its directory cannot be read.")
        fields = _ENTRY.unpack(header)
        system, (name_bytes, extra_bytes, comment_bytes), attributes = fields[2], fields[11:14], fields[16]
        name_at = place + _ENTRY.size
        kind = stat.S_IFMT(attributes >> 16) if system in _UNIX else 0
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            name = shown(_text(tail[name_at : name_at + name_bytes]))
            what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder"
            raise ArchiveError(f"The entry {name} is {what}; only files and folders are taken.", entry=name)
        place = name_at + name_bytes + extra_bytes + comment_bytes


def _text(name: bytes) -> str:
    """A name is UTF-8, or of the old code page of DOS."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")
