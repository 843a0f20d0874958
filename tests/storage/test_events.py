from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.errors import JobMissing, SequenceGap
from storage.database.events import EventRepository, NewEvent, StoredEvent
from storage.database.jobs import JobRepository
from storage.database.tables import Run, now
from tests.storage import builders


@pytest.fixture
async def job_id(database: Database, user_id: str) -> str:
    return (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id


async def append(database: Database, job_id: str, *events: NewEvent) -> list[tuple[NewEvent, StoredEvent]]:
    return await database.write(lambda session: EventRepository(session).append(job_id, events))


async def whole_log(database: Database, job_id: str) -> list[StoredEvent]:
    return await database.read(lambda session: EventRepository(session).page(job_id, 0, 10_000))


async def test_a_repeated_batch_is_stored_once(database: Database, job_id: str) -> None:
    batch = [
        builders.event("run_1", 1),
        builders.event("run_1", 1, source="log", kind="LOG"),
        builders.event("run_1", 2),
    ]
    stored = await append(database, job_id, *batch)
    assert [event for event, _ in stored] == batch
    assert [event.payload for _, event in stored] == [b"1:training:1", b"2:log:1", b"3:training:2"]
    assert await append(database, job_id, *batch) == []
    more = await append(database, job_id, *batch[1:], builders.event("run_1", 3), builders.event("run_1", 3))
    assert [event.payload for _, event in more] == [b"4:training:3"]
    assert [event.sequence for event in await whole_log(database, job_id)] == [1, 2, 3, 4]
    positions = await database.read(lambda session: EventRepository(session).positions("run_1"))
    assert positions == {"training": 3, "log": 1}
    assert await database.read(lambda session: EventRepository(session).positions("run_2")) == {}


async def test_a_gap_refuses_the_whole_batch(database: Database, job_id: str) -> None:
    await append(database, job_id, builders.event("run_1", 1))
    with pytest.raises(SequenceGap) as caught:
        await append(database, job_id, builders.event("run_1", 2), builders.event("run_1", 4))
    gap = caught.value
    assert (gap.run_id, gap.source, gap.expected, gap.found) == ("run_1", "training", 3, 4)
    with pytest.raises(SequenceGap):
        await append(database, job_id, builders.event("run_2", 2))
    assert len(await whole_log(database, job_id)) == 1
    assert await database.read(lambda session: EventRepository(session).positions("run_1")) == {"training": 1}


async def test_concurrent_appends_leave_no_gap_and_no_repeat(database: Database, job_id: str) -> None:
    async def source(run_id: str) -> list[int]:
        numbers = []
        for first in range(1, 31, 3):
            stored = await append(database, job_id, *(builders.event(run_id, first + n) for n in range(3)))
            numbers += [event.sequence for _, event in stored]
        return numbers

    async def gateway() -> list[int]:
        return [
            (
                await database.write(
                    lambda session: EventRepository(session).append_own(
                        job_id, job_id, "STATE", now(), lambda sequence: b"own"
                    )
                )
            ).sequence
            for _ in range(10)
        ]

    results = await asyncio.gather(*(source(f"run_{n}") for n in range(5)), gateway(), gateway())
    assert sorted(number for numbers in results for number in numbers) == list(range(1, 171))
    assert all(numbers == sorted(numbers) for numbers in results)
    log = await whole_log(database, job_id)
    assert [event.sequence for event in log] == list(range(1, 171))
    job = await database.read(lambda session: JobRepository(session).get(job_id))
    assert job is not None and job.last_sequence == 170
    assert await database.read(lambda session: EventRepository(session).positions(job_id)) == {"gateway": 20}


async def test_a_run_comes_with_its_positions(database: Database, job_id: str) -> None:
    await database.write(lambda session: JobRepository(session).add_run(Run(id="run_1", job_id=job_id, attempt=1)))
    await append(database, job_id, builders.event("run_1", 1), builders.event("run_1", 1, source="log", kind="LOG"))

    def work(session: Session) -> tuple[Run | None, dict[str, int], Run | None, dict[str, int]]:
        JobRepository(session).lock(job_id)
        log = EventRepository(session, locked_job_id=job_id)
        run, none = log.run("run_1"), log.run("run_2")
        log.append(job_id, [builders.event("run_1", 2)])
        return run, log.positions("run_1"), none, log.positions("run_2")

    run, positions, none, nothing = await database.write(work)
    assert run is not None and (run.id, run.attempt) == ("run_1", 1)
    assert positions == {"training": 2, "log": 1}
    assert (none, nothing) == (None, {})


async def test_jobs_are_numbered_apart(database: Database, user_id: str, job_id: str) -> None:
    other = (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id
    await append(database, job_id, builders.event("run_1", 1))
    await append(database, other, builders.event("run_2", 1))
    assert [event.sequence for event in await whole_log(database, other)] == [1]


async def test_reading_pages_and_kinds(database: Database, job_id: str) -> None:
    kinds = ["METRIC", "LOG", "LOG", "STATE", "METRIC"]
    await append(database, job_id, *(builders.event("run_1", n, kind=kind) for n, kind in enumerate(kinds, 1)))

    async def numbers(after: int, limit: int, *kinds: str) -> list[int]:
        page = await database.read(lambda session: EventRepository(session).page(job_id, after, limit, kinds))
        return [event.sequence for event in page]

    assert await numbers(0, 2) == [1, 2]
    assert await numbers(2, 10) == [3, 4, 5]
    assert await numbers(5, 10) == []
    assert await numbers(0, 10, "METRIC", "STATE") == [1, 4, 5]
    assert await numbers(1, 1, "METRIC") == [5]


async def test_a_job_that_is_gone_takes_no_events(database: Database) -> None:
    with pytest.raises(JobMissing, match="job_0"):
        await append(database, "job_0", builders.event("run_1", 1))


async def test_events_and_state_change_in_one_transaction(database: Database, job_id: str) -> None:
    def work(session: Session) -> tuple[str, int]:
        job = JobRepository(session).get(job_id)
        assert job is not None
        EventRepository(session).append(job_id, [builders.event("run_1", 1)])
        JobRepository(session).change_state(job_id, ["PENDING"], "QUEUED")
        EventRepository(session).append_own(job_id, "run_1", "STATE", now(), lambda sequence: b"")
        return job.state, job.last_sequence

    assert await database.write(work) == ("QUEUED", 2)
