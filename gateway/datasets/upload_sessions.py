"""Upload streams and the records they make: adding to a dataset, and creating one in a single stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing, asynccontextmanager

from sqlalchemy.orm import Session

from gateway.datasets.changes import Changes
from gateway.datasets.errors import dataset_not_found, file_exists, invalid_transition, upload_elsewhere
from gateway.datasets.files import Part, ReceivedFile
from gateway.datasets.inventory import Inventory, UploadLimits
from gateway.datasets.memory import MemoryBudget
from gateway.datasets.ownership import CLOSED_ADVICE, files_claim, open_dataset
from gateway.datasets.records import delete_objects, new_record
from gateway.datasets.small_files import SmallFiles
from gateway.datasets.spec import NewDataset
from gateway.datasets.storing import FileStorer
from gateway.datasets.uploads import FileReceiver
from gateway.datasets.waiting import in_thread, run_to_end
from rpc.kill_points import KillPoint, passing
from storage.database.claims import claimed
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import FileExists, StateChanged
from storage.database.ids import new_id
from storage.database.tables import Dataset, DatasetFile
from storage.objects.store import ObjectStore


class UploadSessions:
    """The upload streams of this gateway."""

    def __init__(
        self, database: Database, store: ObjectStore, changes: Changes, threads: Executor, limits: UploadLimits
    ) -> None:
        self._database = database
        self._store = store
        self._changes = changes
        self._threads = threads
        self._limits = limits
        self._small = SmallFiles(store, threads)
        self._memory = MemoryBudget(limits.memory_bytes)
        self._opening = asyncio.Lock()
        self._open: dict[str, tuple[Inventory, int]] = {}  # with the number of streams that share it

    def is_open(self, dataset_id: str) -> bool:
        """Whether a stream adds to the dataset now."""
        return dataset_id in self._open

    async def add_files(
        self, user_id: str, dataset_id: str, parts: AsyncIterator[Part]
    ) -> AsyncGenerator[ReceivedFile, None]:
        """Add files to a dataset, yielding each when it is durable and recorded; those stay whatever comes after."""
        await self._check_open(user_id, dataset_id)

        async def keep(files: Sequence[ReceivedFile]) -> None:
            passing(KillPoint.UPLOAD_STORED)
            await self._record_files(dataset_id, files)
            passing(KillPoint.UPLOAD_RECORDED)

        async with self._at_one_gateway(dataset_id), self._inventory(dataset_id) as inventory:
            receiver = self._receiver(dataset_id, inventory, keep, lambda path: self._recorded(dataset_id, path))
            async with aclosing(receiver.receive(parts)) as files:
                try:
                    async for file in files:
                        self._changes.notify(dataset_id)
                        yield file
                except FileExists as error:
                    raise file_exists(error.path) from error
                except StateChanged as error:
                    if not error.state:
                        raise dataset_not_found(dataset_id) from error
                    raise invalid_transition(dataset_id, error.state, "UPLOADING", CLOSED_ADVICE) from error

    async def upload_dataset(self, user_id: str, new: NewDataset, parts: AsyncIterator[Part]) -> Dataset:
        """Receive all files, then record dataset and files at once, ANALYZING; on any failure nothing stays."""
        dataset_id = new_id("ds")
        received: dict[str, ReceivedFile] = {}

        async def keep(files: Sequence[ReceivedFile]) -> None:
            received.update((file.path, file) for file in files)

        async def recorded(path: str) -> ReceivedFile | None:
            return received.get(path)

        receiver = self._receiver(dataset_id, Inventory(self._limits), keep, recorded)
        async with self._at_one_gateway(dataset_id):
            try:
                async with aclosing(receiver.receive(parts)) as files:
                    async for _ in files:
                        pass
                rows = _rows(dataset_id, received.values())
                passing(KillPoint.UPLOAD_STORED)
                dataset = await run_to_end(
                    self._database.write(lambda session: _record_all(session, user_id, dataset_id, new, rows))
                )
                passing(KillPoint.UPLOAD_RECORDED)
                return dataset
            except BaseException:
                await run_to_end(self._forget(dataset_id))
                raise

    def _receiver(
        self,
        dataset_id: str,
        inventory: Inventory,
        keep: Callable[[Sequence[ReceivedFile]], Awaitable[None]],
        recorded: Callable[[str], Awaitable[ReceivedFile | None]],
    ) -> FileReceiver:
        storer = FileStorer(self._store, self._threads, self._small, dataset_id, inventory, self._memory, recorded)
        return FileReceiver(storer, self._memory, self._limits.archives, keep)

    async def _recorded(self, dataset_id: str, path: str) -> ReceivedFile | None:
        file = await self._database.read(lambda session: DatasetRepository(session).file(dataset_id, path))
        return ReceivedFile(file.path, file.size_bytes, file.sha256) if file is not None else None

    async def _check_open(self, user_id: str, dataset_id: str) -> None:
        await self._database.read(lambda session: open_dataset(session, user_id, dataset_id))

    @asynccontextmanager
    async def _at_one_gateway(self, dataset_id: str) -> AsyncIterator[None]:
        async with claimed(self._database.claims, files_claim(dataset_id)) as mine:
            if not mine:
                raise upload_elsewhere(dataset_id)
            yield

    @asynccontextmanager
    async def _inventory(self, dataset_id: str) -> AsyncIterator[Inventory]:
        async with self._opening:
            inventory, streams = self._open.get(dataset_id) or (await self._load(dataset_id), 0)
            self._open[dataset_id] = inventory, streams + 1
        try:
            yield inventory
        finally:
            inventory, streams = self._open.pop(dataset_id)
            if streams > 1:
                self._open[dataset_id] = inventory, streams - 1

    async def _load(self, dataset_id: str) -> Inventory:
        files = await self._database.read(lambda session: DatasetRepository(session).all_files(dataset_id))
        return Inventory(self._limits, ((file.path, file.size_bytes) for file in files))

    async def _record_files(self, dataset_id: str, files: Sequence[ReceivedFile]) -> None:
        def record(session: Session) -> None:
            datasets = DatasetRepository(session)
            if datasets.add_files(dataset_id, _rows(dataset_id, files)) == "FAILED":
                datasets.change_state(dataset_id, ("FAILED",), "UPLOADING", failure=None, analyzed_files=0)

        await self._database.write(record)

    async def _forget(self, dataset_id: str) -> None:
        await self._database.write(lambda session: DatasetRepository(session).delete(dataset_id))
        await in_thread(self._threads, delete_objects, self._store, dataset_id)


def _record_all(
    session: Session, user_id: str, dataset_id: str, new: NewDataset, files: Sequence[DatasetFile]
) -> Dataset:
    datasets = DatasetRepository(session)
    datasets.add(new_record(dataset_id, user_id, new))
    datasets.add_files(dataset_id, files)
    dataset = datasets.change_state(dataset_id, ("UPLOADING",), "ANALYZING")
    assert dataset is not None  # made above, in this transaction
    return dataset


def _rows(dataset_id: str, files: Iterable[ReceivedFile]) -> list[DatasetFile]:
    return [
        DatasetFile(dataset_id=dataset_id, path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
        for file in files
    ]
