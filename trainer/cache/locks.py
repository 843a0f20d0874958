"""Locks between processes (and threads) on files that may be removed while others wait for them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

WAITING_SECONDS = 0.5


class FileLock:
    """A held ``flock``. The kernel drops it when its process dies, however it dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, *, exclusive: bool, waiting: Callable[[], None] | None = None) -> Self:
        """Take the lock at ``path``, waiting as long as others stand against it; ``waiting`` is called meanwhile, every
        ``WAITING_SECONDS``."""
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        while True:
            try:
                lock = cls._attempt(path, operation if waiting is None else operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                time.sleep(WAITING_SECONDS)
                continue
            if lock is not None:
                return lock

    @classmethod
    def try_exclusive(cls, path: Path) -> Self | None:
        """Take the lock for oneself, or return None when anyone else holds it."""
        try:
            return cls._attempt(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None

    @classmethod
    def _attempt(cls, path: Path, operation: int) -> Self | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, operation)
            # Whoever held it may have removed the file: a lock on a file without a name excludes nobody.
            if _names(path, descriptor):
                return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def remove_file(self) -> None:
        """Remove the lock's file; only its exclusive holder may. The lock itself stays until released."""
        self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go."""
        # Closing alone would leave the lock with a forked child that inherited the descriptor.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
