"""Encoded answers of GetJob, kept until the job changes: scripts that poll a job then cost no query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

KEPT_ANSWERS = 4096


class JobAnswers:
    """The last answer for each of the jobs asked for most recently. For one event loop.

    Right only where every change of a job in the database is followed by ``forget`` here, before whoever made the
    change is answered: so for the one gateway that a database has, by way of ``JobLog``.
    """

    def __init__(self, limit: int = KEPT_ANSWERS) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        # Reads under way, by job: what one of them read from before a change must not be kept after it.
        self._reading: dict[str, set[object]] = {}

    async def get(self, job_id: str, user_id: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer for a user, from ``read`` (which finds only jobs of that user) where none is kept."""
        kept = self._answers.get(job_id)
        if kept is not None and kept[0] == user_id:
            self._answers.move_to_end(job_id)
            return kept[1]
        this_read = object()
        self._reading.setdefault(job_id, set()).add(this_read)
        try:
            answer = await read()
            if this_read in self._reading.get(job_id, ()):
                self._keep(job_id, user_id, answer)
            return answer
        finally:
            self._finished(job_id, this_read)

    def forget(self, job_id: str) -> None:
        """The job changed, or may have."""
        self._answers.pop(job_id, None)
        self._reading.pop(job_id, None)

    def _keep(self, job_id: str, user_id: str, answer: bytes) -> None:
        self._answers[job_id] = user_id, answer
        if len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def _finished(self, job_id: str, read: object) -> None:
        reads = self._reading.get(job_id)
        if reads is not None:
            reads.discard(read)
            if not reads:
                del self._reading[job_id]
