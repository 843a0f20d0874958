"""Keeping event logs from growing for ever: old lines and progress are removed, and metric points thinned.

What is removed was in the log for a while first, so that a watcher that was away goes on without a gap. States,
attempts, checkpoints, validations and roll backs stay as long as their job.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from storage.database.compaction import LOG, METRIC, PROGRESS, CompactionRepository, MetricKey, kept
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable
from storage.database.jobs import JobRepository
from storage.database.tables import EventCompaction, TrainingJob, now

# What one transaction looks at, and what it removes: some ten milliseconds each, in which others wait for the job.
LOOK_EVENTS = 5_000
REMOVE_EVENTS = 1_000
PAGE_JOBS = 100
# Between two transactions, so that ingest has most of the database's time.
PAUSE_SECONDS = 0.02

logger = structlog.get_logger()


@dataclass(frozen=True)
class CompactionRules:
    """What is kept: everything for ``keep_hours``; of what is older, so many events of a job, of each kind."""

    keep_hours: float
    log_lines: int
    progress_events: int
    metric_points: int


class Compactor:
    """Looks through all jobs every ``every_seconds``, in short transactions; 0: never.

    It can be killed at any moment, and several gateways can do the same work at once.
    """

    def __init__(self, database: Database, rules: CompactionRules, *, every_seconds: float) -> None:
        self._database = database
        self._rules = rules
        self._keep = timedelta(hours=rules.keep_hours)
        self._limits = {LOG: rules.log_lines, PROGRESS: rules.progress_events, METRIC: rules.metric_points}
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compact."""
        if self._every_seconds:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Compact no more; a transaction that has begun ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.compact_all()
            except DatabaseUnavailable as error:
                logger.warning("logs not compacted", error=str(error))
            except Exception:
                logger.exception("compacting logs failed")
            await asyncio.sleep(self._every_seconds)

    async def compact_all(self) -> None:
        """Look through all jobs once."""
        last = ""
        while True:
            page = await self._database.read(partial(self._candidates, last))
            for job_id in page:
                await self.compact(job_id)
            if len(page) < PAGE_JOBS:
                return
            last = page[-1]

    async def compact(self, job_id: str) -> None:
        """Remove of one job's log what need no longer be kept."""
        before = await self._database.read(lambda session: CompactionRepository(session).get(job_id))
        while await self._locked(job_id, self._step):  # noqa: ASYNC110 - to wait is to leave others their turn
            await asyncio.sleep(PAUSE_SECONDS)
        after = await self._database.read(lambda session: CompactionRepository(session).get(job_id))
        if after is not None and kept(after, METRIC) > self._rules.metric_points:
            await self._thin(after)
            after = await self._database.read(lambda session: CompactionRepository(session).get(job_id))
        if after is not None and _removed(after) != _removed(before):
            logger.info("log compacted", job_id=job_id, **_removed(after))

    def _candidates(self, after_id: str, session: Session) -> list[str]:
        return CompactionRepository(session).candidates(self._limits, now(), self._keep, after_id, PAGE_JOBS)

    def _step(self, session: Session, job: TrainingJob) -> bool:
        """The next small thing to do for a locked job; False when there is nothing."""
        repository = CompactionRepository(session)
        compaction = repository.begin(job, now())
        for kind, limit in self._limits.items():
            excess = kept(compaction, kind) - limit
            if excess > 0 and kind != METRIC:
                repository.remove_oldest(compaction, kind, min(excess, REMOVE_EVENTS))
                return True
        # The gateway's own clock: events carry times of other machines, and may have come late.
        age = now() - compaction.mark_time
        if age < timedelta(0):
            repository.mark(job, now())
        if age < self._keep:
            return False
        if compaction.through < compaction.mark_sequence:
            repository.look(compaction, LOOK_EVENTS)
            return True
        if compaction.mark_sequence < job.last_sequence:
            repository.mark(job, now())
            return not self._keep
        return False

    async def _thin(self, compaction: EventCompaction) -> None:
        """Thin the metrics that were looked at: first the points that are listed, then the events."""
        job_id, through = compaction.job_id, compaction.through
        sequences = await self._metric_sequences(job_id, through)
        stay = evenly(sequences, self._rules.metric_points)
        await self._remove_points(job_id, through, stay)
        gone = [sequence for sequence in sequences if sequence not in stay]
        for start in range(0, len(gone), REMOVE_EVENTS):
            part = gone[start : start + REMOVE_EVENTS]

            def remove(session: Session, job: TrainingJob, part: Sequence[int] = part) -> bool:
                repository = CompactionRepository(session)
                repository.remove_metrics(repository.begin(job, now()), part)
                return True

            if not await self._locked(job_id, remove):
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _metric_sequences(self, job_id: str, through: int) -> array[int]:
        found = array("q")  # a million of them are 8 MB
        while True:
            after = found[-1] if found else 0
            page = await self._database.read(partial(_metric_page, job_id, after, through))
            found.extend(page)
            if len(page) < LOOK_EVENTS:
                return found

    async def _remove_points(self, job_id: str, through: int, stay: frozenset[int]) -> None:
        """Remove the points of the projection whose events go."""
        last: MetricKey | None = None
        while True:
            page = await self._database.read(partial(_point_page, job_id, last))
            gone = [key for key in page if key.sequence <= through and key.sequence not in stay]
            if gone:

                def remove(session: Session, job: TrainingJob, gone: Sequence[MetricKey] = gone) -> bool:
                    CompactionRepository(session).remove_points(job_id, gone)
                    return True

                if not await self._locked(job_id, remove):
                    return
                await asyncio.sleep(PAUSE_SECONDS)
            if len(page) < REMOVE_EVENTS:
                return
            last = page[-1]

    async def _locked(self, job_id: str, work: Callable[[Session, TrainingJob], bool]) -> bool:
        """Do ``work`` on the locked job in one transaction; False when the job is gone."""

        def run(session: Session) -> bool:
            job = JobRepository(session).lock(job_id)
            return job is not None and work(session, job)

        return await self._database.write(run)


def evenly(sequences: Sequence[int], count: int) -> frozenset[int]:
    """At most ``count`` (2 or more) of the ascending ``sequences``: the last, and the first of each stretch of the log.

    Stretches are as long as a power of two, and begin where one of that length does: what is thinned again later keeps
    points that are as evenly spread as if it had been thinned but once.
    """
    if len(sequences) <= count:
        return frozenset(sequences)
    shift = 0
    while len({sequence >> shift for sequence in sequences}) >= count:
        shift += 1
    first: dict[int, int] = {}
    for sequence in sequences:
        first.setdefault(sequence >> shift, sequence)
    return frozenset(first.values()) | {sequences[-1]}


def _metric_page(job_id: str, after: int, through: int, session: Session) -> list[int]:
    return CompactionRepository(session).metric_sequences(job_id, after, through, LOOK_EVENTS)


def _point_page(job_id: str, after: MetricKey | None, session: Session) -> list[MetricKey]:
    return CompactionRepository(session).metric_keys(job_id, after, REMOVE_EVENTS)


def _removed(compaction: EventCompaction | None) -> dict[str, int]:
    """How far events of each kind were removed."""
    if compaction is None:
        return {"log": 0, "progress": 0, "metric": 0}
    return {
        "log": compaction.log_removed_through,
        "progress": compaction.progress_removed_through,
        "metric": compaction.metric_removed_through,
    }
