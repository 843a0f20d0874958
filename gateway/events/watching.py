"""Watching a job: a cursor over its log that replays what is kept and then follows.

A watcher holds no queue and no connection while it waits: inside the ring it reads from memory, behind it it reads
pages from the database. So a slow client costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

from gateway.events.live import LiveEvent, LiveJob, LiveLog
from gateway.events.log import job_not_found
from gateway.training.states import ENDED
from rpc.errors import DomainError, invalid_request
from storage.database.engine import Database
from storage.database.events import EventRepository
from storage.database.jobs import JobRepository
from visionmesh.errors import Violation

PAGE_EVENTS = 500


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
        wanted: Callable[[LiveEvent], bool] = lambda event: True,
    ) -> AsyncIterator[LiveEvent | int]:
        """Yield the job's events of ``kinds`` (all when empty) after ``after_sequence``, of these only the ``wanted``;
        when there was nothing to yield for a while, its last sequence. Ends when the job has ended and everything was
        told.

        Raises JOB_NOT_FOUND, also when it is deleted meanwhile, INVALID_REQUEST, SEQUENCE_EXPIRED, SHUTTING_DOWN.
        """
        if after_sequence is not None and after_sequence < 0:
            raise invalid_request([Violation("after_sequence", f"must not be negative, not {after_sequence}")])
        cursor = after_sequence or 0
        clock = asyncio.get_running_loop().time
        told = clock()
        with self._live.attach(job_id) as live:
            await self._open(live, job_id, user_id, after_sequence)
            while True:
                changed = live.changed
                if live.deleted:
                    raise job_not_found(job_id)
                if cursor < live.last_sequence:
                    known = live.last_sequence
                    events = live.after(cursor)
                    if events is None:
                        events, cursor = await self._page(job_id, cursor, known, kinds)
                    else:
                        cursor = known
                    for event in events:
                        if (not kinds or event.kind in kinds) and wanted(event):
                            yield event
                            told = clock()
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
                try:
                    # Not `wait_for`: until Python 3.12 it loses a cancellation that comes together with a change.
                    async with asyncio.timeout_at(told + self._heartbeat_seconds):
                        await changed.wait()
                except TimeoutError:
                    if cursor >= live.last_sequence:  # a heartbeat never names what was not told yet
                        yield live.last_sequence
                        told = clock()

    async def _open(self, live: LiveJob, job_id: str, user_id: str, after_sequence: int | None) -> None:
        """Check that the caller may watch from there, and bring the ring's idea of the job up to date."""
        job, oldest = await self._database.read(
            lambda session: (
                JobRepository(session).owned(job_id, user_id),
                EventRepository(session).oldest_sequence(job_id),
            )
        )
        if job is None:
            raise job_not_found(job_id)
        if after_sequence is not None and after_sequence + 1 < oldest:
            raise DomainError(
                "SEQUENCE_EXPIRED",
                f"Events up to {oldest - 1} are no longer kept; watch from {oldest - 1} or without `after_sequence`.",
                metadata={"job_id": job_id, "oldest_sequence": str(oldest)},
            )
        live.advance(job.last_sequence, job.state)

    async def _page(self, job_id: str, cursor: int, known: int, kinds: Collection[str]) -> tuple[list[LiveEvent], int]:
        """A page from the database and the cursor after it. All up to ``known`` was durable before the query, so a
        page that is not full reaches at least there. Raises JOB_NOT_FOUND."""
        stored, there = await self._database.read(
            lambda session: (
                EventRepository(session).page(job_id, cursor, PAGE_EVENTS, kinds),
                # Asked after: the events of a job that is deleted go bit by bit, and only when it is gone.
                JobRepository(session).states([job_id]).get(job_id, "DELETED") != "DELETED",
            )
        )
        if not there:
            raise job_not_found(job_id)
        end = stored[-1].sequence if stored else cursor
        if len(stored) < PAGE_EVENTS:
            end = max(end, known)
        return [LiveEvent(event) for event in stored], end
