"""Which checkpoints are kept, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.retention import RetentionRepository
from storage.database.tables import Checkpoint, now
from tests.storage import builders


@pytest.fixture
async def job_id(database: Database, user_id: str) -> str:
    return (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id


async def put(database: Database, job_id: str, **epochs: int) -> None:
    """Checkpoints by name and epoch."""

    def work(session: Session) -> None:
        for name, epoch in epochs.items():
            row = Checkpoint(
                id=name, job_id=job_id, run_id="run_1", epoch=epoch, storage_path=name, size_bytes=1, digest="0" * 64
            )
            CheckpointRepository(session).put(row)

    await database.write(work)


async def discarded(
    database: Database, last: str, *kept: str, every_n_epochs: int = 0, keep_last: int = 1
) -> list[str]:
    def work(session: Session) -> list[str]:
        checkpoint = CheckpointRepository(session).get(last)
        assert checkpoint is not None
        return RetentionRepository(session).lock_discarded(
            checkpoint, kept, every_n_epochs=every_n_epochs, keep_last=keep_last
        )

    return await database.write(work)


async def test_best_last_newest_and_every_nth_are_kept(database: Database, user_id: str, job_id: str) -> None:
    await put(database, job_id, **{f"c{epoch}": epoch for epoch in range(1, 9)})
    other = (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id
    await put(database, other, other=1)
    assert await discarded(database, "c8", "c3", "") == ["c1", "c2", "c4", "c5", "c6", "c7"]
    assert await discarded(database, "c8", "c3", keep_last=3) == ["c1", "c2", "c4", "c5"]
    assert await discarded(database, "c8", "c8", keep_last=100) == []
    assert await discarded(database, "c8", "c3", every_n_epochs=3) == ["c1", "c2", "c4", "c5", "c7"]
    assert await discarded(database, "c8", "c3", every_n_epochs=2, keep_last=2) == ["c1", "c5"]
    assert await discarded(database, "c8", every_n_epochs=1) == []


async def test_what_an_earlier_attempt_told_goes_when_it_is_told_again(database: Database, job_id: str) -> None:
    await put(database, job_id, **{f"a{epoch}": epoch for epoch in range(1, 7)})
    await put(database, job_id, b4=4)  # resumed from epoch 3
    # Even where all are kept: those after it, and the one of the same epoch.
    assert await discarded(database, "b4", every_n_epochs=1) == ["a4", "a5", "a6"]
    assert await discarded(database, "b4", "a2", keep_last=2) == ["a1", "a4", "a5", "a6"]
    # However the clock of a trainer was moved.
    await put(database, job_id, b5=5)

    def move(session: Session) -> None:
        row = CheckpointRepository(session).get("b5")
        assert row is not None
        row.create_time = now() - timedelta(days=3)

    await database.write(move)
    # Of epoch 4 both are there still, since nothing enforced the rules when b4 came; the later telling counts.
    assert await discarded(database, "b5", keep_last=3) == ["a1", "a2", "a4", "a5", "a6"]


async def test_what_was_left_behind_stays_until_it_counts_again(database: Database, job_id: str) -> None:
    await put(database, job_id, a1=1, a2=2, a3=3, b1=1)

    async def leave(left: set[str], counting: set[str]) -> None:
        await database.write(lambda session: RetentionRepository(session).leave_behind(left, counting))

    await leave({"a2", "a3"}, set())
    assert await discarded(database, "b1") == ["a1"]
    await leave(set(), {"a1", "a2"})
    assert await discarded(database, "b1") == ["a1", "a2"]


async def test_held_are_those_named_and_no_others(database: Database, user_id: str, job_id: str) -> None:
    other = (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id
    await put(database, job_id, a1=1, a2=2, a3=3)
    await put(database, other, b1=1)

    async def held(*names: str) -> tuple[list[str], list[str]]:
        def work(session: Session) -> tuple[list[str], list[str]]:
            retained = RetentionRepository(session)
            retained.hold(job_id, names)
            page = CheckpointRepository(session).list(job_id, 10, "")
            return [row.id for row in page.items if row.held], retained.held_jobs()

        return await database.write(work)

    assert await held() == ([], [])
    assert await held("a1", "a2") == (["a1", "a2"], [job_id])
    assert await held("a2", "a3") == (["a2", "a3"], [job_id])
    await database.write(lambda session: RetentionRepository(session).hold(other, ["a1", "b1"]))
    assert (await held("a2"))[1] == sorted([job_id, other])
    assert await held() == ([], [other])


async def test_deleted_records_say_where_their_images_lie(database: Database, job_id: str) -> None:
    await put(database, job_id, a1=1, a2=2, a3=3)

    def images(session: Session) -> None:
        for name in ("a1", "a3"):
            row = CheckpointRepository(session).get(name)
            assert row is not None
            row.validation_images = {"storage_path": f"validation_images/{name}", "size_bytes": 1, "sha256": "ab" * 32}

    def look(session: Session) -> dict[str, bool]:
        return RetentionRepository(session).recorded(["a1", "a2", "a3", "a4"])

    await database.write(images)
    assert await database.read(look) == {"a1": True, "a2": False, "a3": True}
    assert await database.write(lambda session: RetentionRepository(session).lock_all(job_id)) == ["a1", "a2", "a3"]
    gone = await database.write(lambda session: RetentionRepository(session).delete(["a1", "a2", "a4"]))
    assert gone == ["validation_images/a1"]
    assert await database.read(look) == {"a3": True}
    assert await database.write(lambda session: CheckpointRepository(session).lock("a3"))
    assert not await database.write(lambda session: CheckpointRepository(session).lock("a1"))
