"""Which checkpoints someone reads by way of this gateway, so that nobody removes them from the store meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class CheckpointReaders:
    """For one event loop. Other gateways learn of it by ``GarbageCollector``, which postpones the end of what is
    read."""

    def __init__(self) -> None:
        self._reading: Counter[str] = Counter()

    @contextmanager
    def reading(self, storage_path: str) -> Iterator[None]:
        """While the block lasts, the objects below this prefix are needed."""
        self._reading[storage_path] += 1
        try:
            yield
        finally:
            self._reading[storage_path] -= 1
            if not self._reading[storage_path]:
                del self._reading[storage_path]

    def needed(self) -> set[str]:
        """The prefixes that hold what is read: those of checkpoints, and those of their jobs."""
        checkpoints = {path.rstrip("/") + "/" for path in self._reading}
        return checkpoints | {path.rstrip("/").rpartition("/")[0] + "/" for path in self._reading}
