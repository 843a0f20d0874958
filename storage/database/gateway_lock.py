"""The lock that lets one gateway at a time work on a database: it dies with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import ExitStack
from typing import Protocol

import structlog
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from storage.database.connections import CONNECT_TIMEOUT_SECONDS, is_sqlite, sqlite_file
from storage.database.errors import DatabaseLocked, DatabaseUnavailable

# Any number does, as long as nobody else uses it as an advisory lock of the same database.
_LOCK_KEY = 0x5649_534D_4553_48  # "VISMESH"
_KEEP_SECONDS = 5.0
_RETRY_SECONDS = 0.2

log = structlog.get_logger(__name__)


class GatewayLock(Protocol):
    """Held from ``acquire`` to ``release``."""

    def acquire(self) -> None:
        """Take the lock. Raises DatabaseLocked when another process holds it, DatabaseUnavailable."""
        ...

    def release(self) -> None:
        """Give it back; it may never have been taken."""
        ...


def gateway_lock(url: URL) -> GatewayLock:
    """The lock of a database."""
    return FileLock(url) if is_sqlite(url) else AdvisoryLock(url)


class FileLock:
    """A lock on ``<database file>.lock``."""

    def __init__(self, url: URL) -> None:
        self._database = sqlite_file(url)
        self._descriptor: int | None = None

    def acquire(self) -> None:
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
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class AdvisoryLock:
    """A session-level advisory lock of PostgreSQL, on a connection of its own.

    The server gives it back when the connection ends. A connection that breaks, say because the server was restarted,
    is made anew by a thread, and the lock is taken again.
    """

    def __init__(self, url: URL, *, wait_seconds: float = 15.0, keep_seconds: float = _KEEP_SECONDS) -> None:
        """``wait_seconds`` is the time a gateway that has just died has to be noticed by the server."""
        self._where = url.render_as_string(hide_password=True)
        self._wait_seconds = wait_seconds
        self._keep_seconds = keep_seconds
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                # The server, too, must notice soon that the machine of a gateway is gone.
                "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3",
            },
        )
        self._connection: Connection | None = None
        self._keeper: threading.Thread | None = None
        self._released = threading.Event()

    def acquire(self) -> None:
        if self._keeper is not None:
            return
        deadline = time.monotonic() + self._wait_seconds
        try:
            while not self._try_lock():
                if time.monotonic() > deadline:
                    raise DatabaseLocked(
                        f"{self._where} is in use by another gateway; stop that one, or give this one a database of "
                        "its own"
                    )
                time.sleep(_RETRY_SECONDS)
        except SQLAlchemyError as error:
            raise DatabaseUnavailable(f"cannot open {self._where}: {getattr(error, 'orig', error)}") from error
        self._released.clear()
        self._keeper = threading.Thread(target=self._keep, name="database-lock", daemon=True)
        self._keeper.start()

    def release(self) -> None:
        if self._keeper is not None:
            self._released.set()
            self._keeper.join()
            self._keeper = None
        self._disconnect()

    def _keep(self) -> None:
        while not self._released.wait(self._keep_seconds):
            try:
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                elif not self._try_lock():
                    log.error("another gateway took the database over", database=self._where)
            except SQLAlchemyError as error:
                log.warning("the lock of the database was lost", database=self._where, error=str(error))
                self._disconnect()

    def _try_lock(self) -> bool:
        with ExitStack() as opened:
            connection = opened.enter_context(self._engine.connect())
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
                return False
            opened.pop_all()
        self._connection = connection
        return True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
