"""A blocking generator between two ends of the event loop: what goes in and what comes out are both awaited there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

# What may wait between the thread and the loop.
MAX_WAITING_ITEMS = 64
MAX_WAITING_BYTES = 1 << 20


class _Closed(Exception):
    """Nobody wants the rest."""


class OwnThread(Generic[T]):
    """Runs ``work`` in a thread of its own, which ends with it. Its input and output wait for each other, so neither
    piles up in memory."""

    def __init__(self, work: Callable[[Iterator[bytes]], Iterator[T]], source: AsyncIterator[bytes]) -> None:
        self._work = work
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._changed = Condition()
        self._arrived = asyncio.Event()
        self._waiting: deque[T] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._input: Future[bytes | None] | None = None
        self._thread = Thread(target=self._run, name="archive", daemon=True)

    async def results(self) -> AsyncGenerator[T, None]:
        """Yield what ``work`` yields, and raise what it raises after all that it yielded before."""
        self._thread.start()
        try:
            while True:
                await self._arrived.wait()
                items, ended = self._take()
                for item in items:
                    yield item
                if ended:
                    break
            if self._error is not None:
                raise self._error
        finally:
            self._close()

    def _take(self) -> tuple[list[T], bool]:
        with self._changed:
            self._arrived.clear()
            items = [*self._waiting]
            self._waiting.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()
            return items, self._ended

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
            if self._input is not None:
                self._input.cancel()

    def _run(self) -> None:
        try:
            for item in self._work(self._chunks()):
                self._put(item)
        except (_Closed, CancelledError):
            pass
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._wake()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                if self._closed:
                    raise _Closed
                self._input = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            chunk = self._input.result()
            if chunk is None:
                return
            yield chunk

    async def _next(self) -> bytes | None:
        return await anext(self._source, None)

    def _put(self, item: T) -> None:
        size = len(item) if isinstance(item, bytes) else 0
        with self._changed:
            while not self._closed and self._is_full():
                self._changed.wait()
            if self._closed:
                raise _Closed
            self._waiting.append(item)
            self._waiting_bytes += size
            if len(self._waiting) == 1:
                self._wake()

    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING_ITEMS or self._waiting_bytes >= MAX_WAITING_BYTES

    def _wake(self) -> None:
        # A loop that is closed has nobody who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)
