"""A folder on this machine as the files of a dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What desktops leave in folders and nobody means to upload; dot files are left out as well.
_CLUTTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_CHUNK_BYTES = 1 << 20


class FolderError(ValueError):
    """The folder cannot be uploaded as it is."""


@dataclass(frozen=True)
class LocalFile:
    """A file: its path within the dataset (with ``/``), where it lies, and its size in bytes."""

    path: str
    source: Path
    size_bytes: int

    def sha256(self) -> str:
        """SHA-256 of its bytes, hexadecimal."""
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, 1 MiB at a time."""
        with self.source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True)
class Folder:
    """The files of a folder in the order of their paths, and the paths that were left out."""

    root: Path
    files: tuple[LocalFile, ...]
    skipped: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


def scan(path: str | os.PathLike[str]) -> Folder:
    """Find the files below ``path``. Hidden files and folders are skipped and named; links are followed once.

    Raises ``FolderError`` when ``path`` is no folder or holds no file.
    """
    root = Path(path)
    if not root.is_dir():
        raise FolderError(f"{root} is not a folder")
    files: list[LocalFile] = []
    skipped: list[str] = []
    visited = {os.path.realpath(root)}
    for place, folders, names in os.walk(root, followlinks=True):
        here = Path(place)
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(here / name)
            if _hidden(name) or real in visited:
                skipped.append(_relative(root, here / name) + "/")
            else:
                visited.add(real)
                kept.append(name)
        folders[:] = kept
        for name in names:
            source = here / name
            if _hidden(name) or not source.is_file():
                skipped.append(_relative(root, source))
            else:
                files.append(LocalFile(_relative(root, source), source, source.stat().st_size))
    if not files:
        raise FolderError(f"{root} holds no file to upload")
    return Folder(root, tuple(sorted(files, key=lambda file: file.path)), tuple(sorted(skipped)))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
