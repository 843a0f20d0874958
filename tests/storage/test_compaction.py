"""What compaction leaves of a log, on both databases, and when it is stopped in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.events import compaction as compacting
from gateway.events.compaction import CompactionRules, Compactor, evenly
from storage.database.compaction import LOG, METRIC, PROGRESS, CompactionRepository
from storage.database.engine import Database
from storage.database.events import EventRepository, NewEvent, StoredEvent
from storage.database.jobs import JobRepository
from storage.database.projections import MetricRepository, MetricRow
from storage.database.tables import EventCompaction, now
from tests.storage import builders

T = TypeVar("T")
RULES = CompactionRules(keep_hours=0, log_lines=100, progress_events=10, metric_points=50)
# As a training tells them: much progress, some lines, now and then a metric or something that stays.
PATTERN = ["PROGRESS", "PROGRESS", "LOG", "PROGRESS", "METRIC", "LOG", "PROGRESS", "CHECKPOINT", "PROGRESS", "STATE"]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions that do little, so that there are many to be stopped between."""
    monkeypatch.setattr(compacting, "LOOK_EVENTS", 300)
    monkeypatch.setattr(compacting, "REMOVE_EVENTS", 70)
    monkeypatch.setattr(compacting, "PAUSE_SECONDS", 0.0)


@pytest.fixture
async def job_id(database: Database, user_id: str) -> str:
    return (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id


@dataclass
class Killed(Exception):
    """The process is gone."""


class Interrupted:
    """A database whose process ends with the transaction after the first ``left`` ones."""

    def __init__(self, database: Database, left: int) -> None:
        self.database = database
        self.left = left

    async def read(self, work: Callable[[Session], T]) -> T:
        return await self.database.read(work)

    async def write(self, work: Callable[[Session], T]) -> T:
        if not self.left:
            raise Killed
        self.left -= 1
        return await self.database.write(work)


def story(first: int, count: int) -> list[NewEvent]:
    return [builders.event("run_1", n, kind=PATTERN[n % len(PATTERN)]) for n in range(first, first + count)]


async def tell(database: Database, job_id: str, events: Sequence[NewEvent]) -> list[StoredEvent]:
    """Append as ingest does: a metric is also a point of the projection."""

    def work(session: Session) -> list[StoredEvent]:
        stored = [entry for _, entry in EventRepository(session).append(job_id, events)]
        points = [
            MetricRow(
                job_id=job_id,
                epoch=entry.sequence,
                step=0,
                sequence=entry.sequence,
                loss=None,
                accuracy=None,
                learning_rate=None,
                extra_metrics={},
                time=now(),
            )
            for entry in stored
            if entry.kind == METRIC
        ]
        MetricRepository(session).put_all(job_id, points)
        return stored

    return await database.write(work)


async def log_of(database: Database, job_id: str) -> list[StoredEvent]:
    return await database.read(lambda session: EventRepository(session).page(job_id, 0, 100_000))


async def removed_through(database: Database, job_id: str, *kinds: str) -> int:
    return await database.read(lambda session: CompactionRepository(session).removed_through(job_id, kinds))


async def compact(database: Database, rules: CompactionRules = RULES) -> None:
    await Compactor(database, rules, every_seconds=0).compact_all()


def of_kind(events: Sequence[StoredEvent], kind: str) -> list[int]:
    return [event.sequence for event in events if event.kind == kind]


async def check_what_is_left(
    database: Database, job_id: str, whole: Sequence[StoredEvent], rules: CompactionRules = RULES, *, even: bool = True
) -> None:
    """The newest lines and progress, metrics within their number (``even``: evenly spread), and all else."""
    left = await log_of(database, job_id)
    assert {event.sequence: event.payload for event in left}.items() <= {e.sequence: e.payload for e in whole}.items()
    assert of_kind(left, LOG) == of_kind(whole, LOG)[-rules.log_lines :]
    assert of_kind(left, PROGRESS) == of_kind(whole, PROGRESS)[-rules.progress_events :]
    for kind in ("CHECKPOINT", "STATE"):
        assert of_kind(left, kind) == of_kind(whole, kind)
    metrics, told = of_kind(left, METRIC), of_kind(whole, METRIC)
    assert rules.metric_points // 2 <= len(metrics) <= rules.metric_points
    assert (metrics[0], metrics[-1]) == (told[0], told[-1])
    gaps = [after - before for before, after in pairwise(metrics)]
    if even:
        assert max(gaps[:-1]) <= 2 * min(gaps[:-1])  # the last is where it is
    points = await database.read(lambda session: MetricRepository(session).all(job_id))
    assert [point.sequence for point in points] == metrics
    for kind in (LOG, PROGRESS, METRIC):
        gone = set(of_kind(whole, kind)) - set(of_kind(left, kind))
        assert await removed_through(database, job_id, kind) == max(gone)
    assert await removed_through(database, job_id, "STATE", "CHECKPOINT") == 0
    row = await database.read(lambda session: CompactionRepository(session).get(job_id))
    assert row is not None
    counted = [len(of_kind(left, kind)) for kind in (LOG, PROGRESS, METRIC)]
    assert [row.log_kept, row.progress_kept, row.metric_kept] == counted


async def test_the_newest_stay_and_metrics_are_thinned(database: Database, job_id: str) -> None:
    whole = await tell(database, job_id, story(1, 3000))
    await compact(database)
    await check_what_is_left(database, job_id, whole)
    left = await log_of(database, job_id)
    await compact(database)  # and nothing is left to do
    assert await log_of(database, job_id) == left

    # What was removed is not taken for new, and numbers go on.
    assert await tell(database, job_id, story(1, 3000)) == []
    assert await log_of(database, job_id) == left
    whole += await tell(database, job_id, story(2990, 1500))
    assert [event.sequence for event in whole] == [*range(1, 4490)]
    await compact(database)
    await check_what_is_left(database, job_id, whole)


async def test_a_metric_that_is_told_anew_is_thinned_as_it_is_then(database: Database, job_id: str) -> None:
    """A job that began again: the log holds both tellings, the projection the later one."""
    whole = await tell(database, job_id, [builders.event("run_1", n) for n in range(1, 101)])

    def again(session: Session) -> list[StoredEvent]:
        events = [builders.event("run_2", n) for n in range(1, 41)]
        stored = [entry for _, entry in EventRepository(session).append(job_id, events)]
        for point, entry in zip(MetricRepository(session).all(job_id)[60:], stored, strict=True):
            point.sequence = entry.sequence
        return stored

    whole += await database.write(again)
    await compact(database)
    left = await log_of(database, job_id)
    points = await database.read(lambda session: MetricRepository(session).all(job_id))
    kept = {event.sequence for event in left}
    assert len(left) <= RULES.metric_points and {1, 140} <= kept
    assert [point.epoch for point in points] == sorted(point.epoch for point in points)
    assert {point.sequence for point in points} == {s for s in kept if s <= 60 or s > 100}


async def test_what_is_young_stays(database: Database, job_id: str) -> None:
    young = CompactionRules(keep_hours=1, log_lines=10, progress_events=10, metric_points=10)
    whole = await tell(database, job_id, story(1, 500))
    await compact(database, young)
    assert await log_of(database, job_id) == whole  # their age counts from the first look
    whole += await tell(database, job_id, story(501, 500))

    def an_hour_ago(session: Session) -> None:
        row = session.scalars(select(EventCompaction)).one()
        row.mark_time -= timedelta(hours=1)

    await compact(database, young)
    assert await log_of(database, job_id) == whole
    await database.write(an_hour_ago)
    await compact(database, young)
    left = await log_of(database, job_id)
    assert left[-500:] == whole[-500:]
    assert of_kind(left[:-500], LOG) == of_kind(whole[:500], LOG)[-10:]

    def in_a_year(session: Session) -> None:
        session.scalars(select(EventCompaction)).one().mark_time += timedelta(days=365)

    await database.write(in_a_year)  # the clock was wrong, and is right again
    await compact(database, young)
    assert await log_of(database, job_id) == left
    await database.write(an_hour_ago)
    await compact(database, young)
    assert of_kind(await log_of(database, job_id), PROGRESS) == of_kind(whole, PROGRESS)[-10:]


async def test_killed_between_any_two_transactions_it_goes_on(database: Database, user_id: str) -> None:
    rules = CompactionRules(keep_hours=0, log_lines=40, progress_events=10, metric_points=20)
    logs: dict[str, list[StoredEvent]] = {}
    killed = True
    while killed:
        job = await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))
        events = [replace(event, run_id=f"run_{len(logs)}") for event in story(1, 600)]
        logs[job.id] = await tell(database, job.id, events)
        interrupted = Interrupted(database, len(logs))
        try:
            await Compactor(interrupted, rules, every_seconds=0).compact(job.id)  # type: ignore[arg-type]
            killed = False
        except Killed:
            # What is gone is told: no cursor is accepted behind which something is missing.
            left = {event.sequence for event in await log_of(database, job.id)}
            gone = {event.sequence for event in logs[job.id]} - left
            assert await removed_through(database, job.id) == max(gone, default=0)
    assert len(logs) > 8
    await compact(database, rules)
    for job_id, whole in logs.items():
        await check_what_is_left(database, job_id, whole, rules)


async def test_two_gateways_compact_while_events_come_in(database: Database, database_url: str, job_id: str) -> None:
    whole = await tell(database, job_id, story(1, 2000))
    other = Database(database_url)
    both = asyncio.gather(compact(database), compact(other))
    for first in range(2001, 2401, 20):
        whole += await tell(database, job_id, story(first, 20))
    await both
    await compact(other)
    await other.close()
    await check_what_is_left(database, job_id, whole, even=False)


async def test_a_limit_that_was_lowered_counts_for_logs_that_were_looked_at(database: Database, job_id: str) -> None:
    whole = await tell(database, job_id, story(1, 1000))
    generous = CompactionRules(keep_hours=0, log_lines=900, progress_events=900, metric_points=900)
    await compact(database, generous)
    assert await log_of(database, job_id) == whole
    await compact(database)
    await check_what_is_left(database, job_id, whole)


async def test_a_job_that_is_deleted_meanwhile_is_left_alone(database: Database, job_id: str) -> None:
    await tell(database, job_id, story(1, 600))
    await compact(database)
    await database.write(lambda session: JobRepository(session).delete(job_id))
    await Compactor(database, RULES, every_seconds=0).compact(job_id)
    assert await database.read(lambda session: CompactionRepository(session).get(job_id)) is None


@given(st.sets(st.integers(1, 100_000), max_size=400), st.integers(2, 100), st.integers(2, 100))
def test_thinning_keeps_the_ends_and_agrees_with_itself(sequences: set[int], one: int, two: int) -> None:
    ordered, few, many = sorted(sequences), min(one, two), max(one, two)
    kept = evenly(ordered, many)
    assert len(kept) <= many and kept <= sequences
    if ordered:
        assert {ordered[0], ordered[-1]} <= kept
    if len(kept) > few:  # thinned in two steps it is what it would have been in one
        assert evenly(sorted(kept), few) == evenly(ordered, few)
