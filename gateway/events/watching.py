"""Watching a job: a cursor over its log that replays what is kept and then follows.

A watcher holds no queue and no connection while it waits: inside the ring it reads from memory, behind it it reads
pages from the database. So a slow client costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import closing

from gateway.events.live import LiveEvent, LiveJob, LiveLog
from gateway.events.log import job_not_found, sequence_expired
from gateway.training.states import ENDED
from rpc.errors import DomainError, invalid_request
from storage.database.compaction import CompactionRepository
from storage.database.engine import Database
from storage.database.events import EventRepository, StoredEvent
from storage.database.jobs import JobRepository
from visionmesh.errors import Violation

PAGE_EVENTS = 500
# What one watcher that is behind holds in memory, beyond one event.
PAGE_BYTES = 128 << 10


class Watcher:
    """Opens watches of jobs."""

    def __init__(self, database: Database, live: LiveLog, heartbeat_seconds: float) -> None:
        self._database = database
        self._live = live
        self._heartbeat_seconds = heartbeat_seconds

    async def watch(
        self,
        job_id: str,
        user_id: str,
        after_sequence: int | None,
        kinds: Collection[str],
        wanted: Callable[[LiveEvent], bool] | None = None,
    ) -> AsyncGenerator[Sequence[LiveEvent] | int, None]:
        """Yield the job's events of ``kinds`` (all when empty) after ``after_sequence``, of these only the ``wanted``,
        some at a time; when there was nothing to yield for a while, its last sequence. Ends when the job has ended and
        everything was told.

        Raises JOB_NOT_FOUND, also when it is deleted meanwhile, INVALID_REQUEST, SEQUENCE_EXPIRED, SHUTTING_DOWN.
        """
        if after_sequence is not None and after_sequence < 0:
            raise invalid_request([Violation("after_sequence", f"must not be negative, not {after_sequence}")])
        cursor = after_sequence or 0
        with self._live.attach(job_id) as live, closing(_Waiting(live, self._heartbeat_seconds)) as waiting:
            accepted = await self._open(live, job_id, user_id, after_sequence, kinds)
            while True:
                if live.deleted:
                    raise job_not_found(job_id)
                if cursor < live.last_sequence:
                    known = live.last_sequence
                    events = live.after(cursor)
                    if events is None:
                        events, cursor = await self._page(job_id, cursor, known, kinds, accepted)
                    else:
                        cursor = known
                    if kinds:
                        events = [event for event in events if event.kind in kinds]
                    if wanted is not None:
                        events = [event for event in events if wanted(event)]
                    if events:
                        yield events
                        waiting.told()
                    elif waiting.due():
                        # What comes is not wanted, and yet the caller hears that the watch goes on.
                        yield cursor
                        waiting.told()
                    continue
                if live.state in ENDED:
                    return
                if live.closed:
                    raise DomainError(
                        "SHUTTING_DOWN",
                        "The gateway is shutting down. Watch again with `after_sequence` to go on without a gap.",
                        metadata={"last_sequence": str(cursor)},
                        retry_seconds=1.0,
                    )
                # A heartbeat never names what was not told yet.
                if not await waiting.for_change() and cursor >= live.last_sequence:
                    yield live.last_sequence
                    waiting.told()

    async def _open(
        self, live: LiveJob, job_id: str, user_id: str, after_sequence: int | None, kinds: Collection[str]
    ) -> int:
        """Check that the caller may watch from there, and bring the ring's idea of the job up to date. Returns up to
        where the watch may miss events that were removed: before its beginning."""
        job, removed = await self._database.read(
            lambda session: (
                JobRepository(session).owned(job_id, user_id),
                CompactionRepository(session).removed_through(job_id, kinds),
            )
        )
        if job is None:
            raise job_not_found(job_id)
        if after_sequence is not None and after_sequence < removed:
            raise sequence_expired(job_id, removed)
        live.advance(job.last_sequence, job.state)
        return removed

    async def _page(
        self, job_id: str, cursor: int, known: int, kinds: Collection[str], accepted: int
    ) -> tuple[Sequence[LiveEvent], int]:
        """A page from the database and the cursor after it. All up to ``known`` was durable before the query, so a
        page that is not full reaches at least there. Raises SEQUENCE_EXPIRED when some of it is gone by now, and
        JOB_NOT_FOUND when all is."""
        stored, removed, there = await self._database.read(
            lambda session: (
                EventRepository(session).page(job_id, cursor, PAGE_EVENTS, kinds),
                CompactionRepository(session).removed_through(job_id, kinds),
                # Asked after: the events of a job that is deleted go bit by bit, and only when it is gone.
                JobRepository(session).states([job_id]).get(job_id, "DELETED") != "DELETED",
            )
        )
        if not there:
            raise job_not_found(job_id)
        if removed > max(cursor, accepted):
            raise sequence_expired(job_id, removed)
        held = _held(stored)
        end = held[-1].sequence if held else cursor
        if len(held) == len(stored) < PAGE_EVENTS:
            end = max(end, known)
        return [LiveEvent(event) for event in held], end


class _Waiting:
    """Waits for changes of a job, and says when nothing was told for so long. One timer serves many waits: to set one
    for each would cost more than the waiting does."""

    def __init__(self, live: LiveJob, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._live = live
        self._seconds = seconds
        self._due = self._loop.time() + seconds
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None

    def told(self) -> None:
        """Something was told just now."""
        self._due = self._loop.time() + self._seconds

    def due(self) -> bool:
        """Whether it is time for a sign of life."""
        return self._loop.time() >= self._due

    async def for_change(self) -> bool:
        """Wait for the next change; False when it is time for a sign of life."""
        if self.due():
            return False
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._ring)
        self._waiter = self._loop.create_future()
        with self._live.waiting(self._waiter):
            await self._waiter
        return self._loop.time() < self._due

    def close(self) -> None:
        """Set no timer any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        if self._loop.time() < self._due:  # something was told since the timer was set
            self._timer = self._loop.call_at(self._due, self._ring)
            return
        self._timer = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _held(stored: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """The first of them, as many as one watcher may hold: one at least, if there is one."""
    size = 0
    for number, event in enumerate(stored):
        size += len(event.payload)
        if size > PAGE_BYTES and number:
            return stored[:number]
    return stored
