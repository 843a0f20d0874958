"""One file of an upload on its way: into the object store, or compared with what lies there."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol

from gateway.datasets.announced import Arrival
from gateway.datasets.errors import file_exists, file_mismatch
from gateway.datasets.files import UNKNOWN_SIZE, FileAnnouncement, ReceivedFile
from gateway.datasets.small_files import SmallFiles
from gateway.datasets.waiting import in_thread
from rpc.errors import invalid_request
from storage.objects.errors import InvalidKey, ObjectMismatch
from storage.objects.store import NewObject, ObjectInfo, ObjectStore, ObjectWriter
from visionmesh.errors import Violation

FLUSH_BYTES = 1 << 20
# What a writer keeps at most of a file that is all there: its last part. Parts under way count for themselves.
WRITER_BYTES = 8 << 20


class Incoming(Protocol):
    """A file on its way in."""

    @property
    def path(self) -> str:
        """Its path within the dataset."""
        ...

    @property
    def complete(self) -> bool:
        """Whether as many bytes came as were announced."""
        ...

    @property
    def held_bytes(self) -> int:
        """How much of it lies in memory, at most, until it is stored."""
        ...

    async def take(self, chunk: bytes) -> None:
        """Take the next bytes. Raises FILE_MISMATCH when they are more than announced."""
        ...

    async def commit(self) -> ReceivedFile:
        """Make sure that the dataset's store holds these bytes."""
        ...

    async def abort(self) -> None:
        """Drop what was written."""
        ...

    def cut_short(self, story: str) -> Exception:
        """FILE_MISMATCH for a file that ended too early."""
        ...


class IncomingFile:
    """A file that is stored: counted as it comes, written in a thread by the megabyte."""

    def __init__(
        self, store: ObjectStore, threads: Executor, small: SmallFiles, key: str, announced: FileAnnouncement
    ) -> None:
        """``small`` stores it if it is all there before any of it was written."""
        self.path = announced.path
        self._announced = announced
        self._arrival = Arrival(announced)
        self._store = store
        self._threads = threads
        self._small = small
        self._key = key
        self._buffer = bytearray()
        self._writer: ObjectWriter | None = None

    @property
    def complete(self) -> bool:
        return self._arrival.complete

    @property
    def held_bytes(self) -> int:
        return len(self._buffer) if self._writer is None else min(self._arrival.received, WRITER_BYTES)

    async def take(self, chunk: bytes) -> None:
        self._arrival.count(chunk)
        self._buffer += chunk
        if len(self._buffer) >= FLUSH_BYTES and not self.complete:
            await in_thread(self._threads, self._write)

    async def commit(self) -> ReceivedFile:
        """Verify and store. Raises FILE_MISMATCH; INVALID_REQUEST when the store can have no such path."""
        try:
            info = await self._commit()
        except ObjectMismatch as error:
            found = error.found.removeprefix("sha256 ")
            story = "its bytes are not those announced; nothing of it was kept"
            raise file_mismatch(self.path, "sha256", self._announced.sha256, found, story) from error
        except InvalidKey as error:
            wrong = f"{self.path!r} cannot be stored: its key {error.why}"
            raise invalid_request([Violation("header.path", wrong)]) from error
        return ReceivedFile(self.path, info.size_bytes, info.sha256)

    async def abort(self) -> None:
        if self._writer is not None:
            await in_thread(self._threads, self._writer.abort)

    def cut_short(self, story: str) -> Exception:
        return self._arrival.cut_short(story)

    def _write(self) -> ObjectWriter:
        if self._writer is None:
            size = self._announced.size_bytes
            known = size if size != UNKNOWN_SIZE else None
            self._writer = self._store.writer(self._key, size_bytes=known, sha256=self._announced.sha256 or None)
        self._writer.write(bytes(self._buffer))
        self._buffer.clear()
        return self._writer

    async def _commit(self) -> ObjectInfo:
        if self._writer is not None:
            return await in_thread(self._threads, lambda: self._write().commit())
        data = bytes(self._buffer)
        self._buffer.clear()
        return await self._small.put(NewObject(self._key, data, self._announced.sha256))


class RepeatedFile:
    """A file of an archive whose path is taken: passed over when its bytes are those of the file that has it."""

    def __init__(self, announced: FileAnnouncement, held: Callable[[], Awaitable[ReceivedFile | None]]) -> None:
        """``held`` gives the file that has the path, None when another stream is still sending it."""
        self.path = announced.path
        self._arrival = Arrival(announced)
        self._digest = hashlib.sha256()
        self._held = held

    @property
    def complete(self) -> bool:
        return self._arrival.complete

    @property
    def held_bytes(self) -> int:
        return 0

    async def take(self, chunk: bytes) -> None:
        self._arrival.count(chunk)
        self._digest.update(chunk)

    async def commit(self) -> ReceivedFile:
        """Give the file that is there. Raises FILE_EXISTS when it has other bytes."""
        held = await self._held()
        if held is None or held.sha256 != self._digest.hexdigest():
            raise file_exists(self.path)
        return held

    async def abort(self) -> None:
        pass

    def cut_short(self, story: str) -> Exception:
        return self._arrival.cut_short(story)
