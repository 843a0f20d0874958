"""Files of an upload: as announced, and as stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileAnnouncement:
    """A file that follows, as the client announced it; an empty ``sha256`` is not checked."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that lies whole in the store: a normalised path, bytes and SHA-256 as counted here."""

    path: str
    size_bytes: int
    sha256: str


# What an upload stream is made of: a file's announcement, then its bytes in chunks.
Part = FileAnnouncement | bytes
