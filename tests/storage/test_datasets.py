from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.orm import Session

from storage.database.datasets import DatasetFilter, DatasetRepository
from storage.database.engine import Database
from storage.database.errors import FileExists, InvalidPageToken, StateChanged
from storage.database.jobs import JobRepository
from storage.database.pages import Page
from storage.database.tables import Dataset, DatasetProblem
from storage.database.users import UserRepository
from tests.storage import builders


async def add(database: Database, *datasets: Dataset) -> None:
    await database.write(lambda session: session.add_all(datasets))


async def list_page(
    database: Database, user_id: str, page_size: int, token: str, filters: DatasetFilter | None = None
) -> Page[Dataset]:
    narrowed = filters or DatasetFilter()
    return await database.read(lambda session: DatasetRepository(session).list(user_id, narrowed, page_size, token))


async def names(database: Database, user_id: str, filters: DatasetFilter) -> list[str]:
    page = await database.read(lambda session: DatasetRepository(session).list(user_id, filters, 100, ""))
    assert page.total_size == len(page.items)
    return [dataset.name for dataset in page.items]


async def test_who_sees_and_who_owns(database: Database, user_id: str) -> None:
    other = (await database.write(lambda session: UserRepository(session).create("grace"))).id
    rows = {
        visibility: builders.dataset(user_id, name=visibility, visibility=visibility)
        for visibility in ("PRIVATE", "PROJECT", "PUBLIC")
    }
    await add(database, *rows.values())

    def seen(session: Session, by: str) -> list[str]:
        return [name for name, row in rows.items() if DatasetRepository(session).visible(row.id, by)]

    def owned(session: Session, by: str) -> list[str]:
        return [name for name, row in rows.items() if DatasetRepository(session).owned(row.id, by)]

    assert await database.read(lambda session: seen(session, user_id)) == ["PRIVATE", "PROJECT", "PUBLIC"]
    assert await database.read(lambda session: seen(session, other)) == ["PROJECT", "PUBLIC"]
    assert await database.read(lambda session: owned(session, user_id)) == ["PRIVATE", "PROJECT", "PUBLIC"]
    assert await database.read(lambda session: owned(session, other)) == []
    assert sorted(await names(database, other, DatasetFilter())) == ["PROJECT", "PUBLIC"]


async def test_filters(database: Database, user_id: str) -> None:
    await add(
        database,
        builders.dataset(user_id, name="Sparrows 100%", tags=["bird", "small"], project_id="p1"),
        builders.dataset(user_id, name="hawks", description="BIG_ birds Ä", tags=["bird"], format="COCO"),
        builders.dataset(user_id, name="cats", tags=["it's"], state="READY"),
        builders.dataset(user_id, name="untagged"),
    )

    async def found(**fields: object) -> list[str]:
        return sorted(await names(database, user_id, DatasetFilter(**fields)))  # type: ignore[arg-type]

    assert await found(tags=("bird",)) == ["Sparrows 100%", "hawks"]
    assert await found(tags=("small", "bird")) == ["Sparrows 100%"]
    assert await found(tags=("bir",)) == []
    assert await found(tags=("it's",)) == ["cats"]
    assert await found(text="SPARROWS") == ["Sparrows 100%"]
    assert await found(text="%") == ["Sparrows 100%"]
    assert await found(text="_") == ["hawks"]
    assert await found(text="/") == []
    assert await found(text="big_ birds ä") == ["hawks"]
    assert await found(project_id="p1") == ["Sparrows 100%"]
    assert await found(format="COCO") == ["hawks"]
    assert await found(state="READY") == ["cats"]
    assert await found(state="READY", tags=("bird",)) == []


async def test_pages_are_stable_while_rows_are_inserted(database: Database, user_id: str) -> None:
    await add(database, *(builders.dataset(user_id, name=f"old {number}") for number in range(7)))
    seen: list[str] = []
    token = ""
    for turn in range(10):
        await add(database, builders.dataset(user_id, name=f"new {turn}"))
        page = await list_page(database, user_id, 3, token)
        assert page.total_size == 8 + turn
        seen += [dataset.name for dataset in page.items]
        token = page.next_page_token
        if not token:
            break
    assert seen[0] == "new 0"
    assert sorted(seen[1:]) == [f"old {number}" for number in range(7)]


async def test_rows_of_the_same_moment_are_all_listed(database: Database, user_id: str) -> None:
    first = builders.dataset(user_id)
    await add(database, first)
    await add(database, *(builders.dataset(user_id, create_time=first.create_time) for _ in range(4)))
    seen: list[str] = []
    token = ""
    while not seen or token:
        page = await list_page(database, user_id, 2, token)
        seen += [dataset.id for dataset in page.items]
        token = page.next_page_token
    assert len(seen) == len(set(seen)) == 5


async def test_a_token_is_refused_elsewhere(database: Database, user_id: str) -> None:
    await add(database, builders.dataset(user_id), builders.dataset(user_id))
    page = await list_page(database, user_id, 1, "")
    for by, filters in ((user_id, DatasetFilter(text="g")), ("user_other", DatasetFilter())):
        with pytest.raises(InvalidPageToken):
            await list_page(database, by, 1, page.next_page_token, filters)
    with pytest.raises(ValueError, match="page_size"):
        await list_page(database, user_id, 0, "")


async def test_files_are_counted_once(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    async def upload(path: str) -> None:
        file = builders.dataset_file(dataset.id, path, size_bytes=5)
        await database.write(lambda session: DatasetRepository(session).add_files(dataset.id, [file]))

    await asyncio.gather(*(upload(f"{number:02}.png") for number in range(20)))
    with pytest.raises(FileExists) as caught:
        await upload("03.png")
    assert caught.value.path == "03.png"
    stored = await database.read(lambda session: DatasetRepository(session).get(dataset.id))
    assert stored is not None
    assert (stored.file_count, stored.total_size_bytes) == (20, 100)
    assert stored.update_time > dataset.update_time


async def test_files_come_all_or_none(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    async def upload(*numbers: int) -> None:
        files = [builders.dataset_file(dataset.id, f"{number:04}.png", size_bytes=2) for number in numbers]
        await database.write(lambda session: DatasetRepository(session).add_files(dataset.id, files))

    await upload(*range(1200))
    with pytest.raises(FileExists) as caught:
        await upload(*range(1199, 2400))
    assert caught.value.path == "1199.png"
    stored = await database.read(lambda session: DatasetRepository(session).get(dataset.id))
    files = await database.read(lambda session: DatasetRepository(session).all_files(dataset.id))
    assert stored is not None and (stored.file_count, stored.total_size_bytes, len(files)) == (1200, 2400, 1200)


async def test_a_service_may_go_on_after_a_repeated_file(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    def work(session: Session) -> None:
        datasets = DatasetRepository(session)
        datasets.add_files(dataset.id, [builders.dataset_file(dataset.id, "a.png")])
        with pytest.raises(FileExists):
            datasets.add_files(dataset.id, [builders.dataset_file(dataset.id, "a.png")])

    await database.write(work)
    stored = await database.read(lambda session: DatasetRepository(session).get(dataset.id))
    assert stored is not None and stored.file_count == 1


@pytest.mark.parametrize("state", ["ANALYZING", "READY"])
async def test_a_closed_dataset_takes_no_files(database: Database, user_id: str, state: str) -> None:
    dataset = builders.dataset(user_id, state=state)
    await add(database, dataset)
    with pytest.raises(StateChanged) as caught:
        await database.write(
            lambda session: DatasetRepository(session).add_files(dataset.id, [builders.dataset_file(dataset.id, "a")])
        )
    assert caught.value.state == state
    with pytest.raises(StateChanged, match="gone"):
        await database.write(
            lambda session: DatasetRepository(session).add_files("ds_0", [builders.dataset_file("ds_0", "a")])
        )


async def test_files_are_listed_by_path_with_their_splits(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    def work(session: Session) -> None:
        datasets = DatasetRepository(session)
        for path in ("b/2.png", "a/1.png", "c/3.png"):
            datasets.add_files(dataset.id, [builders.dataset_file(dataset.id, path)])
        datasets.assign_splits(dataset.id, {"b/2.png": ("TRAIN", "b"), "a/1.png": ("VAL", "a")})
        datasets.assign_splits(dataset.id, {})

    await database.write(work)
    first = await database.read(lambda session: DatasetRepository(session).list_files(dataset.id, 2, ""))
    rest = await database.read(
        lambda session: DatasetRepository(session).list_files(dataset.id, 2, first.next_page_token)
    )
    assert (first.total_size, rest.next_page_token) == (3, "")
    files = [(file.path, file.split, file.label) for file in first.items + rest.items]
    assert files == [("a/1.png", "VAL", "a"), ("b/2.png", "TRAIN", "b"), ("c/3.png", "", "")]
    every = await database.read(lambda session: DatasetRepository(session).all_files(dataset.id))
    assert [file.path for file in every] == ["a/1.png", "b/2.png", "c/3.png"]


async def test_problems_are_replaced(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    async def replace(*messages: str) -> None:
        problems = [DatasetProblem(kind="BROKEN_IMAGE", severity="ERROR", message=message) for message in messages]
        await database.write(lambda session: DatasetRepository(session).replace_problems(dataset.id, problems))

    await replace("an old one")
    await replace("one", "two", "three")
    page = await database.read(lambda session: DatasetRepository(session).list_problems(dataset.id, 2, ""))
    assert ([problem.message for problem in page.items], page.total_size) == (["one", "two"], 3)
    page = await database.read(
        lambda session: DatasetRepository(session).list_problems(dataset.id, 2, page.next_page_token)
    )
    assert [problem.message for problem in page.items] == ["three"]


async def test_a_state_changes_once(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    async def finalise(number: int) -> Dataset | None:
        return await database.write(
            lambda session: DatasetRepository(session).change_state(
                dataset.id, ("UPLOADING", "FAILED"), "ANALYZING", split_seed=number
            )
        )

    changed = [row for row in await asyncio.gather(*(finalise(number) for number in range(5))) if row is not None]
    assert len(changed) == 1
    assert changed[0].state == "ANALYZING"
    stored = await database.read(lambda session: DatasetRepository(session).in_states(["ANALYZING", "READY"]))
    assert [(row.id, row.split_seed) for row in stored] == [(dataset.id, changed[0].split_seed)]


async def test_a_row_in_hand_follows_the_update(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)
    await add(database, dataset)

    def work(session: Session) -> Dataset | None:
        datasets = DatasetRepository(session)
        row = datasets.get(dataset.id)
        datasets.update(dataset.id, name="renamed", tags=["x"], failure={"reason": "R"})
        return row

    row = await database.write(work)
    assert row is not None
    assert (row.name, row.tags, row.failure) == ("renamed", ["x"], {"reason": "R"})
    assert await database.write(lambda session: DatasetRepository(session).update("ds_0", name="x")) is None


async def test_a_deleted_dataset_takes_its_rows_along(database: Database, user_id: str) -> None:
    dataset = builders.dataset(user_id)

    def fill(session: Session) -> None:
        datasets = DatasetRepository(session)
        datasets.add(dataset)
        datasets.add_files(dataset.id, [builders.dataset_file(dataset.id, "a.png")])
        datasets.replace_problems(dataset.id, [DatasetProblem(kind="K", severity="ERROR", message="m")])

    await database.write(fill)
    assert await database.write(lambda session: DatasetRepository(session).delete(dataset.id))
    assert not await database.write(lambda session: DatasetRepository(session).delete(dataset.id))
    assert await database.read(lambda session: DatasetRepository(session).all_files(dataset.id)) == []
    page = await database.read(lambda session: DatasetRepository(session).list_problems(dataset.id, 5, ""))
    assert page.total_size == 0


@pytest.mark.parametrize(
    ("state", "active"), [("PENDING", False), ("QUEUED", True), ("STOPPING", True), ("COMPLETED", False)]
)
async def test_which_jobs_hold_a_dataset(database: Database, user_id: str, state: str, active: bool) -> None:
    job = builders.job(user_id, dataset_id="ds_held", state=state)
    await database.write(lambda session: JobRepository(session).add(job))
    assert await database.read(lambda session: DatasetRepository(session).has_active_job("ds_held")) is active
    assert not await database.read(lambda session: DatasetRepository(session).has_active_job("ds_1"))
