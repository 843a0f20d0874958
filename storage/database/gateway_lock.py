"""The lock that lets one gateway at a time work on a SQLite file: it dies with the process, however that ends."""

from __future__ import annotations

import fcntl
import os

from sqlalchemy import URL

from storage.database.connections import sqlite_file
from storage.database.errors import DatabaseLocked, DatabaseUnavailable


class GatewayLock:
    """A lock on ``<database file>.lock``, held from ``acquire`` to ``release``."""

    def __init__(self, url: URL) -> None:
        self._database = sqlite_file(url)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises DatabaseLocked when another process holds it, DatabaseUnavailable."""
        if self._descriptor is not None:
            return
        path = self._database.with_name(self._database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(f"the lock file {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DatabaseLocked(
                f"{self._database} is in use by another process (pid {holder}); stop that one, or give this one a "
                "database of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; it may never have been taken."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
