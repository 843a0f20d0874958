"""The rules of datasets: who may do what, in which state."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from gateway.datasets.analyzer import Analyzer
from gateway.datasets.changes import Changes
from gateway.datasets.errors import dataset_not_found, invalid_transition, not_the_owner
from gateway.datasets.files import Part, ReceivedFile
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.records import delete_objects, new_record
from gateway.datasets.recovery import remove_abandoned, remove_orphans
from gateway.datasets.spec import NewDataset
from gateway.datasets.upload_sessions import UploadSessions
from gateway.datasets.waiting import in_thread, run_to_end
from gateway.idempotency import remember, replayed
from rpc.errors import DomainError, invalid_request
from storage.database.datasets import OPEN_STATES, DatasetFilter, DatasetRepository
from storage.database.engine import Database
from storage.database.errors import InvalidPageToken, RequestExists
from storage.database.ids import new_id
from storage.database.pages import Page
from storage.database.tables import Dataset, DatasetFile, DatasetProblem, now
from storage.objects.store import ObjectStore
from visionmesh.errors import Violation

logger = structlog.get_logger(__name__)

CREATE_METHOD = "CreateDataset"
SWEEP_SECONDS = 3600.0
WATCH_SECONDS = 5.0  # how often a watch looks by itself: changes that another gateway makes wake nobody here
ENDED = ("READY", "FAILED")


@dataclass(frozen=True)
class PageRequest:
    """Which page of a listing; ``size`` is at least 1."""

    size: int
    token: str


class DatasetService:
    """Datasets of all users. ``user_id`` is always the caller's."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        max_image_pixels: int,
        limits: UploadLimits | None = None,
        analysis_threads: int = 0,
        abandoned_upload_hours: float = 24.0,
        work_folder: Path | None = None,
    ) -> None:
        """``analysis_threads`` 0: one for each core, at most 4. ``work_folder`` unset: the system's for temporary
        files."""
        self._database = database
        self._store = store
        self._abandoned_after = timedelta(hours=abandoned_upload_hours)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="datasets")
        self._changes = Changes()
        self._uploads = UploadSessions(database, store, self._changes, self._threads, limits or UploadLimits())
        threads = analysis_threads or min(4, os.cpu_count() or 1)
        self._analyzer = Analyzer(
            database, store, self._changes, work_folder, max_image_pixels=max_image_pixels, threads=threads
        )
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what a gateway that was killed left, before serving: ``recover``, then sweep now and then."""
        await self._analyzer.open()
        await self.recover()
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """Cut analyses off (the next start takes them up) and wait for the threads."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        await self._analyzer.close()
        await asyncio.to_thread(self._threads.shutdown)

    async def recover(self) -> None:
        """Remove objects without a record and analyse again what was left ANALYZING."""
        await remove_orphans(self._database, self._store, self._threads)
        for dataset in await self._database.read(lambda session: DatasetRepository(session).in_states(("ANALYZING",))):
            logger.info("analysis taken up again", dataset_id=dataset.id)
            self._analyzer.start(dataset.id)

    async def sweep_abandoned(self, older_than: timedelta) -> list[str]:
        """Delete datasets that are UPLOADING and saw no change for ``older_than``; returns their ids."""
        before = now() - older_than
        gone = await remove_abandoned(self._database, self._store, self._threads, before, self._uploads.is_open)
        for dataset_id in gone:
            self._changes.notify(dataset_id)
        return gone

    async def create(self, user_id: str, new: NewDataset, request: Message) -> Dataset:
        """Make an empty dataset. ``request`` is the call's whole message: repeated, it gives the same dataset again.

        Raises REQUEST_ID_REUSED; DATASET_NOT_FOUND when the dataset of a repeated call was deleted.
        """

        def work(session: Session) -> Dataset:
            earlier = replayed(session, user_id, CREATE_METHOD, request)
            if earlier is not None:
                return _visible(session, user_id, earlier)
            dataset = DatasetRepository(session).add(new_record(new_id("ds"), user_id, new))
            remember(session, user_id, CREATE_METHOD, request, dataset.id)
            return dataset

        try:
            return await self._database.write(work)
        except RequestExists:  # the same call, at the same time, on another gateway: now its answer is there
            return await self._database.write(work)

    def upload_files(
        self, user_id: str, dataset_id: str, parts: AsyncIterator[Part]
    ) -> AsyncGenerator[ReceivedFile, None]:
        """Add files, yielding each when it is stored. Raises as the RPC documents."""
        return self._uploads.add_files(user_id, dataset_id, parts)

    async def upload_dataset(self, user_id: str, new: NewDataset, parts: AsyncIterator[Part]) -> Dataset:
        """Create, upload and finalise; a failed or cancelled call leaves nothing."""
        dataset = await self._uploads.upload_dataset(user_id, new, parts)
        self._analyzer.start(dataset.id)
        return dataset

    async def finalize(self, user_id: str, dataset_id: str) -> Dataset:
        """End the upload and begin the analysis, which outlives the call."""
        return await run_to_end(self._finalize(user_id, dataset_id))

    async def get(self, user_id: str, dataset_id: str) -> Dataset:
        """A dataset that the user may see. Raises DATASET_NOT_FOUND."""
        return await self._database.read(lambda session: _visible(session, user_id, dataset_id))

    async def get_with_statistics(self, user_id: str, dataset_id: str) -> tuple[Dataset, dict[str, Any] | None]:
        """A dataset that the user may see, and what its analysis measured. Raises DATASET_NOT_FOUND."""

        def work(session: Session) -> tuple[Dataset, dict[str, Any] | None]:
            return _visible(session, user_id, dataset_id), DatasetRepository(session).statistics(dataset_id)

        return await self._database.read(work)

    async def list(self, user_id: str, filters: DatasetFilter, page: PageRequest) -> Page[Dataset]:
        """The datasets that the user may see, newest first. Raises INVALID_REQUEST."""
        try:
            return await self._database.read(
                lambda session: DatasetRepository(session).list(user_id, filters, page.size, page.token)
            )
        except InvalidPageToken as error:
            raise _bad_token(error) from error

    async def list_files(self, user_id: str, dataset_id: str, page: PageRequest) -> Page[DatasetFile]:
        """The files that arrived, by path. Raises DATASET_NOT_FOUND, INVALID_REQUEST."""

        def work(session: Session) -> Page[DatasetFile]:
            _visible(session, user_id, dataset_id)
            return DatasetRepository(session).list_files(dataset_id, page.size, page.token)

        try:
            return await self._database.read(work)
        except InvalidPageToken as error:
            raise _bad_token(error) from error

    async def list_problems(self, user_id: str, dataset_id: str, page: PageRequest) -> Page[DatasetProblem]:
        """What the last analysis found wrong. Raises DATASET_NOT_FOUND, INVALID_REQUEST."""

        def work(session: Session) -> Page[DatasetProblem]:
            _visible(session, user_id, dataset_id)
            return DatasetRepository(session).list_problems(dataset_id, page.size, page.token)

        try:
            return await self._database.read(work)
        except InvalidPageToken as error:
            raise _bad_token(error) from error

    async def watch(self, user_id: str, dataset_id: str) -> AsyncGenerator[Dataset, None]:
        """Yield the dataset now and at every change, up to and with READY or FAILED. A slow reader misses steps.

        Raises DATASET_NOT_FOUND, also when it is deleted meanwhile.
        """
        with self._changes.watch(dataset_id) as changed:
            last = None
            while True:
                changed.clear()
                dataset = await self.get(user_id, dataset_id)
                if (dataset.state, dataset.update_time) != last:
                    last = dataset.state, dataset.update_time
                    yield dataset
                if dataset.state in ENDED:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await changed.wait()

    async def delete(self, user_id: str, dataset_id: str) -> None:
        """Delete the record, then the objects. Raises DATASET_NOT_FOUND, DATASET_IN_USE, INVALID_STATE_TRANSITION."""
        await run_to_end(self._delete(user_id, dataset_id))

    async def _finalize(self, user_id: str, dataset_id: str) -> Dataset:
        def work(session: Session) -> Dataset:
            datasets = DatasetRepository(session)
            _owned(session, user_id, dataset_id)
            changed = datasets.change_state(dataset_id, OPEN_STATES, "ANALYZING", failure=None, analyzed_files=0)
            if changed is None:
                state = _owned(session, user_id, dataset_id).state
                advice = (
                    "Only a dataset that is UPLOADING or FAILED can be finalised; WatchDataset follows its analysis."
                )
                raise invalid_transition(dataset_id, state, "ANALYZING", advice)
            return changed

        dataset = await self._database.write(work)
        self._analyzer.start(dataset_id)
        self._changes.notify(dataset_id)
        return dataset

    async def _delete(self, user_id: str, dataset_id: str) -> None:
        def work(session: Session) -> None:
            datasets = DatasetRepository(session)
            state = _owned(session, user_id, dataset_id).state
            if state == "ANALYZING":
                advice = "Wait until its analysis has ended, then delete it."
                raise invalid_transition(dataset_id, state, "DELETED", advice)
            if datasets.has_active_job(dataset_id):
                raise DomainError(
                    "DATASET_IN_USE",
                    f"A job that has not ended needs the dataset {dataset_id!r}. Stop it or wait for its end.",
                    metadata={"dataset_id": dataset_id},
                )
            datasets.delete(dataset_id)

        await self._database.write(work)
        self._changes.notify(dataset_id)
        # Killed from here on, the objects go at the next start.
        await in_thread(self._threads, delete_objects, self._store, dataset_id)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep_abandoned(self._abandoned_after)
            except Exception:
                logger.exception("sweeping abandoned uploads failed; it is tried again", seconds=SWEEP_SECONDS)
            await asyncio.sleep(SWEEP_SECONDS)


def _visible(session: Session, user_id: str, dataset_id: str) -> Dataset:
    dataset = DatasetRepository(session).visible(dataset_id, user_id)
    if dataset is None:
        raise dataset_not_found(dataset_id)
    return dataset


def _owned(session: Session, user_id: str, dataset_id: str) -> Dataset:
    dataset = _visible(session, user_id, dataset_id)
    if dataset.user_id != user_id:
        raise not_the_owner(dataset_id)
    return dataset


def _bad_token(error: InvalidPageToken) -> DomainError:
    return invalid_request([Violation("page_token", f"{error}; send the next_page_token of the page before, or none")])
