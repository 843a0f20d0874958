"""Runs analyses beside the calls: reads every image in threads, concludes, and records what was found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy.orm import Session

from annotations.formats.folders import is_image_path
from annotations.problems import Problem
from gateway.datasets.analysis import TASK_TYPES, Outcome, analyse
from gateway.datasets.arrivals import Arrivals, arrivals_failure
from gateway.datasets.changes import Changes
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import inspect_image
from gateway.datasets.waiting import in_thread
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable, StateChanged
from storage.database.tables import Dataset, DatasetProblem
from storage.objects import keys
from storage.objects.errors import StoreUnavailable
from storage.objects.manifest import digest
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

PROGRESS_SECONDS = 0.25
CONCURRENT_ANALYSES = 2
RETRY_SECONDS = 5.0


class Analyzer:
    """Takes datasets from ANALYZING to READY or FAILED.

    An analysis that is cut off, by ``close`` or a kill, leaves its dataset ANALYZING and changes nothing else: it is
    started again from the beginning. The manifest is in the store before READY is in the database.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        changes: Changes,
        arrivals: Arrivals,
        *,
        max_image_pixels: int,
        threads: int,
    ) -> None:
        self._database = database
        self._store = store
        self._changes = changes
        self._arrivals = arrivals
        self._max_image_pixels = max_image_pixels
        self._workers = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="analysis")
        self._turns = asyncio.Semaphore(CONCURRENT_ANALYSES)
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, dataset_id: str) -> None:
        """Analyse a dataset that is ANALYZING; does nothing when that is under way."""
        if dataset_id not in self._running:
            task = asyncio.create_task(self._run(dataset_id), name=f"analysis of {dataset_id}")
            self._running[dataset_id] = task
            task.add_done_callback(lambda _: self._running.pop(dataset_id))

    async def close(self) -> None:
        """Cut the analyses off and wait for their threads."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, dataset_id: str) -> None:
        log = logger.bind(dataset_id=dataset_id)
        while True:
            try:
                async with self._turns:
                    await self._analyse(dataset_id)
                return
            except StateChanged:
                log.info("analysis dropped: the dataset is no longer ANALYZING")
                return
            except (StoreUnavailable, DatabaseUnavailable) as error:
                log.warning("analysis waits for its storage", error=str(error), retry_seconds=RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("analysis failed")
                await self._give_up(dataset_id)
                return

    async def _analyse(self, dataset_id: str) -> None:
        if missing := await self._arrivals.take_in(dataset_id):
            await self._record_failed(dataset_id, arrivals_failure(missing), missing, 0)
            self._changes.notify(dataset_id)
            return

        def load(session: Session) -> tuple[Dataset | None, list[ReceivedFile]]:
            datasets = DatasetRepository(session)
            rows = datasets.all_files(dataset_id)
            return datasets.get(dataset_id), [ReceivedFile(row.path, row.size_bytes, row.sha256) for row in rows]

        dataset, files = await self._database.read(load)
        if dataset is None or dataset.state != "ANALYZING":
            raise StateChanged(dataset.state if dataset else "")
        broken = await self._inspect(dataset_id, files)
        outcome = await in_thread(
            self._threads, analyse, dataset.format, files, broken, dataset.val_fraction, dataset.split_seed
        )
        if outcome.errors:
            await self._record_failed(dataset_id, outcome.failure(), outcome.problems, len(files))
        else:
            await self._record_ready(dataset, files, outcome)
        self._changes.notify(dataset_id)
        logger.info("dataset analysed", dataset_id=dataset_id, files=len(files), problems=len(outcome.problems))

    async def _inspect(self, dataset_id: str, files: Sequence[ReceivedFile]) -> dict[str, Problem]:
        """The problems of single images, by path."""
        found: dict[str, Problem] = {}
        progress = _Progress(self._database, self._changes, dataset_id)

        async def work(queue: Iterator[ReceivedFile]) -> None:
            for file in queue:
                if is_image_path(file.path):
                    problem = await in_thread(
                        self._threads, inspect_image, self._store, dataset_id, file, self._max_image_pixels
                    )
                    if problem is not None:
                        found[file.path] = problem
                await progress.advance()

        queue = iter(files)  # shared: each worker takes the next file
        workers = [asyncio.create_task(work(queue)) for _ in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return found

    async def _record_ready(self, dataset: Dataset, files: Sequence[ReceivedFile], outcome: Outcome) -> None:
        data = outcome.manifest(dataset.id, dataset.format, files).to_bytes()
        await in_thread(self._threads, self._store.put, keys.manifest(dataset.id), data)

        def record(session: Session) -> None:
            datasets = DatasetRepository(session)
            datasets.assign_splits(dataset.id, {path: (p.split, p.label) for path, p in outcome.places.items()})
            datasets.replace_problems(dataset.id, _rows(outcome.problems))
            changed = datasets.change_state(
                dataset.id,
                ("ANALYZING",),
                "READY",
                failure=None,
                class_names=list(outcome.class_names),
                class_distribution=outcome.distribution,
                task_types=list(TASK_TYPES),
                manifest_digest=digest(data),
                analyzed_files=len(files),
            )
            if changed is None:
                raise StateChanged("")

        await self._database.write(record)

    async def _record_failed(
        self, dataset_id: str, failure: dict[str, object], problems: Sequence[Problem], analyzed_files: int
    ) -> None:
        def record(session: Session) -> None:
            datasets = DatasetRepository(session)
            datasets.replace_problems(dataset_id, _rows(problems))
            changed = datasets.change_state(
                dataset_id, ("ANALYZING",), "FAILED", failure=failure, analyzed_files=analyzed_files
            )
            if changed is None:
                raise StateChanged("")

        await self._database.write(record)

    async def _give_up(self, dataset_id: str) -> None:
        """A bug of ours must not leave the dataset ANALYZING for ever."""
        message = "The analysis failed inside VisionMesh; its log tells more under this dataset's id. Finalise again."
        failure: dict[str, object] = {"reason": "INTERNAL", "message": message, "metadata": {"dataset_id": dataset_id}}
        await self._record_failed(dataset_id, failure, (), 0)
        self._changes.notify(dataset_id)


class _Progress:
    """Counts analysed files, and tells of it a few times a second."""

    def __init__(self, database: Database, changes: Changes, dataset_id: str) -> None:
        self._database = database
        self._changes = changes
        self._dataset_id = dataset_id
        self._done = 0
        self._told = time.monotonic()

    async def advance(self) -> None:
        """One more file is done."""
        self._done += 1
        if time.monotonic() - self._told < PROGRESS_SECONDS:
            return
        self._told, done = time.monotonic(), self._done
        await self._database.write(
            lambda session: DatasetRepository(session).update(self._dataset_id, analyzed_files=done)
        )
        self._changes.notify(self._dataset_id)


def _rows(problems: Sequence[Problem]) -> list[DatasetProblem]:
    return [
        DatasetProblem(path=problem.path, kind=problem.kind, severity=problem.severity, message=problem.message)
        for problem in problems
    ]
