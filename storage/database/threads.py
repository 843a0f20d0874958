"""Threads for work that takes turns on one interpreter anyway."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import Lock
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

HELD_UP_SECONDS = 0.01


class RelayedThreads(Executor):
    """Works in one thread at a time; when a piece of work takes long, another thread takes over behind it.

    Queries of SQLite are short, and nearly all of their time is Python's: threads side by side would not make them
    faster but fight for the interpreter, also with the event loop. One that is held up, by a long query or a lock,
    finishes what it has and then leaves; up to ``threads`` may be at work so. For use from one event loop.
    """

    def __init__(self, threads: int, thread_name_prefix: str, held_up_seconds: float = HELD_UP_SECONDS) -> None:
        self._limit = threads
        self._held_up_seconds = held_up_seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=thread_name_prefix)
        self._lock = Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._at_work = 0
        self._relay = 0  # number of the thread that may take what waits
        self._taken = 0
        self._looking = False
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a piece of work. Raises RuntimeError after ``shutdown``."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting.append(work)
            if not self._at_work:
                self._hand_over()
            elif not self._looking:
                self._look_later()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; what waits is still done, or dropped with ``cancel_futures``."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                self._waiting.clear()
        self._pool.shutdown(wait)

    def _hand_over(self) -> None:
        self._at_work += 1
        self._relay += 1
        self._pool.submit(self._work, self._relay)

    def _work(self, relay: int) -> None:
        while True:
            with self._lock:
                if not self._waiting or relay != self._relay:
                    self._at_work -= 1
                    return
                work = self._waiting.popleft()
                self._taken += 1
            work()

    def _look_later(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(self._held_up_seconds, self._look, self._taken)

    def _look(self, taken: int) -> None:
        """Let another thread take over when nothing was taken since; look again as long as something waits."""
        with self._lock:
            self._looking = False
            if not self._waiting or self._closed:
                return
            if self._taken == taken and self._at_work < self._limit:
                self._hand_over()
            self._look_later()
