"""Tells watchers that a dataset changed; what it changed to, they read themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from storage.database.notices import NoNotices, Notices

DATASET_NOTICE = "dataset"  # what gateways over one database tell each other: the dataset of that id changed


class Changes:
    """Wakes the watchers of a dataset, at other gateways too. A slow watcher misses steps, never the last one."""

    def __init__(self, notices: Notices | None = None) -> None:
        """``notices``: by which other gateways are told, and heard."""
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._notices = notices or NoNotices()
        self._notices.subscribe(DATASET_NOTICE, self._wake)

    def notify(self, dataset_id: str) -> None:
        """Wake all who watch this dataset."""
        self._wake(dataset_id)
        self._notices.post(DATASET_NOTICE, dataset_id)

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

    def _wake(self, dataset_id: str) -> None:
        for event in self._watchers.get(dataset_id, ()):
            event.set()
