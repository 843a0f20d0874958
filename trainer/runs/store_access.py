"""The object store, asked until it answers."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from storage.objects.errors import StoreUnavailable
from storage.objects.open import open_store
from storage.objects.signing import Sign
from storage.objects.store import ObjectStore
from trainer.runs.agent_events import AgentEvents
from trainer.runs.daemon import in_daemon_thread

T = TypeVar("T")

FIRST_DELAY_SECONDS = 0.25
LAST_DELAY_SECONDS = 15.0
EXCUSE_SECONDS = 2.0

logger = structlog.get_logger()


class StoreAccess:
    """Opens the store at first use and keeps it: a folder that went away is not made anew and empty."""

    def __init__(self, location: str, events: AgentEvents, sign: Sign) -> None:
        self._location = location
        self._sign = sign
        self._events = events
        self._lock = threading.Lock()
        self._store: ObjectStore | None = None
        self._waiting = 0
        self._excused_time = -math.inf

    def waits(self) -> bool:
        """Whether the run waits for others: a store that is away, or another run that fetches the same files."""
        return self._waiting > 0 or time.monotonic() < self._excused_time

    def excuse(self) -> None:
        """Note that another run is waited for; to be said again before ``EXCUSE_SECONDS`` are over."""
        self._excused_time = time.monotonic() + EXCUSE_SECONDS

    async def call(self, what: str, work: Callable[[ObjectStore], T]) -> T:
        """Run ``work`` in a thread, again and again while the store is away; ``what`` is the subject that waits.

        Raises what ``work`` raises, except StoreUnavailable.
        """
        delay, told = FIRST_DELAY_SECONDS, False
        try:
            while True:
                try:
                    return await in_daemon_thread(lambda: work(self._opened()))
                except StoreUnavailable as error:
                    logger.warning("object store away", waiting=what, error=str(error), retry_seconds=delay)
                    if not told:
                        self._events.warn(f"The object store cannot be used; {what} waits for it. ({error})")
                        told = True
                        self._waiting += 1
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY_SECONDS)
        finally:
            self._waiting -= told

    def _opened(self) -> ObjectStore:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._location, sign=self._sign)
            return self._store
