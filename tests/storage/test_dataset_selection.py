"""Which files of a dataset are sent, and in which order: the same on every database."""

from __future__ import annotations

from sqlalchemy.orm import Session

from storage.database.dataset_selection import FileSelection, SelectedFiles
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from tests.storage import builders

# Code points and the rules of a language order these differently.
PATHS = ["Train/b.png", "a%b/1", "aXb/1", "a_b/1", "train/B.png", "train/a.png", "train/é.png", "train/🐈.png", "zoo/1"]


async def filled(database: Database, user_id: str) -> str:
    """A dataset of PATHS, two of them in splits."""
    row = builders.dataset(user_id)
    dataset_id = row.id

    def work(session: Session) -> None:
        session.add(row)
        session.flush()
        files = [builders.dataset_file(dataset_id, path, size) for size, path in enumerate(reversed(PATHS))]
        DatasetRepository(session).add_files(dataset_id, files)
        splits = {"train/a.png": ("train", "a"), "zoo/1": ("val", "a")}
        DatasetRepository(session).assign_splits(dataset_id, splits)

    await database.write(work)
    return dataset_id


async def paths(database: Database, selection: FileSelection, page_size: int = 100) -> list[str]:
    """The paths of all pages."""
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        page = await database.read(lambda session: SelectedFiles(session, selection).page(after, page_size))  # noqa: B023
        if not page:
            return found
        found += [file.path for file in page]


async def test_files_come_by_code_points_on_pages_of_any_size(database: Database, user_id: str) -> None:
    everything = FileSelection(await filled(database, user_id))
    assert sorted(PATHS) == PATHS
    for page_size in (1, 2, 100):
        assert await paths(database, everything, page_size) == PATHS
    totals = await database.read(lambda session: SelectedFiles(session, everything).totals())
    assert totals == (len(PATHS), sum(range(len(PATHS))))


async def test_a_prefix_is_taken_letter_by_letter(database: Database, user_id: str) -> None:
    dataset_id = await filled(database, user_id)
    assert await paths(database, FileSelection(dataset_id, "train/")) == [p for p in PATHS if p.startswith("train/")]
    assert await paths(database, FileSelection(dataset_id, "a_")) == ["a_b/1"]
    assert await paths(database, FileSelection(dataset_id, "a%")) == ["a%b/1"]
    assert await paths(database, FileSelection(dataset_id, "train/é")) == ["train/é.png"]
    assert await paths(database, FileSelection(dataset_id, "nothing")) == []


async def test_what_comes_after_a_path_is_by_code_points_too(database: Database, user_id: str) -> None:
    dataset_id = await filled(database, user_id)
    for place, path in enumerate(PATHS):
        assert await paths(database, FileSelection(dataset_id, after_path=path)) == PATHS[place + 1 :]
    selection = FileSelection(dataset_id, "train/", "train/a.png")
    assert await paths(database, selection, 1) == ["train/é.png", "train/🐈.png"]
    assert (await database.read(lambda session: SelectedFiles(session, selection).totals()))[0] == 2


async def test_splits_leave_the_rest_out(database: Database, user_id: str) -> None:
    dataset_id = await filled(database, user_id)
    assert await paths(database, FileSelection(dataset_id, splits=("val",))) == ["zoo/1"]
    assert await paths(database, FileSelection(dataset_id, splits=("train", "val"))) == ["train/a.png", "zoo/1"]
    empty = FileSelection(dataset_id, splits=("test",))
    assert await database.read(lambda session: SelectedFiles(session, empty).totals()) == (0, 0)


async def test_labels_are_those_of_files_in_a_split(database: Database, user_id: str) -> None:
    dataset_id = await filled(database, user_id)

    def labels(session: Session, label: str, *splits: str) -> list[tuple[str, str]]:
        return sorted(SelectedFiles(session, FileSelection(dataset_id, splits=splits)).labels(label))

    assert await database.read(lambda session: labels(session, "")) == [("train/a.png", "a"), ("zoo/1", "a")]
    assert await database.read(lambda session: labels(session, "a", "val")) == [("zoo/1", "a")]
    assert await database.read(lambda session: labels(session, "b")) == []
