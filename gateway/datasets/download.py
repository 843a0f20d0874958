"""Sending the files of a dataset as a tar archive, no faster than the client takes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy.orm import Session

from gateway.datasets.archive import END_OF_ARCHIVE, ArchiveWriter
from gateway.datasets.errors import dataset_not_found
from gateway.datasets.rights import ready, visible
from gateway.reading_ahead import one_ahead
from rpc.errors import DomainError
from storage.database.dataset_selection import FileSelection, SelectedFile, SelectedFiles
from storage.database.engine import Database
from storage.objects.store import ObjectStore

PAGE_FILES = 5000
_STEPS = 8
_READERS = 16


@dataclass(frozen=True)
class DownloadChunk:
    """Bytes of the archive, and what ``DownloadDatasetResponse`` says beside them."""

    data: bytes
    last_path: str
    total_files: int
    total_size_bytes: int


class DatasetDownloads:
    """Downloads of this gateway. One holds a few MiB, and a thread only while it reads."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store
        self._threads = ThreadPoolExecutor(_STEPS, thread_name_prefix="download")
        # Beside the other threads, which wait for these.
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="download-read")

    def close(self) -> None:
        """Wait for the threads. Blocks."""
        self._threads.shutdown()
        self._readers.shutdown(cancel_futures=True)

    async def chunks(self, user_id: str, selection: FileSelection) -> AsyncGenerator[DownloadChunk, None]:
        """Yield the archive of the selected files.

        Raises DATASET_NOT_FOUND, also when it is deleted meanwhile; DATASET_NOT_READY, STORAGE_CORRUPT.
        """

        def begin(session: Session) -> tuple[int, tuple[int, int]]:
            # The one time of a dataset that no renaming changes: the same files stay the same archive.
            created = ready(session, user_id, selection.dataset_id).create_time
            return int(created.timestamp()), SelectedFiles(session, selection).totals()

        mtime, totals = await self._database.read(begin)
        writer = ArchiveWriter(self._store, self._readers, selection.dataset_id, mtime)
        sent, last_path = 0, ""
        try:
            while files := await self._page(selection, last_path):
                async with aclosing(one_ahead(self._threads, writer.chunks(files))) as chunks:
                    async for chunk in chunks:
                        last_path = chunk.last_path or last_path
                        yield DownloadChunk(chunk.data, last_path, *totals)
                sent += len(files)
        except DomainError:
            await self._check_exists(user_id, selection.dataset_id)
            raise
        if sent != totals[0]:
            raise dataset_not_found(selection.dataset_id)
        yield DownloadChunk(END_OF_ARCHIVE, last_path, *totals)

    async def _page(self, selection: FileSelection, after: str) -> list[SelectedFile]:
        return await self._database.read(lambda session: [*SelectedFiles(session, selection).page(after, PAGE_FILES)])

    async def _check_exists(self, user_id: str, dataset_id: str) -> None:
        """Raises DATASET_NOT_FOUND: the files of a dataset that was deleted are not damaged, they are gone."""
        await self._database.read(lambda session: visible(session, user_id, dataset_id).id)
