"""The files of one stream, each from its announcement to the object that holds it, and away again where it must."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from gateway.datasets.announced import checked
from gateway.datasets.errors import bad_archive
from gateway.datasets.files import UNKNOWN_SIZE, FileAnnouncement, ReceivedFile
from gateway.datasets.incoming import Incoming, IncomingFile, RepeatedFile
from gateway.datasets.inventory import Inventory
from gateway.datasets.memory import MemoryBudget
from gateway.datasets.small_files import SmallFiles
from gateway.datasets.waiting import in_thread
from rpc.errors import DomainError
from storage.objects import keys
from storage.objects.store import ObjectStore


@dataclass(frozen=True)
class StoredFile:
    """A file whose object is there; ``repeated``: it was before, and is recorded."""

    file: ReceivedFile
    repeated: bool


class FileStorer:
    """Takes the paths of a dataset and stores files under them. ``recorded`` finds a file that is kept already."""

    def __init__(
        self,
        store: ObjectStore,
        threads: Executor,
        small: SmallFiles,
        dataset_id: str,
        inventory: Inventory,
        memory: MemoryBudget,
        recorded: Callable[[str], Awaitable[ReceivedFile | None]],
    ) -> None:
        self._store = store
        self._threads = threads
        self._small = small
        self._dataset_id = dataset_id
        self._inventory = inventory
        self._memory = memory
        self._recorded = recorded
        self._current = FileAnnouncement("", 0, "")

    def begin(
        self, announced: FileAnnouncement, on_its_way: Callable[[str], Awaitable[ReceivedFile] | None]
    ) -> Incoming:
        """Take the path for a file that begins to arrive. ``on_its_way`` finds one that this stream sent before.

        Raises INVALID_REQUEST and FILE_EXISTS; of a file in an archive BAD_ARCHIVE, and its path may be taken.
        """
        self._current = announced
        if not announced.archive:
            announced = checked(announced)
        elif self._inventory.holds(announced.path):
            earlier = on_its_way(announced.path)

            async def held() -> ReceivedFile | None:
                return await (self._recorded(announced.path) if earlier is None else earlier)

            return RepeatedFile(announced, held)
        try:
            self._inventory.claim(announced.path, max(announced.size_bytes, 0))
        except DomainError as error:
            raise self._of_archive(error) from error
        return IncomingFile(self._store, self._threads, self._small, self._key(announced.path), announced)

    def grow(self, incoming: Incoming, size_bytes: int) -> None:
        """So many bytes more came of a file. Raises BAD_ARCHIVE for one of unknown size that passes a limit."""
        if self._current.size_bytes == UNKNOWN_SIZE and isinstance(incoming, IncomingFile):
            try:
                self._inventory.grow(incoming.path, size_bytes)
            except DomainError as error:
                raise self._of_archive(error) from error

    async def store_whole(self, incoming: Incoming, size_bytes: int) -> StoredFile:
        """Verify and store; on any failure the path is free again and no object stays.

        ``size_bytes`` were taken of the memory budget for it, and are given back.
        """
        try:
            file = await incoming.commit()
        except BaseException:
            await self.drop(incoming)
            raise
        finally:
            self._memory.give_back(size_bytes)
        return StoredFile(file, isinstance(incoming, RepeatedFile))

    async def drop(self, incoming: Incoming) -> None:
        """Let go of a file that is not stored."""
        if isinstance(incoming, IncomingFile):
            self._inventory.release(incoming.path)
        await incoming.abort()

    async def forget(self, stored: StoredFile) -> None:
        """Remove the object of a file that was not kept."""
        if not stored.repeated:
            await in_thread(self._threads, self._store.delete, self._key(stored.file.path))
            self.release(stored)

    def release(self, stored: StoredFile) -> None:
        """The path of a file that was not kept is free, or another gateway's."""
        self._inventory.release(stored.file.path)

    def _key(self, path: str) -> str:
        return keys.dataset_file(self._dataset_id, path)

    def _of_archive(self, error: DomainError) -> DomainError:
        """A refusal as the sender of an archive can understand it."""
        announced = self._current
        if not announced.archive or error.reason != "INVALID_REQUEST":
            return error
        why = "; ".join(violation.description for violation in error.violations)
        return bad_archive(
            announced.archive,
            f"The entry cannot be taken: {why}.",
            entry=announced.path,
            limit=error.metadata.get("limit", ""),
        )
