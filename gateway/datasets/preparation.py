"""Uploads past the gateway: URLs to which clients send files, each bound to one size and one SHA-256."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from gateway.datasets.changes import Changes
from gateway.datasets.errors import file_exists, invalid_transition
from gateway.datasets.files import FileAnnouncement
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.ownership import CLOSED_ADVICE, open_dataset
from gateway.datasets.prepared_files import PreparedFiles, PreparedFilesCache
from gateway.datasets.waiting import in_thread, run_to_end
from rpc.errors import DomainError, invalid_request
from storage.database.datasets import OPEN_STATES, DatasetRepository
from storage.database.engine import Database
from storage.database.errors import StateChanged
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import DatasetFile, PreparedUpload, now
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
        self._known = PreparedFilesCache(limits)
        self._turn = asyncio.Lock()  # of calls that look and then record
        self._url_seconds = url_seconds

    async def prepare(self, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement]) -> Preparation:
        """Sign an upload for each file that the dataset lacks; ``files`` have been checked, and no path comes twice.

        A file that was prepared before and has arrived with its size counts as there: its bytes are verified when
        the dataset is finalised, and one that differs is asked for again. Raises as the RPC documents.
        """
        await self._database.read(lambda session: open_dataset(session, user_id, dataset_id))
        # Before anything is recorded, and before the signatures, so that no URL ends earlier than it is said to.
        expire_time = now() + timedelta(seconds=self._url_seconds)
        await in_thread(self._threads, self._sign, dataset_id, files[0], expire_time)
        async with self._turn:
            stored, again = await run_to_end(self._record(user_id, dataset_id, files, expire_time))
        arrived = await asyncio.gather(*(in_thread(self._threads, self._arrived, dataset_id, file) for file in again))
        there = stored | {file.path for file, is_there in zip(again, arrived, strict=True) if is_there}
        return await in_thread(self._threads, self._answer, dataset_id, files, there, expire_time)

    async def _record(
        self, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement], expire_time: datetime
    ) -> tuple[set[str], list[FileAnnouncement]]:
        """Record what is to be sent; gives the paths that are stored, and the files that had been prepared before."""
        known, there = await self._database.read(lambda session: self._load(session, user_id, dataset_id, files))
        again = [file for file in files if known.is_prepared(file)]
        violations: list[Violation] = []
        to_send: list[FileAnnouncement] = []
        for place, file in enumerate(files):
            if (stored := there.get(file.path)) is not None:
                if (stored.size_bytes, stored.sha256) != (file.size_bytes, file.sha256):
                    raise file_exists(file.path)
            elif objections := known.prepare(file):
                violations += [Violation(f"files[{place}].{field}", said) for field, said in objections]
            else:
                to_send.append(file)
        if violations:
            raise invalid_request(violations)
        if to_send:
            await self._database.write(lambda session: _write(session, user_id, dataset_id, to_send, expire_time))
            self._changes.notify(dataset_id)
        self._known.keep(dataset_id, known)
        return set(there), again

    def _load(
        self, session: Session, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement]
    ) -> tuple[PreparedFiles, dict[str, DatasetFile]]:
        dataset = open_dataset(session, user_id, dataset_id)
        there = PreparedUploadRepository(session).stored(dataset_id, [file.path for file in files])
        return self._known.load(session, dataset), there

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


def _write(
    session: Session, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement], expire_time: datetime
) -> None:
    dataset = open_dataset(session, user_id, dataset_id)
    datasets, prepared = DatasetRepository(session), PreparedUploadRepository(session)
    try:
        prepared.lock(dataset_id, OPEN_STATES)
    except StateChanged as error:
        raise invalid_transition(dataset_id, error.state, "UPLOADING", CLOSED_ADVICE) from error
    prepared.replace(dataset_id, [_row(dataset_id, file, expire_time) for file in files])
    if dataset.state == "FAILED":
        datasets.change_state(dataset_id, ("FAILED",), "UPLOADING", failure=None, analyzed_files=0)
    else:
        datasets.update(dataset_id)


def _row(dataset_id: str, file: FileAnnouncement, expire_time: datetime) -> PreparedUpload:
    return PreparedUpload(
        dataset_id=dataset_id,
        path=file.path,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        expire_time=expire_time,
    )
