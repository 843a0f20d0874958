"""A folder of this machine as the source of an import."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from storage.objects.errors import SourceUnreadable
from storage.objects.source import SourceFile
from storage.objects.store import DEFAULT_CHUNK_BYTES, ObjectStore


class FolderSource:
    """See ``Source``. Symbolic links are followed as far as they stay in ``allowed`` and out of ``denied``."""

    def __init__(self, root: Path, allowed: str, denied: str) -> None:
        """``denied`` may be empty."""
        self._root = root
        self._allowed = os.path.realpath(allowed)
        self._denied = os.path.realpath(denied) if denied else ""

    def files(self) -> Iterator[SourceFile]:
        """Yield the files below the folder, those of a linked folder once; see ``Source.files``."""
        if not os.path.isdir(self._inside("")):
            raise SourceUnreadable("", "the folder is not there")
        seen = {self._inside("")}
        for place, folders, names in os.walk(self._root, onerror=_unreadable, followlinks=True):
            above = Path(place).relative_to(self._root)
            folders[:] = sorted(name for name in folders if self._is_new(above / name, seen))
            for name in sorted(names):
                path = (above / name).as_posix()
                try:
                    yield SourceFile(path, os.stat(self._inside(path)).st_size)
                except OSError as error:
                    raise SourceUnreadable(path, f"it cannot be read: {error.strerror}") from error

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; see ``Source.read``."""
        try:
            # Not to wait for ever on a pipe that someone put there.
            descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                real = self._inside(name)
                # What was opened is what lies inside, also when a link was changed meanwhile.
                if not os.path.samestat(os.fstat(descriptor), os.lstat(real)):
                    raise SourceUnreadable(name, "it was replaced while it was read")
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SourceUnreadable(name, "it is no regular file")
                while chunk := file.read(DEFAULT_CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise SourceUnreadable(name, "it is no longer there") from error
        except OSError as error:
            raise SourceUnreadable(name, f"it cannot be read: {error.strerror}") from error

    def copy_to(self, store: ObjectStore, name: str, key: str) -> bool:
        """No server knows the folder; see ``Source.copy_to``."""
        return False

    def _is_new(self, folder: Path, seen: set[str]) -> bool:
        real = self._inside(folder.as_posix())
        known = real in seen
        seen.add(real)
        return not known

    def _inside(self, name: str) -> str:
        """The real path of a file or folder. Raises SourceUnreadable when it lies outside what is allowed."""
        real = os.path.realpath(self._root / name)
        if not is_inside(real, self._allowed) or (self._denied and is_inside(real, self._denied)):
            raise SourceUnreadable(name, "it is a symbolic link out of what the setting import_sources allows")
        return real


def is_inside(path: str, folder: str) -> bool:
    """Whether a real path is a real folder or lies in it."""
    return os.path.commonpath((path, folder)) == folder


def _unreadable(error: OSError) -> None:
    raise SourceUnreadable(str(error.filename), f"it cannot be read: {error.strerror}") from error
