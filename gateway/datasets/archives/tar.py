"""Reading a tar archive as a stream: headers by the standard library, the order of things by us.

``tarfile`` itself takes a damaged header, or the end of the bytes, for the end of the archive, and reads headers of any
size into memory; here both are errors.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.datasets.archives.rules import ArchiveError, Gauge, shown

BLOCK_BYTES = 512
PIECE_BYTES = 256 << 10
# Long names and the attributes of an entry; nobody needs more.
MAX_HEADER_BYTES = 1 << 20

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_REFUSED = {
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.LNKTYPE: "is a hard link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a pipe",
    tarfile.GNUTYPE_SPARSE: "is a sparse file",
}
_PAX_SPARSE = "GNU.sparse."


@dataclass(frozen=True)
class TarEntry:
    """An entry: a folder's name ends in ``/``. ``content`` must be read to its end before the next entry."""

    name: str
    size_bytes: int
    content: Iterator[bytes]


class TarReader:
    """Reads the entries of an archive whose bytes ``read`` gives, at most so many at a time, none at their end."""

    def __init__(self, read: Callable[[int], bytes], gauge: Gauge) -> None:
        self._read = read
        self._gauge = gauge

    def entries(self) -> Iterator[TarEntry]:
        """Yield every entry. Raises ArchiveError for links, devices and an archive that is damaged or cut off."""
        everywhere: dict[str, str] = {}
        here: dict[str, str] = {}
        while True:
            block = self._take(BLOCK_BYTES)
            if not any(block):
                break
            info = _header(block)
            if info.size < 0:
                raise ArchiveError(f"The entry {shown(info.name)} has a negative size.", entry=shown(info.name))
            if info.type == tarfile.XGLTYPE:
                everywhere.update(_attributes(self._header_content(info)))
            elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                here.update(_attributes(self._header_content(info)))
            elif info.type == tarfile.GNUTYPE_LONGNAME:
                here["path"] = _text(self._header_content(info).split(b"\0", 1)[0])
            elif info.type == tarfile.GNUTYPE_LONGLINK:
                self._header_content(info)
            else:
                yield self._entry(info, {**everywhere, **here})
                here = {}
        # What follows the end is of no interest, but a compressed archive is verified by its last bytes.
        while self._read(PIECE_BYTES):
            pass

    def _entry(self, info: tarfile.TarInfo, attributes: dict[str, str]) -> TarEntry:
        name = attributes.get("path", info.name)
        self._gauge.entry(shown(name))
        why = _REFUSED.get(info.type) or ("is a sparse file" if any(map(_is_sparse, attributes)) else "")
        if not why and info.type not in (*_FILES, tarfile.DIRTYPE):
            why = "is neither a file nor a folder"
        if why:
            raise ArchiveError(f"The entry {shown(name)} {why}; only files and folders are taken.", entry=shown(name))
        size = info.size
        if "size" in attributes:
            if not attributes["size"].isdecimal():
                raise ArchiveError(f"The size of the entry {shown(name)} is no number.", entry=shown(name))
            size = int(attributes["size"])
        is_folder = info.type == tarfile.DIRTYPE
        return TarEntry(f"{name.rstrip('/')}/" if is_folder else name, size, self._content(size))

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._read(min(left, PIECE_BYTES))
            if not piece:
                raise _cut_off()
            left -= len(piece)
            yield piece
        self._take(-size % BLOCK_BYTES)

    def _header_content(self, info: tarfile.TarInfo) -> bytes:
        if info.size > MAX_HEADER_BYTES:
            limit = f"header {MAX_HEADER_BYTES} bytes"
            raise ArchiveError("The attributes of an entry are larger than is allowed.", limit=limit)
        content = self._take(info.size)
        self._take(-info.size % BLOCK_BYTES)
        return content

    def _take(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self._read(size - len(found))
            if not piece:
                raise _cut_off()
            found += piece
        return bytes(found)


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveError("It is no tar archive, or damaged: a header cannot be read.") from error


def _attributes(content: bytes) -> dict[str, str]:
    """The records of a pax header: `LENGTH KEY=VALUE` and a line break each."""
    found: dict[str, str] = {}
    while content:
        digits, space, _ = content[:20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        key, equals, value = content[len(digits) + 1 : length - 1].partition(b"=")
        if not equals or content[length - 1 : length] != b"\n":
            raise ArchiveError("It is damaged: the attributes of an entry cannot be read.")
        found[_text(key)] = _text(value)
        content = content[length:]
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _is_sparse(attribute: str) -> bool:
    return attribute.startswith(_PAX_SPARSE)


def _cut_off() -> ArchiveError:
    return ArchiveError("It ends in the middle: the archive is not whole.")
