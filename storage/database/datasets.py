"""Datasets, their files and problems."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from storage.database.errors import FileExists, StateChanged
from storage.database.pages import Page, fetch_page
from storage.database.statements import has_tags, matches_text, update_one
from storage.database.tables import Dataset, DatasetFile, DatasetProblem, TrainingJob, now

SHARED_VISIBILITIES = ("PROJECT", "PUBLIC")
OPEN_STATES = ("UPLOADING", "FAILED")  # a dataset takes files only in these
ACTIVE_JOB_STATES = ("QUEUED", "PREPARING", "RUNNING", "STOPPING")
_PATHS_PER_QUERY = 500


@dataclass(frozen=True)
class DatasetFilter:
    """What a listing is narrowed to; an empty field narrows nothing, several tags must all be there."""

    project_id: str = ""
    format: str = ""
    state: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()


class DatasetRepository:
    """Queries about datasets, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, dataset: Dataset) -> Dataset:
        """Inserts a new dataset and returns it with its defaults."""
        self._session.add(dataset)
        self._session.flush()
        return dataset

    def get(self, dataset_id: str) -> Dataset | None:
        """The dataset, whoever owns it."""
        return self._session.get(Dataset, dataset_id)

    def visible(self, dataset_id: str, user_id: str) -> Dataset | None:
        """The dataset, if the user owns it or it is shared."""
        return self._session.scalar(select(Dataset).where(Dataset.id == dataset_id, _visible_to(user_id)))

    def owned(self, dataset_id: str, user_id: str) -> Dataset | None:
        """The dataset, if the user owns it."""
        return self._session.scalar(select(Dataset).where(Dataset.id == dataset_id, Dataset.user_id == user_id))

    def list(self, user_id: str, filters: DatasetFilter, page_size: int, page_token: str) -> Page[Dataset]:
        """The datasets that the user may see, newest first. Raises InvalidPageToken."""
        query = select(Dataset).where(_visible_to(user_id), *has_tags(self._session, Dataset.tags, filters.tags))
        if filters.project_id:
            query = query.where(Dataset.project_id == filters.project_id)
        if filters.format:
            query = query.where(Dataset.format == filters.format)
        if filters.state:
            query = query.where(Dataset.state == filters.state)
        if filters.text:
            query = query.where(matches_text(filters.text, Dataset.name, Dataset.description))
        return fetch_page(
            self._session,
            query,
            order=(Dataset.create_time, Dataset.id),
            newest_first=True,
            page_size=page_size,
            page_token=page_token,
            scope=("datasets", user_id, asdict(filters)),
        )

    def statistics(self, dataset_id: str) -> dict[str, Any] | None:
        """What the analysis measured; None until the dataset is READY."""
        return self._session.scalar(select(Dataset.statistics).where(Dataset.id == dataset_id))

    def in_states(self, states: Collection[str]) -> builtins.list[Dataset]:
        """Every dataset in one of ``states``, oldest first."""
        query = select(Dataset).where(Dataset.state.in_(states)).order_by(Dataset.create_time, Dataset.id)
        return [*self._session.scalars(query)]

    def change_state(
        self, dataset_id: str, from_states: Collection[str], to_state: str, **changes: Any
    ) -> Dataset | None:
        """Moves the dataset to ``to_state`` and applies ``changes``; None when its state was not in ``from_states``."""
        changes = {"update_time": now(), **changes, "state": to_state}
        conditions = Dataset.id == dataset_id, Dataset.state.in_(from_states)
        return update_one(self._session, Dataset, *conditions, changes=changes)

    def update(self, dataset_id: str, **changes: Any) -> Dataset | None:
        """Applies ``changes`` and sets update_time; None when there is no such dataset."""
        return update_one(self._session, Dataset, Dataset.id == dataset_id, changes={"update_time": now(), **changes})

    def delete(self, dataset_id: str) -> bool:
        """Deletes the dataset with its files and problems; whether it was there."""
        statement = delete(Dataset).where(Dataset.id == dataset_id).returning(Dataset.id)
        return self._session.scalar(statement) is not None

    def has_active_job(self, dataset_id: str) -> bool:
        """Whether a job that is queued or under way trains on the dataset."""
        active = exists().where(TrainingJob.dataset_id == dataset_id, TrainingJob.state.in_(ACTIVE_JOB_STATES))
        return bool(self._session.scalar(select(active)))

    def add_files(self, dataset_id: str, files: Sequence[DatasetFile], states: Collection[str] = OPEN_STATES) -> str:
        """Records files that arrived whole, of different paths, and counts them in their dataset; all or none.

        Returns the dataset's state. Raises FileExists for a path that is there, StateChanged when the dataset is in
        none of ``states`` (any more).
        """
        # The row stays locked to the end of the transaction, so a finalise comes before or after, never between.
        state = self._session.scalar(select(Dataset.state).where(Dataset.id == dataset_id).with_for_update())
        if state is None or state not in states:
            raise StateChanged(state or "")
        for start in range(0, len(files), _PATHS_PER_QUERY):
            paths = [file.path for file in files[start : start + _PATHS_PER_QUERY]]
            taken = select(DatasetFile.path).where(DatasetFile.dataset_id == dataset_id, DatasetFile.path.in_(paths))
            if (path := self._session.scalar(taken.limit(1))) is not None:
                raise FileExists(path)
        if files:
            self._session.execute(insert(DatasetFile), [_values(file) for file in files])
        counted = {
            "file_count": Dataset.file_count + len(files),
            "total_size_bytes": Dataset.total_size_bytes + sum(file.size_bytes for file in files),
            "update_time": now(),
        }
        update_one(self._session, Dataset, Dataset.id == dataset_id, changes=counted)
        return state

    def list_files(self, dataset_id: str, page_size: int, page_token: str) -> Page[DatasetFile]:
        """The files by path. Raises InvalidPageToken."""
        return fetch_page(
            self._session,
            select(DatasetFile).where(DatasetFile.dataset_id == dataset_id),
            order=(DatasetFile.path,),
            page_size=page_size,
            page_token=page_token,
            scope=("dataset_files", dataset_id),
        )

    def file_sizes(self, dataset_id: str) -> builtins.list[tuple[str, int]]:
        """(path, bytes) of every file, in any order."""
        query = select(DatasetFile.path, DatasetFile.size_bytes).where(DatasetFile.dataset_id == dataset_id)
        return [(path, size_bytes) for path, size_bytes in self._session.execute(query)]

    def importing(self) -> builtins.list[str]:
        """Ids of the datasets whose import is not done, oldest first."""
        query = select(Dataset.id).where(Dataset.importing, Dataset.state == "UPLOADING")
        return [*self._session.scalars(query.order_by(Dataset.create_time, Dataset.id))]

    def file(self, dataset_id: str, path: str) -> DatasetFile | None:
        """One file of a dataset."""
        return self._session.get(DatasetFile, (dataset_id, path))

    def all_files(self, dataset_id: str) -> builtins.list[DatasetFile]:
        """Every file, sorted by code points of the path: the same order on every database."""
        files = self._session.scalars(select(DatasetFile).where(DatasetFile.dataset_id == dataset_id))
        return sorted(files, key=lambda file: file.path)

    def stored_files(self, dataset_id: str) -> builtins.list[tuple[str, int, str]]:
        """(path, bytes, SHA-256) of every file, in the order of ``all_files``: a million of them fit into memory."""
        columns = DatasetFile.path, DatasetFile.size_bytes, DatasetFile.sha256
        rows = self._session.execute(select(*columns).where(DatasetFile.dataset_id == dataset_id))
        return sorted((path, size_bytes, sha256) for path, size_bytes, sha256 in rows)

    def assign_splits(self, dataset_id: str, splits: Mapping[str, tuple[str, str]]) -> None:
        """Sets (split, label) of the files by path. Every path must be one of the dataset's files."""
        rows = [
            {"dataset_id": dataset_id, "path": path, "split": split, "label": label}
            for path, (split, label) in splits.items()
        ]
        if rows:
            self._session.execute(update(DatasetFile), rows)

    def replace_problems(self, dataset_id: str, problems: Sequence[DatasetProblem]) -> None:
        """Forgets what an earlier analysis found and records ``problems``, in their order."""
        self._session.execute(delete(DatasetProblem).where(DatasetProblem.dataset_id == dataset_id))
        for problem in problems:
            problem.dataset_id = dataset_id
        self._session.add_all(problems)
        self._session.flush()

    def list_problems(self, dataset_id: str, page_size: int, page_token: str) -> Page[DatasetProblem]:
        """The problems in the order in which they were recorded. Raises InvalidPageToken."""
        return fetch_page(
            self._session,
            select(DatasetProblem).where(DatasetProblem.dataset_id == dataset_id),
            order=(DatasetProblem.id,),
            page_size=page_size,
            page_token=page_token,
            scope=("dataset_problems", dataset_id),
        )


def _visible_to(user_id: str) -> ColumnElement[bool]:
    return or_(Dataset.user_id == user_id, Dataset.visibility.in_(SHARED_VISIBILITIES))


def _values(file: DatasetFile) -> dict[str, Any]:
    """The row of a new file, for an insert of many: faster than as many objects of the session."""
    return {
        "dataset_id": file.dataset_id,
        "path": file.path,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "split": file.split or "",
        "label": file.label or "",
    }
