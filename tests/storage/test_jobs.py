from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.errors import InvalidPageToken
from storage.database.events import EventRepository
from storage.database.jobs import JobFilter, JobRepository
from storage.database.projections import MetricRepository
from storage.database.tables import Event, Metric, Run, SourcePosition, TrainingJob, now
from tests.storage import builders


async def add(database: Database, *jobs: TrainingJob) -> None:
    await database.write(lambda session: session.add_all(jobs))


async def test_listing_filters_and_orders(database: Database, user_id: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    fields: list[dict[str, object]] = [
        {"experiment_name": "First try", "tags": ["a", "b"]},
        {"notes": "a second TRY", "framework": "yolo", "tags": ["b"]},
        {"model_name": "tryout", "state": "RUNNING", "project_id": "cars"},
        {"experiment_name": "last"},
    ]
    jobs = [builders.job(user_id, create_time=start + timedelta(days=day), **f) for day, f in enumerate(fields)]
    await add(database, *jobs)

    async def found(filters: JobFilter, newest_first: bool = False) -> list[int]:
        page = await database.read(lambda session: JobRepository(session).list(user_id, filters, newest_first, 10, ""))
        return [[job.id for job in jobs].index(row.id) for row in page.items]

    assert await found(JobFilter()) == [0, 1, 2, 3]
    assert await found(JobFilter(), newest_first=True) == [3, 2, 1, 0]
    assert await found(JobFilter(text="try")) == [0, 1, 2]
    assert await found(JobFilter(tags=("b",))) == [0, 1]
    assert await found(JobFilter(tags=("b", "a"))) == [0]
    assert await found(JobFilter(framework="yolo")) == [1]
    assert await found(JobFilter(state="RUNNING", project_id="cars")) == [2]


async def test_a_token_is_bound_to_user_filters_and_order(database: Database, user_id: str) -> None:
    await add(database, builders.job(user_id), builders.job(user_id), builders.job(user_id))

    async def page(newest_first: bool, token: str, text: str = "") -> list[str]:
        found = await database.read(
            lambda session: JobRepository(session).list(user_id, JobFilter(text=text), newest_first, 2, token)
        )
        return [found.next_page_token, *(job.id for job in found.items)]

    token, *first = await page(True, "")
    end, *rest = await page(True, token)
    assert (end, len({*first, *rest})) == ("", 3)
    with pytest.raises(InvalidPageToken):
        await page(False, token)
    with pytest.raises(InvalidPageToken):
        await page(True, token, text="resnet")


async def test_a_state_is_compared_and_set(database: Database, user_id: str) -> None:
    job = builders.job(user_id, state="QUEUED")
    await add(database, job)

    async def take(run_id: str) -> TrainingJob | None:
        return await database.write(
            lambda session: JobRepository(session).change_state(
                job.id, ["QUEUED"], "PREPARING", current_run_id=run_id, attempt=1
            )
        )

    taken = [row for row in await asyncio.gather(*(take(f"run_{n}") for n in range(5))) if row is not None]
    assert len(taken) == 1
    stored = await database.read(lambda session: JobRepository(session).owned(job.id, user_id))
    assert stored is not None
    assert (stored.state, stored.attempt, stored.current_run_id) == ("PREPARING", 1, taken[0].current_run_id)
    assert stored.update_time > job.update_time
    assert await database.read(lambda session: JobRepository(session).owned(job.id, "user_other")) is None


async def test_a_change_is_in_the_database_and_in_the_row_that_is_held(database: Database, user_id: str) -> None:
    await add(database, builders.job(user_id, id="job_1", notes="before"))
    later = now() + timedelta(hours=1)
    changes = {"notes": "after", "progress": 0.25, "tags": ["a", "b"], "estimated_end_time": later}

    def work(session: Session) -> tuple[TrainingJob | None, TrainingJob | None, TrainingJob | None]:
        jobs = JobRepository(session)
        held = jobs.lock("job_1")
        return held, jobs.update("job_1", **changes), jobs.update("job_2", **changes)

    held, updated, missing = await database.write(work)
    assert held is not None and held is updated and missing is None
    kept = await database.read(lambda session: JobRepository(session).get("job_1"))
    unseen = await database.write(lambda session: JobRepository(session).update("job_1", notes="last"))
    assert kept is not None and unseen is not None
    for job in (held, kept):
        assert {name: getattr(job, name) for name in changes} == changes
        assert job.update_time == held.update_time
    # What was not held is read whole.
    assert (unseen.notes, unseen.progress, unseen.tags) == ("last", 0.25, ["a", "b"])


async def test_the_queue_is_fair(database: Database, user_id: str) -> None:
    start = now()
    jobs = [
        builders.job(user_id, state="QUEUED", priority=priority, queue_time=start + timedelta(seconds=second))
        for priority, second in ((0, 1), (0, 0), (5, 9))
    ]
    waiting = builders.job(user_id, state="PENDING")
    late = builders.job(user_id, state="QUEUED", priority=9, next_attempt_time=start + timedelta(hours=1))
    jobs[1].next_attempt_time = start  # a restart that is due
    other = builders.job(user_id, state="QUEUED", framework="yolo", queue_time=start)
    await add(database, *jobs, waiting, other, late)
    queue = await database.read(lambda session: JobRepository(session).queued("timm"))
    assert [job.id for job in queue] == [jobs[2].id, jobs[1].id, jobs[0].id]
    held = await database.read(lambda session: JobRepository(session).in_states(["PENDING"]))
    assert [job.id for job in held] == [waiting.id]


async def test_only_the_current_run_is_in_contact(database: Database, user_id: str) -> None:
    job = builders.job(user_id, state="RUNNING", current_run_id="run_2", contact_lost_time=now())
    idle = builders.job(user_id)
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def work(session: Session) -> list[bool]:
        jobs = JobRepository(session)
        jobs.add(job)
        jobs.add(idle)
        for attempt in (1, 2):
            jobs.add_run(Run(id=f"run_{attempt}", job_id=job.id, attempt=attempt))
        in_contact = [jobs.touch(run_id, moment) for run_id in ("run_2", "run_1", "run_3", "")]
        jobs.end_run("run_2", "LEASE_EXPIRED")
        return [*in_contact, jobs.touch("run_2", now())]

    assert await database.write(work) == [True, False, False, False, False]
    stored = await database.read(lambda session: JobRepository(session).get(job.id))
    assert stored is not None
    assert (stored.contact_time, stored.contact_lost_time) == (moment, None)
    untouched = await database.read(lambda session: JobRepository(session).get(idle.id))
    assert untouched is not None and untouched.contact_time is None


async def test_the_first_end_of_a_run_counts(database: Database, user_id: str) -> None:
    job = builders.job(user_id)

    def work(session: Session) -> list[bool]:
        jobs = JobRepository(session)
        jobs.add(job)
        jobs.add_run(Run(id="run_2", job_id=job.id, attempt=2))
        jobs.add_run(Run(id="run_1", job_id=job.id, attempt=1))
        failure = {"reason": "CRASHED", "message": "", "metadata": {}}
        ends = (("run_1", "CRASHED", "FAILED", failure), ("run_1", "COMPLETED", "COMPLETED"), ("run_9", "CRASHED"))
        return [jobs.end_run(*end) for end in ends]

    assert await database.write(work) == [True, False, False]
    runs = await database.read(lambda session: JobRepository(session).runs(job.id))
    assert [(run.id, run.end_kind, run.end_time is not None) for run in runs] == [
        ("run_1", "CRASHED", True),
        ("run_2", "", False),
    ]
    first = await database.read(lambda session: JobRepository(session).get_run("run_1"))
    assert first is not None and (first.attempt, first.outcome) == (1, "FAILED")
    assert first.failure == {"reason": "CRASHED", "message": "", "metadata": {}}
    page = await database.read(lambda session: JobRepository(session).list_runs(job.id, 1, ""))
    assert ([run.id for run in page.items], page.total_size) == (["run_1"], 2)
    rest = await database.read(lambda session: JobRepository(session).list_runs(job.id, 1, page.next_page_token))
    assert ([run.id for run in rest.items], rest.next_page_token) == (["run_2"], "")


async def test_a_deleted_job_takes_its_rows_along(database: Database, user_id: str) -> None:
    job, kept = builders.job(user_id), builders.job(user_id)

    def work(session: Session) -> None:
        for row, run_id in ((job, "run_1"), (kept, "run_2")):
            JobRepository(session).add(row)
            JobRepository(session).add_run(Run(id=run_id, job_id=row.id, attempt=1))
            events = EventRepository(session)
            events.append_own(row.id, row.id, "STATE", now(), lambda sequence: b"")
            events.append(row.id, [builders.event(run_id, 1)])
            MetricRepository(session).put(Metric(job_id=row.id, epoch=1, step=0, sequence=2, time=now()))

    await database.write(work)
    assert await database.write(lambda session: JobRepository(session).delete(job.id))
    assert not await database.write(lambda session: JobRepository(session).delete(job.id))

    def counts(session: Session) -> list[int | None]:
        tables = TrainingJob, Run, Event, SourcePosition, Metric
        return [session.scalar(select(func.count()).select_from(table)) for table in tables]

    # Events go bit by bit, afterwards.
    assert await database.read(counts) == [1, 1, 4, 2, 1]
    assert await database.write(lambda session: EventRepository(session).delete_some(job.id, 1))
    assert await database.read(counts) == [1, 1, 3, 2, 1]
    assert await database.write(lambda session: EventRepository(session).delete_some(job.id, 100))
    assert not await database.write(lambda session: EventRepository(session).delete_some(job.id, 100))
    assert await database.read(counts) == [1, 1, 2, 2, 1]
    states = await database.read(lambda session: JobRepository(session).states([job.id, kept.id, "job_none"]))
    assert states == {job.id: "DELETED", kept.id: "PENDING"}


async def test_who_takes_from_a_checkpoint_is_found(database: Database, user_id: str) -> None:
    resumed = builders.job(user_id, state="RUNNING", resume_checkpoint_id="c1")
    warm = builders.job(user_id, state="QUEUED", start_checkpoint_id="c2")
    await add(database, resumed, warm, builders.job(user_id, state="FAILED", start_checkpoint_id="c3"))

    async def taking(*checkpoint_ids: str) -> dict[str, str]:
        states = ("QUEUED", "RUNNING")
        return await database.read(lambda session: JobRepository(session).taking(checkpoint_ids, states))

    assert await taking("c1", "c2", "c3", "c4") == {"c1": resumed.id, "c2": warm.id}
    assert await taking("c3") == await taking() == {}


async def test_rows_that_make_no_sense_are_refused(database: Database, user_id: str) -> None:
    with pytest.raises(IntegrityError):
        await add(database, builders.job("user_nobody"))
    with pytest.raises(StatementError, match="no time zone"):
        await add(database, builders.job(user_id, queue_time=datetime(2026, 1, 1)))
