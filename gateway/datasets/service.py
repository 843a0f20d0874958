"""The rules of datasets: who may do what, in which state."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
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
from gateway.datasets.arrivals import Arrivals
from gateway.datasets.changes import Changes
from gateway.datasets.download import DatasetDownloads, DownloadChunk
from gateway.datasets.errors import invalid_transition
from gateway.datasets.files import FileAnnouncement, Part, ReceivedFile
from gateway.datasets.import_rules import ImportRules
from gateway.datasets.imports import Imports
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.ownership import still_importing
from gateway.datasets.preparation import Preparation, UploadPreparation
from gateway.datasets.previews import Preview, PreviewRequest, Previews
from gateway.datasets.records import delete_objects, new_record
from gateway.datasets.recovery import remove_abandoned, remove_leftovers, remove_orphans
from gateway.datasets.rights import owned as _owned
from gateway.datasets.rights import visible as _visible
from gateway.datasets.spec import NewDataset
from gateway.datasets.updates import DatasetChange, update
from gateway.datasets.upload_sessions import UploadSessions
from gateway.datasets.waiting import in_thread, run_to_end
from gateway.idempotency import remember, replayed
from rpc.errors import DomainError, invalid_request
from rpc.kill_points import KillPoint, passing
from storage.database.claims import claimed
from storage.database.dataset_selection import FileSelection
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
MESSAGE_ROOM = 1 << 15  # of a message, for the paths beside a picture
SWEEP_SECONDS = 3600.0
WATCH_SECONDS = 5.0  # how often a watch looks by itself: the notice of a change at another gateway may be lost
TAKE_UP_SECONDS = 5.0  # how often a gateway looks for work that another one left when it died
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
        max_message_bytes: int = 32 << 20,
        upload_url_seconds: int = 3600,
        import_rules: ImportRules | None = None,
        work_folder: Path | None = None,
    ) -> None:
        """``analysis_threads`` 0: one for each core, at most 4. ``work_folder`` unset: the system's for temporary
        files."""
        self._database = database
        self._store = store
        self._abandoned_after = timedelta(hours=abandoned_upload_hours)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="datasets")
        self._changes = Changes(database.notices)
        self._downloads = DatasetDownloads(database, store)
        self._previews = Previews(
            database, store, max_image_pixels=max_image_pixels, max_bytes=max_message_bytes - MESSAGE_ROOM
        )
        limits = limits or UploadLimits()
        self._uploads = UploadSessions(database, store, self._changes, self._threads, limits)
        parts = database, store, self._changes
        self._preparation = UploadPreparation(*parts, self._threads, limits, upload_url_seconds)
        threads = analysis_threads or min(4, os.cpu_count() or 1)
        arrivals = Arrivals(*parts, self._threads, limits)
        self._analyzer = Analyzer(*parts, arrivals, work_folder, max_image_pixels=max_image_pixels, threads=threads)
        self._imports = Imports(*parts, import_rules or ImportRules(), limits, self._threads, self._analyzer.start)
        self._periodic: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what a gateway that was killed left, before serving: ``recover``, then sweep now and then, and look
        for what other gateways leave."""
        await self._analyzer.open()
        await self.recover()
        self._periodic = [asyncio.create_task(self._sweep_for_ever())]
        if self._database.is_shared:
            self._periodic.append(asyncio.create_task(self._take_up_for_ever()))

    async def close(self) -> None:
        """Cut analyses off (the next start takes them up) and wait for the threads."""
        for task in self._periodic:
            task.cancel()
        await asyncio.gather(*self._periodic, return_exceptions=True)
        await self._imports.close()
        await self._analyzer.close()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._downloads.close)
        await asyncio.to_thread(self._previews.close)

    async def recover(self) -> None:
        """Remove objects without a record, analyse again what was left ANALYZING, and go on with imports."""
        await remove_orphans(self._database, self._store, self._threads)
        await self.take_up()

    async def take_up(self) -> None:
        """Analyse what is ANALYZING and go on with imports, where no gateway does so already."""
        for dataset in await self._database.read(lambda session: DatasetRepository(session).in_states(("ANALYZING",))):
            self._analyzer.take_up(dataset.id)
        await self._imports.recover()

    async def sweep_leftovers(self, older_than: timedelta) -> int:
        """Remove what was sent past the gateway for nothing, and what writers that died left; returns the number."""
        return await remove_leftovers(self._database, self._store, self._threads, now() - older_than)

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

    async def prepare_uploads(self, user_id: str, dataset_id: str, files: Sequence[FileAnnouncement]) -> Preparation:
        """Give URLs for uploads past the gateway. Raises as the RPC documents."""
        return await self._preparation.prepare(user_id, dataset_id, files)

    async def import_dataset(self, user_id: str, new: NewDataset, prefix: str, request: Message) -> Dataset:
        """Make a dataset whose files are copied from ``prefix`` in the background. Raises as the RPC documents."""
        return await self._imports.begin(user_id, new, prefix, request)

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

    def download(self, user_id: str, selection: FileSelection) -> AsyncGenerator[DownloadChunk, None]:
        """Yield files of a READY dataset as a tar archive. Raises as the RPC documents."""
        return self._downloads.chunks(user_id, selection)

    async def preview(self, user_id: str, request: PreviewRequest) -> Preview:
        """Draw a picture of a READY dataset. Raises as the RPC documents."""
        return await self._previews.draw(user_id, request)

    async def update(self, user_id: str, dataset_id: str, change: DatasetChange) -> Dataset:
        """Change what people read of a dataset. Raises INVALID_REQUEST, DATASET_NOT_FOUND."""
        change.check()
        dataset = await self._database.write(lambda session: update(session, user_id, dataset_id, change))
        self._changes.notify(dataset_id)
        return dataset

    async def delete(self, user_id: str, dataset_id: str) -> None:
        """Delete the record, then the objects. Raises DATASET_NOT_FOUND, DATASET_IN_USE, INVALID_STATE_TRANSITION."""
        await run_to_end(self._delete(user_id, dataset_id))

    async def _finalize(self, user_id: str, dataset_id: str) -> Dataset:
        def work(session: Session) -> Dataset:
            datasets = DatasetRepository(session)
            if _owned(session, user_id, dataset_id).importing:
                raise still_importing(dataset_id, "ANALYZING")
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
        await self._imports.stop(dataset_id)
        # Killed from here on, the objects go at the next start.
        passing(KillPoint.REMOVAL_OF_DATASET)
        await in_thread(self._threads, delete_objects, self._store, dataset_id)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                async with claimed(self._database.claims, "sweep of datasets") as mine:
                    if mine:
                        await self.sweep_abandoned(self._abandoned_after)
                        await self.sweep_leftovers(self._abandoned_after)
            except Exception:
                logger.exception("sweeping abandoned uploads failed; it is tried again", seconds=SWEEP_SECONDS)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _take_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TAKE_UP_SECONDS)
            try:
                await self.take_up()
            except Exception:
                logger.exception("datasets could not be looked at; it is tried again", seconds=TAKE_UP_SECONDS)


def _bad_token(error: InvalidPageToken) -> DomainError:
    return invalid_request([Violation("page_token", f"{error}; send the next_page_token of the page before, or none")])
