"""A folder on this machine that files of a dataset are put into, each whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from visionmesh.calls.folder import FolderError

PART_PREFIX = ".visionmesh-part-"
# A download that lives writes to its part all the time; what is older was left by one that was killed.
_LEFTOVER_SECONDS = 3600.0


class WrongContent(Exception):
    """The bytes are not those of the file."""


class TargetFolder:
    """Puts files below ``root``, which is made when it is missing, and never beside it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()
        self._remove_leftovers()

    def holds(self, path: str, size_bytes: int, sha256: str) -> bool:
        """Whether the file is there with these bytes. Raises ``FolderError`` for a path that leads out."""
        target = self._place(path)
        try:
            if not target.is_file() or target.stat().st_size != size_bytes:
                return False
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:  # what cannot be read is not there; writing it says why
            return False

    def write(self, path: str, chunks: Iterable[bytes], size_bytes: int, sha256: str) -> None:
        """Put a file there, replacing one that is. Raises ``WrongContent``, and then nothing changed; ``FolderError``
        for a path that leads out, ``OSError``."""
        target = self._place(path)
        part = self._root / f"{PART_PREFIX}{secrets.token_hex(8)}"
        digest = hashlib.sha256()
        size = 0
        try:
            with part.open("xb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
            if (size, digest.hexdigest()) != (size_bytes, sha256):
                raise WrongContent(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        """Where a file of the dataset lies, whatever a server says its path is. Raises ``FolderError``."""
        parts = path.split("/")
        if {"", ".", ".."} & {*parts} or "\\" in path or "\0" in path or PureWindowsPath(path).drive:
            raise FolderError(f"the server names a file {path!r}, which may lie outside {self._root}")
        target = self._root.joinpath(*parts)
        # A link that was there before may lead anywhere.
        if not target.parent.resolve().is_relative_to(self._root):
            raise FolderError(f"{target.parent} leads out of {self._root}")
        return target

    def _remove_leftovers(self) -> None:
        oldest = time.time() - _LEFTOVER_SECONDS
        for part in self._root.glob(f"{PART_PREFIX}*"):
            with suppress(OSError):
                if part.stat().st_mtime < oldest:
                    part.unlink()
