"""A folder or an archive on this machine as the files of a dataset."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Endings of archives that a gateway unpacks.
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst")

# What desktops leave in folders and nobody means to upload; dot files are left out as well.
_CLUTTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_CHUNK_BYTES = 1 << 20


class FolderError(ValueError):
    """The folder cannot be uploaded as it is."""


@dataclass(frozen=True)
class LocalFile:
    """A file: its path within the dataset (with ``/``), where it lies, and its size in bytes.

    ``unpack``: it is an archive, and its files are what is wanted.
    """

    path: str
    source: Path
    size_bytes: int
    unpack: bool = False

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
    """The files of a folder in the order of their paths, and the paths that were left out; or one archive."""

    root: Path
    files: tuple[LocalFile, ...]
    skipped: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_archive(self) -> bool:
        """Whether it is one archive."""
        return any(file.unpack for file in self.files)

    @property
    def name(self) -> str:
        """What it is called: the folder's name, or the archive's without its ending."""
        name = self.root.resolve().name
        endings = [ending for ending in ARCHIVES if self.is_archive and name.lower().endswith(ending)]
        return name[: -max(map(len, endings))] if endings else name


def scan(path: str | os.PathLike[str]) -> Folder:
    """Find the files below ``path``, or take it as the archive that it is.

    Hidden files and folders are skipped and named; links are followed once. Paths are given in Unicode's composed form,
    as a gateway keeps them. Raises ``FolderError`` when ``path`` is neither folder nor archive or holds no file.
    """
    root = Path(path)
    if root.is_file():
        if not root.name.lower().endswith(ARCHIVES):
            raise FolderError(f"{root} is neither a folder nor an archive: {', '.join(ARCHIVES)}")
        return Folder(root, (LocalFile(root.name, root, root.stat().st_size, unpack=True),), ())
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
    twice = sorted(path for path, count in Counter(file.path for file in files).items() if count > 1)
    if twice:
        raise FolderError(f"two files of {root} have the same name but for how its letters are encoded: {twice[0]}")
    return Folder(root, tuple(sorted(files, key=lambda file: file.path)), tuple(sorted(skipped)))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER


def _relative(root: Path, path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())
