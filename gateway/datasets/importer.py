"""Runs imports beside the calls: copies the files of a source into the store, records them, begins the analysis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from gateway.datasets.changes import Changes
from gateway.datasets.files import ReceivedFile
from gateway.datasets.import_listing import ListedFile, list_source
from gateway.datasets.import_rules import ImportRules
from gateway.datasets.inventory import Inventory, UploadLimits
from gateway.datasets.ownership import files_claim
from gateway.datasets.records import delete_objects, file_rows
from gateway.datasets.waiting import in_thread
from rpc.errors import DomainError
from storage.database.claims import claimed
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable, FileExists, StateChanged
from storage.objects import keys
from storage.objects.errors import InvalidKey, SourceUnreadable, StoreUnavailable
from storage.objects.source import Source, copy_file
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

CONCURRENT_IMPORTS = 2
FILES_AT_ONCE = 8
FILES_A_RECORD = 200
RECORD_SECONDS = 0.5
RETRY_SECONDS = 5.0


class Importer:
    """Takes imports from UPLOADING to ANALYZING, or to FAILED when a file of the source cannot be had.

    An import that is cut off, by ``close`` or a kill, is started again and goes on with the files that are missing.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        changes: Changes,
        rules: ImportRules,
        limits: UploadLimits,
        analyse: Callable[[str], None],
    ) -> None:
        """``analyse`` starts the analysis of a dataset that is ANALYZING."""
        self._database = database
        self._store = store
        self._changes = changes
        self._rules = rules
        self._limits = limits
        self._analyse = analyse
        self._threads = ThreadPoolExecutor(CONCURRENT_IMPORTS * FILES_AT_ONCE, thread_name_prefix="import")
        self._turns = asyncio.Semaphore(CONCURRENT_IMPORTS)
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, dataset_id: str) -> None:
        """Import the files of a dataset that waits for them; does nothing when that is under way."""
        if dataset_id not in self._running:
            task = asyncio.create_task(self._run(dataset_id), name=f"import of {dataset_id}")
            self._running[dataset_id] = task
            task.add_done_callback(lambda _: self._running.pop(dataset_id))

    async def stop(self, dataset_id: str) -> None:
        """Cut one import off and wait for its threads."""
        if (task := self._running.get(dataset_id)) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def close(self) -> None:
        """Cut the imports off and wait for their threads."""
        for dataset_id in [*self._running]:
            await self.stop(dataset_id)
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, dataset_id: str) -> None:
        log = logger.bind(dataset_id=dataset_id)
        while True:
            try:
                async with self._turns, claimed(self._database.claims, files_claim(dataset_id)) as mine:
                    if mine:
                        await self._end(dataset_id, await self._import(dataset_id))
                return  # another gateway imports it, where it is not for this one
            except (StateChanged, FileExists):
                log.info("import dropped: the dataset waits for no files, or another gateway brings them")
                await self._tidy(dataset_id)
                return
            except (StoreUnavailable, DatabaseUnavailable) as error:
                log.warning("import waits for its storage", error=str(error), retry_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def _tidy(self, dataset_id: str) -> None:
        """Remove what was copied for a dataset that was deleted meanwhile, through another gateway."""
        try:
            if await self._database.read(lambda session: DatasetRepository(session).get(dataset_id)) is None:
                await in_thread(self._threads, delete_objects, self._store, dataset_id)
        except (StoreUnavailable, DatabaseUnavailable) as error:
            logger.warning("objects of a deleted dataset stay until a start", dataset_id=dataset_id, error=str(error))

    async def _import(self, dataset_id: str) -> dict[str, object] | None:
        """Copy what is missing; gives the failure when that cannot be done. Raises StateChanged and outages."""
        dataset = await self._database.read(lambda session: DatasetRepository(session).get(dataset_id))
        if dataset is None or dataset.state != "UPLOADING" or not dataset.importing:
            raise StateChanged(dataset.state if dataset else "")
        location = dataset.import_source
        try:
            source = await in_thread(self._threads, self._rules.open, location)
            stored = await self._database.read(lambda session: DatasetRepository(session).file_sizes(dataset_id))
            inventory = Inventory(self._limits, stored)
            missing = await in_thread(self._threads, list_source, source, inventory, {path for path, _ in stored})
            if not missing and not stored:
                raise SourceUnreadable("", "there is no file below it")
            await self._copy(dataset_id, source, missing)
        except SourceUnreadable as error:
            return _failure(location, error.name, error.why)
        except DomainError as error:  # the settings have changed since
            return _failure(location, "", error.message)
        except (StoreUnavailable, DatabaseUnavailable, StateChanged, FileExists):
            raise
        except Exception:
            logger.exception("import failed", dataset_id=dataset_id)
            message = "The import failed inside VisionMesh; its log tells more under this dataset's id. Import again."
            return {"reason": "INTERNAL", "message": message, "metadata": {"dataset_id": dataset_id}}
        return None

    async def _copy(self, dataset_id: str, source: Source, files: Sequence[ListedFile]) -> None:
        """Copy several at once and record them as they come. What was copied before a failure is recorded too."""
        copied: list[ReceivedFile] = []
        broken: list[Exception] = []

        async def work(queue: Iterator[ListedFile]) -> None:
            for file in queue:
                if broken:
                    return
                try:
                    copied.append(await in_thread(self._threads, self._copy_one, dataset_id, source, file))
                except Exception as error:
                    broken.append(error)

        queue = iter(files)  # shared: each worker takes the next file
        workers = [asyncio.create_task(work(queue)) for _ in range(FILES_AT_ONCE)]
        try:
            pending = set(workers)
            while pending or copied:
                if pending and len(copied) < FILES_A_RECORD:
                    _, pending = await asyncio.wait(pending, timeout=RECORD_SECONDS)
                batch = copied[:FILES_A_RECORD]
                del copied[:FILES_A_RECORD]
                await self._record(dataset_id, batch)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if broken:
            raise broken[0]

    def _copy_one(self, dataset_id: str, source: Source, file: ListedFile) -> ReceivedFile:
        try:
            info = copy_file(source, file.source, self._store, keys.dataset_file(dataset_id, file.path))
        except InvalidKey as error:
            raise SourceUnreadable(file.source.name, f"it cannot be stored: its key {error.why}") from error
        return ReceivedFile(file.path, info.size_bytes, info.sha256)

    async def _record(self, dataset_id: str, files: Sequence[ReceivedFile]) -> None:
        if files:
            rows = file_rows(dataset_id, files)
            await self._database.write(lambda session: DatasetRepository(session).add_files(dataset_id, rows))
            self._changes.notify(dataset_id)

    async def _end(self, dataset_id: str, failure: dict[str, object] | None) -> None:
        to_state = "FAILED" if failure else "ANALYZING"
        changed = await self._database.write(
            lambda session: DatasetRepository(session).change_state(
                dataset_id, ("UPLOADING",), to_state, importing=False, failure=failure, analyzed_files=0
            )
        )
        if changed is None:
            raise StateChanged("")
        self._changes.notify(dataset_id)
        logger.info("import ended", dataset_id=dataset_id, state=to_state, files=changed.file_count)
        if failure is None:
            self._analyse(dataset_id)


def _failure(location: str, name: str, why: str) -> dict[str, object]:
    """Why an import FAILED, as the dataset's record keeps it."""
    place = f"{name!r} of {location!r}" if name else repr(location)
    return {
        "reason": "IMPORT_FAILED",
        "message": f"The import stopped at {place}: {why}. Mend that and import again as a new dataset.",
        "metadata": {"source": location, "object": name},
    }
