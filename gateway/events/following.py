"""Following the other gateways over the same database: what they commit reaches those who wait at this one.

A notice says which job changed. Events are then read once for all who watch the job here, and agents that are
connected here are told what is meant for them. A notice may be lost, so all that is watched is looked at, and all that
is kept is forgotten, after every time in which none could be heard, and now and then in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from sqlalchemy.orm import Session

from gateway.events.live import LiveJob
from gateway.events.log import JOB_NOTICE, JobLog
from storage.database.errors import DatabaseUnavailable
from storage.database.events import EventRepository, StoredEvent
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob

logger = structlog.get_logger()

# More events than this at once are left to each watcher's own pages.
EVENTS_AT_ONCE = 500
POLL_SECONDS = 5.0
DEAF_POLL_SECONDS = 1.0  # while nothing is heard

Relay = Callable[[str | None], Awaitable[None]]


class Follower:
    """Brings watchers, kept reads and agents of this gateway up with what other gateways commit."""

    def __init__(self, log: JobLog, relay: Relay, poll_seconds: float = POLL_SECONDS) -> None:
        """``relay`` tells the agents connected here what is meant for them: of one job, or of all."""
        self._log = log
        self._relay = relay
        self._poll_seconds = poll_seconds
        self._notices = log.database.notices
        self._look_now = asyncio.Event()
        # Jobs that are being looked at, and whether they changed again since.
        self._following: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin; does nothing where the database has one gateway only."""
        if self._log.database.is_shared:
            self._notices.on_change(self._hearing)
            self._notices.subscribe(JOB_NOTICE, self._heard)
            self._spawn(self._run())

    async def close(self) -> None:
        """Follow no more."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hearing(self, listening: bool) -> None:
        self._log.keep_reads(listening)
        self._look_now.set()

    def _heard(self, job_id: str) -> None:
        self._log.forget(job_id)
        if job_id in self._following:
            self._following[job_id] = True
            return
        self._following[job_id] = False
        self._spawn(self._follow(job_id))

    async def _follow(self, job_id: str) -> None:
        """Look at a job until it has not changed since."""
        try:
            while True:
                self._following[job_id] = False
                await self._catch_up(job_id)
                await self._relay(job_id)
                if not self._following[job_id]:
                    return
        except DatabaseUnavailable as error:
            logger.warning("a job cannot be followed now", job_id=job_id, error=str(error))
        except Exception:
            logger.exception("following a job failed", job_id=job_id)
        finally:
            del self._following[job_id]

    async def _run(self) -> None:
        while True:
            self._look_now.clear()
            try:
                await self._look_at_all()
            except DatabaseUnavailable as error:
                logger.warning("jobs cannot be followed now", error=str(error))
            except Exception:
                logger.exception("looking at the watched jobs failed")
            seconds = self._poll_seconds if self._notices.listening else min(self._poll_seconds, DEAF_POLL_SECONDS)
            try:
                async with asyncio.timeout(seconds):
                    await self._look_now.wait()
            except TimeoutError:
                continue  # time to look again

    async def _look_at_all(self) -> None:
        # A gateway that was killed between its commit and its notice told nobody.
        self._log.forget_all()
        watched = self._log.live.watched()
        if watched:
            found = await self._log.database.read(lambda session: JobRepository(session).last_sequences([*watched]))
            for job_id, last_sequence in found.items():
                if last_sequence > watched[job_id].last_sequence:
                    self._heard(job_id)
        await self._relay(None)

    async def _catch_up(self, job_id: str) -> None:
        live = self._log.live
        if live.drop_unwatched(job_id):
            return
        with live.attach(job_id) as job:
            known = job.last_sequence

            def read(session: Session) -> tuple[TrainingJob | None, list[StoredEvent]]:
                # The events first: the job is then at least as new, so that none of its events is taken for told.
                events = EventRepository(session).page(job_id, known, EVENTS_AT_ONCE)
                return JobRepository(session).get(job_id), events

            row, events = await self._log.database.read(read)
            if row is not None:
                _advance(job, row, events)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)


def _advance(job: LiveJob, row: TrainingJob, events: list[StoredEvent]) -> None:
    """Take over what the database says of a job: its newest events where they are few, else only how far it is."""
    whole = bool(events) and events[-1].sequence - events[0].sequence + 1 == len(events)
    if whole and events[-1].sequence == row.last_sequence:
        job.publish(events, row.state)
    else:
        job.advance(row.last_sequence, row.state)
        job.wake()
