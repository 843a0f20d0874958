"""What was read of a job, kept until the job changes: who polls it or predicts with it then costs no query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_JOBS = 4096


class KeptReads(Generic[T]):
    """One thing read of each of the jobs asked for most recently. For one event loop.

    Right only where every change of a job in the database is followed by ``forget`` here, by way of ``JobLog``: before
    whoever made the change is answered when this gateway made it, and as soon as its notice is heard when another one
    did. While such notices cannot be heard, nothing is kept.
    """

    def __init__(self, limit: int = KEPT_JOBS) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[str, T]] = OrderedDict()
        # Reads under way, by job: what one of them read from before a change must not be kept after it.
        self._reading: dict[str, set[object]] = {}
        self._suspended = False

    async def get(self, job_id: str, user_id: str, read: Callable[[], Awaitable[T]]) -> T:
        """What there is for a user; from ``read``, which finds only jobs of that user, where nothing is kept."""
        kept = self._kept.get(job_id)
        if kept is not None and kept[0] == user_id:
            self._kept.move_to_end(job_id)
            return kept[1]
        this_read = object()
        self._reading.setdefault(job_id, set()).add(this_read)
        try:
            found = await read()
            if not self._suspended and this_read in self._reading.get(job_id, ()):
                self._keep(job_id, user_id, found)
            return found
        finally:
            self._finished(job_id, this_read)

    def forget(self, job_id: str) -> None:
        """The job changed, or may have. A read under way is not kept: so a read may also say of itself."""
        self._kept.pop(job_id, None)
        self._reading.pop(job_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._reading.clear()

    def suspend(self) -> None:
        """Forget everything and keep nothing until ``resume``."""
        self._suspended = True
        self.clear()

    def resume(self) -> None:
        """Keep what is read from now on."""
        self._suspended = False
        self.clear()

    def _keep(self, job_id: str, user_id: str, found: T) -> None:
        self._kept[job_id] = user_id, found
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def _finished(self, job_id: str, read: object) -> None:
        reads = self._reading.get(job_id)
        if reads is not None:
            reads.discard(read)
            if not reads:
                del self._reading[job_id]
