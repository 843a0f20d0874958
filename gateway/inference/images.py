"""Files of datasets as images to predict."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from gateway.datasets.errors import dataset_not_found
from gateway.inference.checks import check_image_bytes
from rpc.errors import DomainError, invalid_request
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import DatasetFile
from storage.objects import keys
from storage.objects.errors import ObjectNotFound
from storage.objects.paths import InvalidPath, normalize
from storage.objects.store import ObjectStore
from visionmesh.errors import Violation
from visionmesh.v1 import inference_pb2

_READERS = 4
_SHOWN_CHARACTERS = 100


class DatasetImages:
    """Reads files of datasets that a caller may see, in threads of its own."""

    def __init__(self, database: Database, store: ObjectStore, max_image_bytes: int) -> None:
        self._database = database
        self._store = store
        self._max_image_bytes = max_image_bytes
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="dataset-image")

    async def read(self, wanted: inference_pb2.DatasetFileRef, user_id: str) -> bytes:
        """The bytes of the file.

        Raises DomainError INVALID_REQUEST, DATASET_NOT_FOUND, FILE_NOT_FOUND, MESSAGE_TOO_LARGE before anything is
        read, STORAGE_CORRUPT when the record has no object, and StoreUnavailable.
        """
        try:
            path = normalize(wanted.path)
        except InvalidPath as error:
            raise invalid_request([Violation("dataset_file.path", error.why)]) from error
        file = await self._database.read(lambda session: _find(session, wanted.dataset_id, path, user_id))
        check_image_bytes(file.size_bytes, self._max_image_bytes)
        key = keys.dataset_file(wanted.dataset_id, path)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._store.get, key)
        except ObjectNotFound as error:
            raise DomainError(
                "STORAGE_CORRUPT",
                f"The file {path!r} of dataset {wanted.dataset_id} is recorded, but its object is gone.",
                metadata={"dataset_id": wanted.dataset_id, "path": path},
            ) from error

    def close(self) -> None:
        """Take no more reads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _find(session: Session, dataset_id: str, path: str, user_id: str) -> DatasetFile:
    datasets = DatasetRepository(session)
    # PostgreSQL refuses NUL in text with an error of its own; no id of ours has one.
    if "\0" in dataset_id or datasets.visible(dataset_id, user_id) is None:
        raise dataset_not_found(dataset_id[:_SHOWN_CHARACTERS])
    file = datasets.file(dataset_id, path)
    if file is None:
        raise DomainError(
            "FILE_NOT_FOUND",
            f"The dataset {dataset_id} has no file {path[:_SHOWN_CHARACTERS]!r}.",
            metadata={"dataset_id": dataset_id, "path": path},
        )
    return file
