"""Tells watchers that a dataset changed; what it changed to, they read themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """Wakes the watchers of a dataset. A slow watcher misses steps, never the last one."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def notify(self, dataset_id: str) -> None:
        """Wake all who watch this dataset."""
        for event in self._watchers.get(dataset_id, ()):
            event.set()

    @contextmanager
    def watch(self, dataset_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set at every change; its user clears it before reading."""
        event = asyncio.Event()
        self._watchers.setdefault(dataset_id, set()).add(event)
        try:
            yield event
        finally:
            watchers = self._watchers[dataset_id]
            watchers.discard(event)
            if not watchers:
                del self._watchers[dataset_id]
