"""The queue of each framework: who is next, at which place, and what takes a slot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.jobs import JobRepository, RunStanding
from storage.database.tables import Run, TrainingJob
from tests.storage import builders

START = datetime(2026, 1, 1, tzinfo=UTC)


def queued(user_id: str, name: str, minute: int, **fields: Any) -> TrainingJob:
    when = START + timedelta(minutes=minute)
    return builders.job(user_id, id=name, state="QUEUED", queue_time=when, **fields)


async def add(database: Database, *rows: TrainingJob | Run) -> None:
    for row in rows:
        await database.write(lambda session, row=row: session.add(row))  # type: ignore[misc]


async def test_priority_comes_first_then_age_and_each_framework_has_a_queue_of_its_own(
    database: Database, user_id: str
) -> None:
    jobs = [
        queued(user_id, "young", 3),
        queued(user_id, "old", 1),
        queued(user_id, "urgent", 5, priority=2),
        queued(user_id, "humble", 0, priority=-1),
        queued(user_id, "elsewhere", 9, framework="yolo"),
        builders.job(user_id, id="pending", priority=9),
        builders.job(user_id, id="running", priority=9, state="RUNNING"),
    ]
    await add(database, *jobs)

    def places(session: Session) -> dict[str, int]:
        found = [JobRepository(session).get(job.id) for job in jobs]
        rows = [job for job in found if job is not None]
        JobRepository(session).fill_queue_positions(rows)
        return {job.id: job.queue_position for job in rows}

    assert await database.read(places) == {
        "urgent": 1,
        "old": 2,
        "young": 3,
        "humble": 4,
        "elsewhere": 1,
        "pending": 0,
        "running": 0,
    }
    assert await database.read(lambda session: [job.id for job in JobRepository(session).queued("timm")]) == [
        "urgent",
        "old",
        "young",
        "humble",
    ]
    assert await database.read(lambda session: JobRepository(session).queued_frameworks()) == ["timm", "yolo"]
    first = await database.write(lambda session: JobRepository(session).next_queued("timm"))
    assert first is not None and first.id == "urgent"


async def test_a_job_that_another_transaction_works_on_is_passed_over(
    database: Database, user_id: str, backend: str
) -> None:
    if backend == "sqlite":
        pytest.skip("one transaction at a time writes")
    await add(database, queued(user_id, "first", 1), queued(user_id, "second", 2))
    loop, locked, done = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def hold(session: Session) -> None:
        JobRepository(session).lock("first")
        loop.call_soon_threadsafe(locked.set)
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result(20)

    holding = asyncio.create_task(database.write(hold))
    await locked.wait()
    found = await database.write(lambda session: JobRepository(session).next_queued("timm"))
    assert found is not None and found.id == "second"
    done.set()
    await holding


async def test_slots_are_counted_by_the_runs_that_jobs_have_now(database: Database, user_id: str) -> None:
    await add(
        database,
        builders.job(user_id, id="one", state="RUNNING", current_run_id="run_1"),
        builders.job(user_id, id="two", state="STOPPING", current_run_id="run_2"),
        builders.job(user_id, id="three", state="PREPARING", current_run_id="run_3b"),
        builders.job(user_id, id="four", state="COMPLETED", current_run_id="run_4"),
        Run(id="run_1", job_id="one", attempt=1, trainer_address="a:1", started=True),
        Run(id="run_2", job_id="two", attempt=1, trainer_address="a:1"),
        Run(id="run_3", job_id="three", attempt=1, trainer_address="a:1", end_kind="START_REFUSED"),
        Run(id="run_3b", job_id="three", attempt=2, trainer_address="b:1"),
        Run(id="run_4", job_id="four", attempt=1, trainer_address="a:1", end_kind="COMPLETED"),
    )
    taken = await database.read(lambda session: JobRepository(session).slots_taken(["a:1", "b:1", "c:1"]))
    assert taken == {"a:1": 2, "b:1": 1}
    assert await database.read(lambda session: JobRepository(session).unstarted()) == [
        ("two", "run_2"),
        ("three", "run_3b"),
    ]
    await database.write(lambda session: JobRepository(session).mark_started("run_2"))
    assert await database.read(lambda session: JobRepository(session).unstarted()) == [("three", "run_3b")]
    runs = ["run_1", "run_2", "run_3", "run_4", "run_5"]
    standings = await database.read(lambda session: JobRepository(session).standings(runs))
    assert sorted(standings, key=lambda standing: standing.run_id) == [
        RunStanding("run_1", False, ""),
        RunStanding("run_2", True, ""),
        RunStanding("run_3", False, "START_REFUSED"),
        RunStanding("run_4", False, "COMPLETED"),
    ]


async def test_slots_of_a_framework_are_handed_out_by_one_transaction_at_a_time(
    database: Database, user_id: str
) -> None:
    under_way: list[int] = []

    def hand_out(session: Session) -> None:
        JobRepository(session).lock_queue("timm")
        under_way.append(1)
        assert sum(under_way) == 1
        session.connection()
        under_way.append(-1)

    await asyncio.gather(*(database.write(hand_out) for _ in range(20)))
    assert len(under_way) == 40
