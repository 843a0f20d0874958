"""A folder for files that are worth nothing after this process: made at the start, gone at its end.

What a process that was killed left is removed by the next one that opens a folder at the same place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "visionmesh-gateway-"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_SQLITE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class WorkFolderUnusable(Exception):
    """No folder can be made where the settings say."""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise WorkFolderUnusable in place of what says that a disk is full or broken, from files or SQLite."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise WorkFolderUnusable(f"the work folder takes no more: {error}") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _SQLITE_DISK:
            raise
        raise WorkFolderUnusable(f"the work folder takes no more: {error}") from error


class WorkFolder:
    """A folder of this process below ``parent`` (the system's folder for temporary files when None). Blocks.

    A lock on the folder itself says that its process lives; the system gives it back however that ends. Raises
    WorkFolderUnusable.
    """

    def __init__(self, parent: Path | None = None) -> None:
        above = parent or Path(tempfile.gettempdir())
        try:
            above.mkdir(parents=True, exist_ok=True)
            for left in above.glob(f"{PREFIX}*"):
                _remove_dead(left)
            self.path, self._lock = _make(above)
        except OSError as error:
            raise WorkFolderUnusable(f"cannot use the work folder {above}: {error}") from error

    def new_folder(self) -> Path:
        """A new folder inside. Raises WorkFolderUnusable."""
        with disk_errors():
            self.path.mkdir(exist_ok=True)  # whoever tidies up /tmp may have taken it
            return Path(tempfile.mkdtemp(dir=self.path))

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _make(above: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
        # Between these two lines another process may take the folder for a dead one's and remove it.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_dead(path: Path) -> None:
    """Remove the folder of a process that is gone; those of the living, and of other users, stay."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
