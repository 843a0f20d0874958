"""Some of the files of a dataset, in one order on every database, page by page: a dataset may have a million."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, collate, func, select
from sqlalchemy.orm import Session

from storage.database.tables import DatasetFile

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class FileSelection:
    """Files of a dataset: those below ``path_prefix``, behind ``after_path`` by code points, and of ``splits``.

    An empty field narrows nothing.
    """

    dataset_id: str
    path_prefix: str = ""
    after_path: str = ""
    splits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """What it takes to read a file and to verify it."""

    path: str
    size_bytes: int
    sha256: str


class SelectedFiles:
    """Queries about a selection, inside the transaction of ``session``."""

    def __init__(self, session: Session, selection: FileSelection) -> None:
        self._session = session
        # By code points, as Python compares: SQLite does so by itself, PostgreSQL when it is told to.
        on_sqlite = session.get_bind().dialect.name == "sqlite"
        self._path: ColumnElement[Any] = DatasetFile.path.expression if on_sqlite else collate(DatasetFile.path, "C")
        self._conditions = [DatasetFile.dataset_id == selection.dataset_id]
        if prefix := selection.path_prefix:
            self._conditions.append(func.substr(DatasetFile.path, 1, len(prefix)) == prefix)
        if selection.after_path:
            self._conditions.append(self._path > selection.after_path)
        if selection.splits:
            self._conditions.append(DatasetFile.split.in_(selection.splits))

    def totals(self) -> tuple[int, int]:
        """Number of the files, and of their bytes."""
        query = select(func.count(), func.coalesce(func.sum(DatasetFile.size_bytes), 0)).where(*self._conditions)
        count, size_bytes = self._session.execute(query).one()
        return int(count), int(size_bytes)

    def labels(self, label: str = "") -> Iterator[tuple[str, str]]:
        """Yield path and label of each file that is in a split, in any order; only those of ``label`` if it is given.

        Memory does not grow with their number.
        """
        query = select(DatasetFile.path, DatasetFile.label).where(*self._conditions, DatasetFile.split != "")
        if label:
            query = query.where(DatasetFile.label == label)
        for row in self._session.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
            yield row.path, row.label

    def page(self, after: str, size: int) -> Sequence[SelectedFile]:
        """The next ``size`` files behind the path ``after`` (empty: the first), sorted by code points of the path."""
        query = select(DatasetFile.path, DatasetFile.size_bytes, DatasetFile.sha256).where(*self._conditions)
        if after:
            query = query.where(self._path > after)
        rows = self._session.execute(query.order_by(self._path).limit(size))
        return [SelectedFile(path, size_bytes, sha256) for path, size_bytes, sha256 in rows]
