from __future__ import annotations

import math
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.database.pages import Page
from storage.database.projections import (
    CheckpointRepository,
    MetricRepository,
    MetricRow,
    ValidationRepository,
    roll_back,
)
from storage.database.tables import Checkpoint, Metric, Run, ValidationResult, now
from tests.storage import builders


@pytest.fixture
async def job_id(database: Database, user_id: str) -> str:
    return (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id


def metric(job_id: str, epoch: int, step: int = 0, **fields: object) -> Metric:
    return Metric(job_id=job_id, epoch=epoch, step=step, sequence=1, time=now(), **fields)


def checkpoint(job_id: str, name: str, epoch: int) -> Checkpoint:
    return Checkpoint(
        id=name, job_id=job_id, run_id="run_1", epoch=epoch, storage_path=name, size_bytes=1, digest="0" * 64
    )


async def test_a_repeated_step_replaces_the_metric(database: Database, job_id: str) -> None:
    def work(session: Session) -> list[tuple[int, int, float | None, float | None]]:
        metrics = MetricRepository(session)
        metrics.put(metric(job_id, 1, loss=0.9, accuracy=0.1, extra_metrics={"f1": 0.2}))
        assert metrics.all(job_id)[0].loss == 0.9
        metrics.put(metric(job_id, 1, step=10, loss=0.7))
        again = metrics.put(metric(job_id, 1, loss=0.8))
        assert again.extra_metrics == {}
        return [(row.epoch, row.step, row.loss, row.accuracy) for row in metrics.all(job_id)]

    assert await database.write(work) == [(1, 0, 0.8, None), (1, 10, 0.7, None)]


async def test_many_metrics_at_once_are_stored_as_one_after_the_other(database: Database, job_id: str) -> None:
    def points(*places: tuple[int, int, float | None]) -> list[MetricRow]:
        return [
            MetricRow(
                job_id=job_id,
                epoch=epoch,
                step=step,
                sequence=1,
                loss=loss,
                accuracy=None,
                learning_rate=math.inf,
                extra_metrics={"f1": 0.5, "tab\tand \\ and\nline": math.nan},
                time=time,
            )
            for epoch, step, loss in places
        ]

    def work(session: Session) -> None:
        metrics = MetricRepository(session)
        metrics.put_all(job_id, [])
        metrics.put_all(job_id, points((1, 0, 0.9), (1, 10, 0.8), (2, 0, 0.7)))
        # Steps that are there already, one before them all, and one twice in the same batch.
        metrics.put_all(job_id, points((2, 0, 0.6), (1, 10, 0.5), (3, 0, 0.4), (3, 0, None), (0, 0, 1.0)))

    time = now()
    await database.write(work)
    stored = await database.read(lambda session: MetricRepository(session).all(job_id))
    assert [(row.epoch, row.step, row.loss) for row in stored] == [
        (0, 0, 1.0),
        (1, 0, 0.9),
        (1, 10, 0.5),
        (2, 0, 0.6),
        (3, 0, None),
    ]
    assert all(row.extra_metrics.pop("f1") == 0.5 and row.time == time for row in stored)
    assert all(math.isnan(row.extra_metrics.pop("tab\tand \\ and\nline")) for row in stored)
    assert all(row.learning_rate == math.inf and not row.extra_metrics for row in stored)


async def test_metrics_come_in_pages(database: Database, job_id: str) -> None:
    places = [(epoch, step) for epoch in (1, 2) for step in (0, 5, 9)]

    def work(session: Session) -> None:
        for epoch, step in reversed(places):
            MetricRepository(session).put(metric(job_id, epoch, step))

    async def list_page(token: str) -> Page[Metric]:
        return await database.read(lambda session: MetricRepository(session).list(job_id, 4, token))

    await database.write(work)
    seen: list[tuple[int, int]] = []
    token = ""
    while not seen or token:
        page = await list_page(token)
        assert page.total_size == 6
        seen += [(row.epoch, row.step) for row in page.items]
        token = page.next_page_token
    assert seen == places


async def test_numbers_of_a_diverging_run_are_kept(database: Database, job_id: str) -> None:
    await database.write(
        lambda session: MetricRepository(session).put(
            metric(job_id, 1, loss=math.inf, extra_metrics={"grad": math.nan, "scale": math.inf})
        )
    )
    [row] = await database.read(lambda session: MetricRepository(session).all(job_id))
    assert row.loss == math.inf
    assert math.isnan(row.extra_metrics["grad"]) and row.extra_metrics["scale"] == math.inf


async def test_one_checkpoint_is_best(database: Database, job_id: str) -> None:
    def work(session: Session) -> list[object]:
        checkpoints = CheckpointRepository(session)
        put = [checkpoints.put(checkpoint(job_id, name, epoch)) for name, epoch in (("c2", 2), ("c1", 1), ("c3", 3))]
        marked = [checkpoints.mark_best(job_id, name) for name in ("c1", "c3", "c9")]
        marked.append(checkpoints.mark_best("job_other", "c1"))
        put.append(checkpoints.put(checkpoint(job_id, "c3", 99)))
        return [put, marked]

    assert await database.write(work) == [[True, True, True, False], [True, True, False, False]]
    page = await database.read(lambda session: CheckpointRepository(session).list(job_id, 2, ""))
    rest = await database.read(lambda session: CheckpointRepository(session).list(job_id, 2, page.next_page_token))
    rows = [(row.id, row.epoch, row.is_best) for row in page.items + rest.items]
    assert rows == [("c1", 1, False), ("c2", 2, False), ("c3", 3, True)]


async def test_validation_images_are_kept_of_the_checkpoints_named(database: Database, job_id: str) -> None:
    def stored(name: str) -> dict[str, object]:
        return {"storage_path": f"validation_images/{name}", "size_bytes": 1, "sha256": "ab" * 32}

    def put(session: Session) -> None:
        for name, epoch in (("c1", 1), ("c2", 2), ("c3", 3), ("c4", 4)):
            row = checkpoint(job_id, name, epoch)
            row.validation_images = stored(name) if name != "c4" else None
            CheckpointRepository(session).put(row)

    def look(session: Session) -> list[object]:
        checkpoints = CheckpointRepository(session)
        listed = checkpoints.list(job_id, 10, "").items
        kept = {row.validation_images["storage_path"] for row in listed if row.validation_images is not None}
        return [kept, checkpoints.images_of_epoch(job_id, 2)]

    await database.write(put)
    assert await database.read(look) == [{stored(name)["storage_path"] for name in ("c1", "c2", "c3")}, stored("c2")]
    keep = ["c1", "c4", ""]
    gone = await database.write(lambda session: CheckpointRepository(session).keep_validation_images(job_id, keep))
    assert sorted(gone) == ["validation_images/c2", "validation_images/c3"]
    assert await database.read(look) == [{"validation_images/c1"}, None]
    other = await database.write(lambda session: CheckpointRepository(session).keep_validation_images("job_other", []))
    assert other == [] and await database.read(look) == [{"validation_images/c1"}, None]


async def test_the_newest_checkpoint_of_an_epoch_is_found(database: Database, job_id: str) -> None:
    def work(session: Session) -> None:
        for name in ("later_name_first", "a_second"):
            CheckpointRepository(session).put(checkpoint(job_id, name, 2))

    await database.write(work)
    found = await database.read(lambda session: CheckpointRepository(session).of_epoch(job_id, 2))
    assert found is not None and found.id == "a_second"
    assert await database.read(lambda session: CheckpointRepository(session).of_epoch(job_id, 1)) is None


async def test_a_checkpoint_replaces_those_of_its_epoch_in_the_list(database: Database, job_id: str) -> None:
    def put(session: Session) -> None:
        for name, epoch in (("a1", 1), ("a2", 2), ("b2", 2), ("a3", 3)):
            assert CheckpointRepository(session).put(checkpoint(job_id, name, epoch))
        assert not CheckpointRepository(session).put(checkpoint(job_id, "a2", 3))

    async def listed() -> list[str]:
        page = await database.read(lambda session: CheckpointRepository(session).list(job_id, 10, ""))
        assert page.total_size == len(page.items)
        return [row.id for row in page.items]

    await database.write(put)
    assert await listed() == ["a1", "b2", "a3"]
    assert await database.read(lambda session: CheckpointRepository(session).get("a2")) is not None

    def go_back(session: Session) -> None:
        checkpoints = CheckpointRepository(session)
        checkpoints.go_back_to([row for name in ("a1", "a2") if (row := checkpoints.get(name)) is not None])

    await database.write(go_back)
    assert await listed() == ["a1", "a2", "a3"]
    found = await database.read(lambda session: CheckpointRepository(session).of_epoch(job_id, 2))
    assert found is not None and found.id == "a2"


async def test_the_way_to_a_checkpoint_leads_through_attempts_whatever_the_clocks_say(
    database: Database, job_id: str
) -> None:
    """Attempt 2 goes on from the second epoch of the first, attempt 3 begins anew, attempt 4 goes on from it."""
    attempts: list[tuple[int, str, int]] = [(1, "", 1), (2, "run_1", 3), (3, "", 1), (4, "run_3", 2)]
    written = {1: (1, 2, 3), 2: (3, 5), 3: (1,), 4: (2,)}

    def put(session: Session) -> None:
        clock = now()
        for attempt, source, first_epoch in attempts:
            run = Run(
                id=f"run_{attempt}", job_id=job_id, attempt=attempt, source_run_id=source, first_epoch=first_epoch
            )
            JobRepository(session).add_run(run)
            for epoch in written[attempt]:
                row = checkpoint(job_id, f"{attempt}-{epoch}", epoch)
                row.run_id, row.resumable = run.id, epoch != 5
                row.create_time = clock - timedelta(days=attempt)  # each machine's clock is further behind
                CheckpointRepository(session).put(row)

    def way(session: Session, name: str) -> list[str]:
        checkpoints = CheckpointRepository(session)
        return [row.id for row in checkpoints.way_to(session.get_one(Checkpoint, name))]

    def last(session: Session, after: int, without: list[str]) -> str:
        found = CheckpointRepository(session).last_resumable(job_id, after, without)
        return found.id if found is not None else ""

    await database.write(put)
    assert await database.read(lambda session: way(session, "2-5")) == ["1-1", "1-2", "2-3", "2-5"]
    assert await database.read(lambda session: way(session, "1-3")) == ["1-1", "1-2", "1-3"]
    assert await database.read(lambda session: way(session, "4-2")) == ["3-1", "4-2"]
    assert await database.read(lambda session: last(session, 0, [])) == "4-2"
    assert await database.read(lambda session: last(session, 2, ["4-2"])) == "3-1"
    assert await database.read(lambda session: last(session, 4, [])) == ""
    assert await database.read(lambda session: last(session, 0, ["4-2", "3-1"])) == "2-3"


async def test_rolling_back_forgets_later_epochs_of_the_job(database: Database, user_id: str, job_id: str) -> None:
    other = (await database.write(lambda session: JobRepository(session).add(builders.job(user_id)))).id

    def work(session: Session) -> None:
        for owner in (job_id, other):
            for epoch in (1, 2, 3):
                MetricRepository(session).put(metric(owner, epoch))
                result = ValidationResult(job_id=owner, epoch=epoch, sequence=1, summary={"epoch": epoch})
                ValidationRepository(session).put(result)
        again = ValidationResult(job_id=job_id, epoch=1, sequence=9, summary={"epoch": "again"})
        ValidationRepository(session).put(again)
        roll_back(session, job_id, 2)

    await database.write(work)
    metrics = await database.read(lambda session: MetricRepository(session).all(job_id))
    assert [row.epoch for row in metrics] == [1, 2]
    results = await database.read(lambda session: ValidationRepository(session).list(job_id, 10, ""))
    assert [(row.epoch, row.summary) for row in results.items] == [(1, {"epoch": "again"}), (2, {"epoch": 2})]
    assert len(await database.read(lambda session: MetricRepository(session).all(other))) == 3
