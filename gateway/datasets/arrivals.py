"""What was sent past the gateway becomes files of its dataset: the first step of an analysis.

An object is copied to its final key first and read there: nobody outside has a URL for that key, so what was verified
is what stays, whatever is still sent to the key of the upload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import structlog
from sqlalchemy.orm import Session

from annotations.problems import ERROR, Problem
from gateway.datasets.changes import Changes
from gateway.datasets.files import ReceivedFile
from gateway.datasets.inventory import Inventory, UploadLimits
from gateway.datasets.records import file_rows
from gateway.datasets.waiting import in_thread
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import PreparedUpload
from storage.objects import keys
from storage.objects.errors import InvalidKey, ObjectNotFound
from storage.objects.source import measure
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

FILES_AT_ONCE = 8
FILES_A_RECORD = 200
_TOLD = 3


class Arrivals:
    """Takes in the prepared uploads of datasets that are ANALYZING."""

    def __init__(
        self, database: Database, store: ObjectStore, changes: Changes, threads: Executor, limits: UploadLimits
    ) -> None:
        self._database = database
        self._store = store
        self._changes = changes
        self._threads = threads
        self._limits = limits

    async def take_in(self, dataset_id: str) -> list[Problem]:
        """Verify what has arrived and make it files of the dataset; gives a problem for each that has not, or differs.

        Cut off, it is called again and goes on. Raises StateChanged when the dataset is no longer ANALYZING, and
        StoreUnavailable.
        """
        awaited, settled, problems = await self._database.read(lambda session: self._load(session, dataset_id))
        if settled:
            await self._database.write(lambda session: PreparedUploadRepository(session).forget(dataset_id, settled))
        if not awaited:
            return problems
        for start in range(0, len(awaited), FILES_A_RECORD):
            group = awaited[start : start + FILES_A_RECORD]
            found = await self._verify(dataset_id, group)
            files = [file for file in found if isinstance(file, ReceivedFile)]
            problems += [file for file in found if isinstance(file, Problem)]
            await self._record(dataset_id, files)
        # All that lies there was judged. What comes later belongs to nothing, or is asked for anew.
        await in_thread(self._threads, self._store.delete_prefix, keys.incoming_prefix(dataset_id))
        logger.info("uploads taken in", dataset_id=dataset_id, uploads=len(awaited), problems=len(problems))
        return problems

    def _load(self, session: Session, dataset_id: str) -> tuple[list[PreparedUpload], list[str], list[Problem]]:
        """What is to be verified, the paths that are settled otherwise, and what is wrong with some of those."""
        inventory = Inventory(self._limits, DatasetRepository(session).file_sizes(dataset_id))
        awaited: list[PreparedUpload] = []
        settled: list[str] = []
        problems: list[Problem] = []
        for row in PreparedUploadRepository(session).list(dataset_id):
            if inventory.holds(row.path):  # it came through the gateway meanwhile
                settled.append(row.path)
            elif objections := inventory.objections(row.path, row.size_bytes):
                settled.append(row.path)
                problems.append(_refused(row.path, objections[0][1]))
            else:
                inventory.claim(row.path, row.size_bytes)
                awaited.append(row)
        return awaited, settled, problems

    async def _verify(self, dataset_id: str, uploads: Sequence[PreparedUpload]) -> list[ReceivedFile | Problem]:
        found: dict[str, ReceivedFile | Problem] = {}

        async def work(queue: Iterator[PreparedUpload]) -> None:
            for upload in queue:
                found[upload.path] = await in_thread(self._threads, self._take, dataset_id, upload)

        queue = iter(uploads)  # shared: each worker takes the next upload
        workers = [asyncio.create_task(work(queue)) for _ in range(FILES_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [found[upload.path] for upload in uploads]

    def _take(self, dataset_id: str, upload: PreparedUpload) -> ReceivedFile | Problem:
        sent = keys.incoming_file(dataset_id, upload.sha256)
        key = keys.dataset_file(dataset_id, upload.path)
        try:
            size = self._store.stat(sent).size_bytes
            if size != upload.size_bytes:
                return _differs(upload.path, f"{upload.size_bytes} bytes were announced, {size} arrived")
            self._store.copy(sent, key, sha256=upload.sha256)
        except ObjectNotFound:
            return _missing(upload.path)
        except InvalidKey as error:
            return _refused(upload.path, f"its key {error.why}")
        info = measure(self._store, key)
        if (info.size_bytes, info.sha256) != (upload.size_bytes, upload.sha256):
            self._store.delete(key)
            return _differs(upload.path, f"its SHA-256 is {info.sha256}, announced was {upload.sha256}")
        return ReceivedFile(upload.path, info.size_bytes, info.sha256)

    async def _record(self, dataset_id: str, files: Sequence[ReceivedFile]) -> None:
        def record(session: Session) -> None:
            rows = file_rows(dataset_id, files)
            DatasetRepository(session).add_files(dataset_id, rows, states=("ANALYZING",))
            PreparedUploadRepository(session).forget(dataset_id, [file.path for file in files])

        await self._database.write(record)
        self._changes.notify(dataset_id)


def arrivals_failure(problems: Sequence[Problem]) -> dict[str, object]:
    """Why a dataset is FAILED whose uploads did not all arrive, as its record keeps it."""
    said = " ".join(f"{problem.path}: {problem.message}" for problem in problems[:_TOLD])
    return {
        "reason": "DATASET_NOT_TRAINABLE",
        "message": f"{said} ListDatasetProblems lists all of them; nothing was analysed yet.",
        "metadata": {"errors": str(len(problems)), "problems": str(len(problems))},
    }


def _missing(path: str) -> Problem:
    said = "It was prepared and has not arrived. Prepare its upload again, send it, and finalise again."
    return Problem(path, "upload_missing", ERROR, said)


def _differs(path: str, how: str) -> Problem:
    said = f"What arrived is not what was announced: {how}. Prepare its upload again, send it, and finalise again."
    return Problem(path, "upload_differs", ERROR, said)


def _refused(path: str, why: str) -> Problem:
    said = f"Its upload cannot become a file of the dataset, and was dropped: {why}. Prepare it under another path."
    return Problem(path, "upload_refused", ERROR, said)
