"""Files of an upload: as announced, and as stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

UNKNOWN_SIZE = -1


@dataclass(frozen=True)
class FileAnnouncement:
    """A file that follows; an empty ``sha256`` is not checked.

    ``unpack``: it is an archive whose files are wanted. Of a file in an archive, ``archive`` is the archive's path;
    its size may be UNKNOWN_SIZE, and END_OF_FILE ends it.
    """

    path: str
    size_bytes: int
    sha256: str
    unpack: bool = False
    archive: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that lies whole in the store: a normalised path, bytes and SHA-256 as counted here."""

    path: str
    size_bytes: int
    sha256: str


class EndOfFile(Enum):
    """Ends a file of an archive."""

    END_OF_FILE = 0


END_OF_FILE = EndOfFile.END_OF_FILE

# What an upload stream is made of: a file's announcement, then its bytes in chunks.
Part = FileAnnouncement | bytes | EndOfFile
