"""Uploads past the gateway: URLs to which clients send files, each bound to one size and one SHA-256."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from gateway.datasets.changes import Changes
from gateway.datasets.errors import file_exists
from gateway.datasets.files import FileAnnouncement
from gateway.datasets.inventory import Inventory, UploadLimits
from gateway.datasets.ownership import open_dataset
from gateway.datasets.waiting import in_thread, run_to_end
from rpc.errors import DomainError, invalid_request
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import PreparedUpload, now
from storage.objects import keys
from storage.objects.errors import ObjectNotFound, PresigningUnsupported
from storage.objects.store import ObjectStore, PresignedPut
from visionmesh.errors import Violation

MAX_FILES = 1000


@dataclass(frozen=True)
class SignedUpload:
    """Where one file goes, until when."""

    path: str
    put: PresignedPut
    expire_time: datetime


@dataclass(frozen=True)
class Preparation:
    """The files that are to be sent, and the paths of those that are there."""

    uploads: tuple[SignedUpload, ...]
    stored_paths: tuple[str, ...]


@dataclass(frozen=True)
class _Recorded:
    """What the database made of a request: files to send, some of which were prepared before, and files stored."""

    to_send: tuple[FileAnnouncement, ...]
    again: frozenset[str]
    stored: frozenset[str]


class UploadPreparation:
    """Prepares uploads and records them. What arrives lies apart from the dataset's files until it was verified."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        changes: Changes,
        threads: Executor,
        limits: UploadLimits,
        url_seconds: int,
    ) -> None:
        self._database = database
        self._store = store
        self._changes = changes
        self._threads = threads
        self._limits = limits
        self._url_seconds = url_seconds

    async def prepare(self, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement]) -> Preparation:
        """Sign an upload for each file that the dataset lacks; ``files`` have been checked, and no path comes twice.

        A file that was prepared before and has arrived with its size counts as there: its bytes are verified when
        the dataset is finalised, and one that differs is asked for again. Raises as the RPC documents.
        """
        await self._database.read(lambda session: open_dataset(session, user_id, dataset_id))
        await in_thread(self._threads, self._sign, dataset_id, files[0], now())  # before anything is recorded
        # Taken before the signatures, so that no URL ends earlier than it is said to.
        begin = now()
        expire_time = begin + timedelta(seconds=self._url_seconds)
        recorded = await run_to_end(
            self._database.write(lambda session: self._record(session, user_id, dataset_id, files, expire_time))
        )
        self._changes.notify(dataset_id)
        again = [file for file in recorded.to_send if file.path in recorded.again]
        arrived = await asyncio.gather(*(in_thread(self._threads, self._arrived, dataset_id, file) for file in again))
        there = recorded.stored | {file.path for file, is_there in zip(again, arrived, strict=True) if is_there}
        return await in_thread(self._threads, self._answer, dataset_id, files, there, expire_time)

    def _record(
        self,
        session: Session,
        user_id: str,
        dataset_id: str,
        files: Sequence[FileAnnouncement],
        expire_time: datetime,
    ) -> _Recorded:
        dataset = open_dataset(session, user_id, dataset_id)
        datasets, prepared = DatasetRepository(session), PreparedUploadRepository(session)
        prepared.lock(dataset_id, (dataset.state,))
        asked = {file.path: file for file in files}
        there = prepared.stored(dataset_id, [*asked])
        earlier = prepared.list(dataset_id)
        others = [(row.path, row.size_bytes) for row in earlier if row.path not in asked and row.path not in there]
        inventory = Inventory(self._limits, [*datasets.file_sizes(dataset_id), *others])
        violations: list[Violation] = []
        to_send: list[FileAnnouncement] = []
        for place, file in enumerate(files):
            if (known := there.get(file.path)) is not None:
                if (known.size_bytes, known.sha256) != (file.size_bytes, file.sha256):
                    raise file_exists(file.path)
            elif objections := inventory.objections(file.path, file.size_bytes):
                violations += [Violation(f"files[{place}].{field}", said) for field, said in objections]
            else:
                inventory.claim(file.path, file.size_bytes)
                to_send.append(file)
        if violations:
            raise invalid_request(violations)
        if to_send:
            prepared.replace(dataset_id, [_row(dataset_id, file, expire_time) for file in to_send])
            if datasets.change_state(dataset_id, ("FAILED",), "UPLOADING", failure=None, analyzed_files=0) is None:
                datasets.update(dataset_id)
        same = {(row.path, row.size_bytes, row.sha256) for row in earlier}
        again = frozenset(file.path for file in to_send if (file.path, file.size_bytes, file.sha256) in same)
        return _Recorded(tuple(to_send), again, frozenset(there))

    def _answer(
        self, dataset_id: str, files: Sequence[FileAnnouncement], there: Set[str], expire_time: datetime
    ) -> Preparation:
        uploads = [self._sign(dataset_id, file, expire_time) for file in files if file.path not in there]
        return Preparation(tuple(uploads), tuple(file.path for file in files if file.path in there))

    def _arrived(self, dataset_id: str, file: FileAnnouncement) -> bool:
        """Whether an upload that broke off had sent this file already."""
        try:
            return self._store.stat(keys.incoming_file(dataset_id, file.sha256)).size_bytes == file.size_bytes
        except ObjectNotFound:
            return False

    def _sign(self, dataset_id: str, file: FileAnnouncement, expire_time: datetime) -> SignedUpload:
        key = keys.incoming_file(dataset_id, file.sha256)
        try:
            put = self._store.presign_put(
                key, size_bytes=file.size_bytes, sha256=file.sha256, seconds=self._url_seconds
            )
        except PresigningUnsupported as error:
            said = "The object store of this gateway is a folder and hands out no URLs. Upload by UploadFiles instead."
            raise DomainError("PRESIGNED_UPLOADS_UNSUPPORTED", said) from error
        return SignedUpload(file.path, put, expire_time)


def _row(dataset_id: str, file: FileAnnouncement, expire_time: datetime) -> PreparedUpload:
    return PreparedUpload(
        dataset_id=dataset_id,
        path=file.path,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        expire_time=expire_time,
    )
