"""Runs analyses beside the calls: looks at every image in threads, concludes, and records what was found."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from annotations.formats.folders import is_image_path
from gateway.datasets.analysis import Wanted
from gateway.datasets.arrivals import Arrivals, arrivals_failure
from gateway.datasets.changes import Changes
from gateway.datasets.concluding import Concluded, conclude
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import Inspector, use_small_blocks
from gateway.datasets.inspection import Progress, inspect_images
from gateway.datasets.ownership import analysis_claim
from gateway.datasets.recording import record_failed, record_given_up, record_not_trainable, record_ready
from gateway.datasets.stored_files import StoredFiles
from gateway.datasets.waiting import in_thread
from gateway.work_folder import WorkFolder, WorkFolderUnusable
from rpc.kill_points import KillPoint, passing
from storage.database.claims import claimed
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable, StateChanged
from storage.objects.errors import StoreUnavailable
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

CONCURRENT_ANALYSES = 2
RETRY_SECONDS = 5.0


class Analyzer:
    """Takes datasets from ANALYZING to READY or FAILED.

    An analysis that is cut off, by ``close`` or a kill, leaves its dataset ANALYZING and changes nothing else that
    counts: it is started again from the beginning. Annotations and manifest are in the store before READY is in the
    database.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        changes: Changes,
        arrivals: Arrivals,
        work_folder: Path | None,
        *,
        max_image_pixels: int,
        threads: int,
    ) -> None:
        self._database = database
        self._store = store
        self._changes = changes
        self._arrivals = arrivals
        self._work_folder = work_folder
        self._work: WorkFolder | None = None
        self._max_image_pixels = max_image_pixels
        self._workers = threads
        use_small_blocks()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="analysis")
        # Reading annotations takes a thread for long; the images of another dataset need not wait for that.
        self._readers = ThreadPoolExecutor(CONCURRENT_ANALYSES, thread_name_prefix="annotations")
        self._turns = asyncio.Semaphore(CONCURRENT_ANALYSES)
        self._stopping = threading.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    async def open(self) -> None:
        """Make the folder for temporary files and remove what killed gateways left. Raises WorkFolderUnusable."""
        self._work = await in_thread(self._readers, WorkFolder, self._work_folder)

    def start(self, dataset_id: str) -> None:
        """Analyse a dataset that is ANALYZING; while one of its analyses is about to end, when it has."""
        if dataset_id in self._running:
            # It is FAILED, and was finalised again before that analysis left; otherwise the next one has nothing to do.
            self._again.add(dataset_id)
            return
        task = asyncio.create_task(self._run(dataset_id), name=f"analysis of {dataset_id}")
        self._running[dataset_id] = task
        task.add_done_callback(lambda _: self._ended(dataset_id))

    def take_up(self, dataset_id: str) -> None:
        """Analyse a dataset that was found ANALYZING, unless this gateway or another does so already."""
        if dataset_id not in self._running:
            self.start(dataset_id)

    async def close(self) -> None:
        """Cut the analyses off and wait for their threads."""
        self._stopping.set()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._shut_down)

    def _ended(self, dataset_id: str) -> None:
        del self._running[dataset_id]
        if dataset_id in self._again and not self._stopping.is_set():
            self._again.discard(dataset_id)
            self.start(dataset_id)

    def _shut_down(self) -> None:
        self._threads.shutdown()
        self._readers.shutdown()
        if self._work is not None:
            self._work.close()

    async def _run(self, dataset_id: str) -> None:
        log = logger.bind(dataset_id=dataset_id)
        while True:
            try:
                async with self._turns, claimed(self._database.claims, analysis_claim(dataset_id)) as mine:
                    if mine:
                        await self._analyse(dataset_id)
                return  # another gateway analyses it, where it is not for this one
            except StateChanged:
                log.info("analysis dropped: the dataset is no longer ANALYZING")
                return
            except (StoreUnavailable, DatabaseUnavailable, WorkFolderUnusable) as error:
                log.warning("analysis waits for its storage", error=str(error), retry_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("analysis failed")
                await self._give_up(dataset_id)
                return

    async def _analyse(self, dataset_id: str) -> None:
        if missing := await self._arrivals.take_in(dataset_id):
            failure = arrivals_failure(missing)
            await self._database.write(lambda session: record_failed(session, dataset_id, failure, missing, 0))
            self._changes.notify(dataset_id)
            return

        def load(session: Session) -> tuple[Wanted, list[ReceivedFile]]:
            datasets = DatasetRepository(session)
            dataset = datasets.get(dataset_id)
            if dataset is None or dataset.state != "ANALYZING":
                raise StateChanged(dataset.state if dataset else "")
            files = [ReceivedFile(*row) for row in datasets.stored_files(dataset_id)]
            # A format that an earlier analysis detected is none that the caller wants.
            wanted = "" if dataset.format_detected_from else dataset.format
            return Wanted(wanted, dataset.val_fraction, dataset.split_seed), files

        wanted, files = await self._database.read(load)
        progress = Progress(self._database, self._changes, dataset_id, self._stopping)
        async with progress.told():
            concluded = await self._look(dataset_id, wanted, files, progress)
        outcome = concluded.outcome
        if outcome.errors:
            await self._database.write(lambda session: record_not_trainable(session, dataset_id, outcome, len(files)))
        else:
            passing(KillPoint.ANALYSIS_MANIFEST_STORED)
            await self._database.write(lambda session: record_ready(session, dataset_id, concluded, len(files)))
            passing(KillPoint.ANALYSIS_READY)
        self._changes.notify(dataset_id)
        logger.info("dataset analysed", dataset_id=dataset_id, files=len(files), problems=len(outcome.problems))

    async def _look(
        self, dataset_id: str, wanted: Wanted, files: Sequence[ReceivedFile], progress: Progress
    ) -> Concluded:
        images = [file for file in files if is_image_path(file.path)]
        assert self._work is not None, "the analyzer is not open"
        folder = await in_thread(self._readers, self._work.new_folder)
        try:
            inspector = Inspector(self._store, dataset_id, self._max_image_pixels, folder)
            inspected = await inspect_images(self._threads, self._workers, inspector, images, progress)
            source = StoredFiles(self._store, dataset_id, files, inspected.pictures, progress)
            return await in_thread(
                self._readers, conclude, self._store, dataset_id, wanted, files, inspected, source, folder
            )
        finally:
            await in_thread(self._readers, shutil.rmtree, folder, ignore_errors=True)

    async def _give_up(self, dataset_id: str) -> None:
        """A bug of ours must not leave the dataset ANALYZING for ever."""
        await self._database.write(lambda session: record_given_up(session, dataset_id))
        self._changes.notify(dataset_id)
