"""A cache of folders on disk that processes share without a server between them.

    entries/<digest>/content/   what was built, and entries/<digest>/size its bytes, in decimal
    partial/<digest>/           an entry being built or removed
    locks/<digest>              held shared by users of the entry, exclusively by its builder or remover
    eviction.lock               held by the one who makes room

An entry comes by a rename and goes by a rename, so it is whole or absent; whatever lies in ``partial`` while its
lock is free was left by a process that died.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.objects.digest import is_sha256
from storage.objects.disk import sync_path, sync_tree
from trainer.cache.locks import FileLock

Build = Callable[[Path], None]


class FolderCache:
    """Folders by digest. Over ``limit_bytes`` the least recently used go, but never one in use.

    So the disk must have room for the limit, for what is in use beyond it, and for what is being built. ``waiting`` is
    called again and again while someone else builds what is wanted.
    """

    def __init__(self, root: Path, limit_bytes: int, waiting: Callable[[], None] | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._waiting = waiting
        self._entries = root / "entries"
        self._partial = root / "partial"
        self._locks = root / "locks"
        self._eviction_lock = root / "eviction.lock"
        for folder in (self._entries, self._partial, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def open(self, digest: str, build: Build) -> Iterator[Path]:
        """Give the folder of an entry, which stays on disk until the context is left. It is read-only to users.

        When there is no such entry, ``build`` is called with an empty folder to fill; anyone else who opens the
        same entry waits. What ``build`` raises comes through and leaves nothing behind. Raises ValueError when
        ``digest`` is no SHA-256.
        """
        if not is_sha256(digest):
            raise ValueError(f"{digest!r} is not a SHA-256 in lowercase hexadecimal")
        entry = self._entries / digest
        with self._acquire(entry, build):
            os.utime(entry)
            self.evict()
            try:
                yield entry / "content"
            finally:
                os.utime(entry)
        # What was in use may have kept the cache over its limit.
        self.evict()

    def evict(self) -> None:
        """Remove what dead processes left half done, then unused entries, oldest use first, down to the limit."""
        with FileLock.acquire(self._eviction_lock, exclusive=True):
            for leftover in list(self._partial.iterdir()):
                self._remove(leftover)
            entries = sorted(self._entries.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
            sizes = {entry: int((entry / "size").read_text()) for entry in entries}
            total = sum(sizes.values())
            for entry in entries:
                if total <= self._limit_bytes:
                    return
                if self._remove(entry):
                    total -= sizes[entry]

    def _acquire(self, entry: Path, build: Build) -> FileLock:
        """Return a shared lock on an entry that is there."""
        path = self._locks / entry.name
        while True:
            lock = FileLock.acquire(path, exclusive=False, waiting=self._waiting)
            if entry.is_dir():
                return lock
            lock.release()
            # A shared lock cannot become exclusive in one step: whoever came first in between has built it.
            with FileLock.acquire(path, exclusive=True, waiting=self._waiting):
                if not entry.is_dir():
                    self._build(entry, build)

    def _build(self, entry: Path, build: Build) -> None:
        partial = self._partial / entry.name
        if partial.exists():
            shutil.rmtree(partial)
        content = partial / "content"
        content.mkdir(parents=True)
        try:
            build(content)
            (partial / "size").write_text(str(_size_bytes(content)))
            sync_tree(partial)
            os.rename(partial, entry)
        except BaseException:
            # What cannot be removed now is removed by the next eviction.
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_path(self._entries)

    def _remove(self, folder: Path) -> bool:
        """Remove an entry, or what is left of one, unless someone uses or builds it."""
        lock = FileLock.try_exclusive(self._locks / folder.name)
        if lock is None:
            return False
        with lock:
            partial = self._partial / folder.name
            if folder != partial:
                os.rename(folder, partial)
            if partial.exists():
                shutil.rmtree(partial)
            lock.remove_file()
        return True


def _size_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
