"""Files that clients may send past the gateway."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from storage.database.errors import StateChanged
from storage.database.statements import portions
from storage.database.tables import Dataset, DatasetFile, PreparedUpload


class PreparedUploadRepository:
    """Queries about prepared uploads, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, dataset_id: str, states: Collection[str]) -> None:
        """Keeps the dataset in its state to the end of the transaction. Raises StateChanged when it is in no such."""
        state = self._session.scalar(select(Dataset.state).where(Dataset.id == dataset_id).with_for_update())
        if state not in states:
            raise StateChanged(state or "")

    def stored(self, dataset_id: str, paths: Sequence[str]) -> dict[str, DatasetFile]:
        """The dataset's files of these paths."""
        found: dict[str, DatasetFile] = {}
        for some in portions(paths):
            query = select(DatasetFile).where(DatasetFile.dataset_id == dataset_id, DatasetFile.path.in_(some))
            found.update((file.path, file) for file in self._session.scalars(query))
        return found

    def list(self, dataset_id: str) -> builtins.list[PreparedUpload]:
        """What is prepared for the dataset, sorted by path."""
        rows = self._session.scalars(select(PreparedUpload).where(PreparedUpload.dataset_id == dataset_id))
        return sorted(rows, key=lambda row: row.path)

    def contents(self, dataset_id: str) -> builtins.list[tuple[str, int, str]]:
        """(path, bytes, SHA-256) of what is prepared for the dataset, in any order."""
        query = select(PreparedUpload.path, PreparedUpload.size_bytes, PreparedUpload.sha256)
        rows = self._session.execute(query.where(PreparedUpload.dataset_id == dataset_id))
        return [(path, size_bytes, sha256) for path, size_bytes, sha256 in rows]

    def count(self, dataset_id: str) -> int:
        """How many uploads are prepared for the dataset."""
        query = select(func.count()).select_from(PreparedUpload).where(PreparedUpload.dataset_id == dataset_id)
        return self._session.scalar(query) or 0

    def replace(self, dataset_id: str, uploads: Sequence[PreparedUpload]) -> None:
        """Records ``uploads``, in place of earlier ones of the same paths."""
        self.forget(dataset_id, [upload.path for upload in uploads])
        self._session.add_all(uploads)
        self._session.flush()

    def forget(self, dataset_id: str, paths: Sequence[str]) -> None:
        """Removes what is prepared under these paths."""
        for some in portions(paths):
            doomed = PreparedUpload.dataset_id == dataset_id, PreparedUpload.path.in_(some)
            self._session.execute(delete(PreparedUpload).where(*doomed))

    def awaited(self, dataset_ids: Collection[str], failed_before: datetime) -> set[tuple[str, str]]:
        """(dataset, SHA-256) of what may still be taken in, of those datasets.

        What was prepared for a dataset that has FAILED counts until its URL has ended before ``failed_before``.
        """
        found: set[tuple[str, str]] = set()
        for some in portions([*dataset_ids]):
            query = (
                select(PreparedUpload.dataset_id, PreparedUpload.sha256)
                .join(Dataset, Dataset.id == PreparedUpload.dataset_id)
                .where(Dataset.id.in_(some))
                .where((Dataset.state != "FAILED") | (PreparedUpload.expire_time >= failed_before))
            )
            found.update((dataset_id, sha256) for dataset_id, sha256 in self._session.execute(query))
        return found
