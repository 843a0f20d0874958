"""From the messages of an upload stream to whole files in the object store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor

from gateway.datasets.errors import file_mismatch
from gateway.datasets.files import FileAnnouncement, Part, ReceivedFile
from gateway.datasets.inventory import Inventory
from gateway.datasets.waiting import in_thread, run_to_end
from rpc.errors import invalid_request
from storage.database.errors import FileExists
from storage.objects import keys
from storage.objects.digest import is_sha256
from storage.objects.errors import InvalidKey, ObjectMismatch
from storage.objects.paths import InvalidPath, normalize
from storage.objects.store import ObjectInfo, ObjectStore, ObjectWriter
from visionmesh.errors import Violation

MAX_CHUNK_BYTES = 1 << 20
FLUSH_BYTES = 1 << 20


class FileReceiver:
    """Puts the files of one stream together, one after the other.

    A chunk is on its way to the disk before the next is asked for, so a slow disk slows the sender down. ``keep``
    makes a stored file part of its dataset; when it raises, the object goes again.
    """

    def __init__(
        self,
        store: ObjectStore,
        threads: Executor,
        dataset_id: str,
        inventory: Inventory,
        keep: Callable[[ReceivedFile], Awaitable[None]],
    ) -> None:
        self._store = store
        self._threads = threads
        self._dataset_id = dataset_id
        self._inventory = inventory
        self._keep = keep

    async def receive(self, parts: AsyncIterator[Part]) -> AsyncGenerator[ReceivedFile, None]:
        """Yield each file when it is stored and kept. A file that is not whole leaves nothing.

        Raises INVALID_REQUEST, FILE_EXISTS, FILE_MISMATCH and what ``keep`` raises.
        """
        current: _IncomingFile | None = None
        stored: ReceivedFile | None = None
        try:
            async for part in parts:
                if isinstance(part, FileAnnouncement):
                    if current is not None:
                        raise current.cut_short("the next file began before this one was complete")
                    current = self._begin(part)
                elif current is not None:
                    await current.take(part)
                elif part:
                    raise _stray_chunk(stored, part)
                if current is not None and current.complete:
                    whole, current = current, None
                    stored = await run_to_end(self._store_whole(whole))
                    yield stored
            if current is not None:
                raise current.cut_short("the stream ended in the middle of the file")
        finally:
            if current is not None:
                await run_to_end(self._drop(current))

    def _begin(self, announced: FileAnnouncement) -> _IncomingFile:
        file = _checked(announced)
        self._inventory.claim(file.path, file.size_bytes)
        return _IncomingFile(self._store, self._threads, keys.dataset_file(self._dataset_id, file.path), file)

    async def _store_whole(self, incoming: _IncomingFile) -> ReceivedFile:
        """Commit and keep; on any failure the path is free again and no object stays."""
        path = incoming.announced.path
        try:
            info = await incoming.commit()
            file = ReceivedFile(path, info.size_bytes, info.sha256)
            try:
                await self._keep(file)
            except FileExists:
                raise  # another gateway recorded the path meanwhile: the object is its record's
            except BaseException:
                await in_thread(self._threads, self._store.delete, info.key)
                raise
        except BaseException:
            await self._drop(incoming)
            raise
        return file

    async def _drop(self, incoming: _IncomingFile) -> None:
        self._inventory.release(incoming.announced.path)
        await incoming.abort()


class _IncomingFile:
    """A file on its way in: counted as it comes, written in a thread by the megabyte."""

    def __init__(self, store: ObjectStore, threads: Executor, key: str, announced: FileAnnouncement) -> None:
        self.announced = announced
        self._store = store
        self._threads = threads
        self._key = key
        self._received = 0
        self._buffer = bytearray()
        self._writer: ObjectWriter | None = None

    @property
    def complete(self) -> bool:
        """Whether as many bytes came as were announced."""
        return self._received == self.announced.size_bytes

    async def take(self, chunk: bytes) -> None:
        """Take the next bytes. Raises FILE_MISMATCH when they are more than announced."""
        if len(chunk) > MAX_CHUNK_BYTES:
            wrong = f"of {self.announced.path!r}: {len(chunk)} bytes; a chunk may have at most {MAX_CHUNK_BYTES}"
            raise invalid_request([Violation("chunk", wrong)])
        self._received += len(chunk)
        if self._received > self.announced.size_bytes:
            raise self._wrong_size("it is longer than announced")
        self._buffer += chunk
        if len(self._buffer) >= FLUSH_BYTES and not self.complete:
            await in_thread(self._threads, self._write)

    async def commit(self) -> ObjectInfo:
        """Verify and store. Raises FILE_MISMATCH; INVALID_REQUEST when the store can have no such path."""
        try:
            return await in_thread(self._threads, self._commit)
        except ObjectMismatch as error:
            found = error.found.removeprefix("sha256 ")
            story = "its bytes are not those announced; nothing of it was kept"
            raise file_mismatch(self.announced.path, "sha256", self.announced.sha256, found, story) from error
        except InvalidKey as error:
            wrong = f"{self.announced.path!r} cannot be stored: its key {error.why}"
            raise invalid_request([Violation("header.path", wrong)]) from error

    async def abort(self) -> None:
        """Drop what was written."""
        if self._writer is not None:
            await in_thread(self._threads, self._writer.abort)

    def cut_short(self, story: str) -> Exception:
        """FILE_MISMATCH for a file that ended too early."""
        return self._wrong_size(story)

    def _wrong_size(self, story: str) -> Exception:
        expected, received = str(self.announced.size_bytes), str(self._received)
        story += "; nothing of it was kept"
        return file_mismatch(self.announced.path, "size_bytes", expected, received, story)

    def _write(self) -> ObjectWriter:
        if self._writer is None:
            self._writer = self._store.writer(
                self._key, size_bytes=self.announced.size_bytes, sha256=self.announced.sha256 or None
            )
        self._writer.write(bytes(self._buffer))
        self._buffer.clear()
        return self._writer

    def _commit(self) -> ObjectInfo:
        return self._write().commit()


def _checked(announced: FileAnnouncement) -> FileAnnouncement:
    """The announcement with its path normalised and its digest in lower case. Raises INVALID_REQUEST."""
    violations: list[Violation] = []
    path, sha256 = announced.path, announced.sha256.lower()
    try:
        path = normalize(path)
    except InvalidPath as error:
        violations.append(Violation("header.path", str(error)))
    if announced.size_bytes < 0:
        violations.append(Violation("header.size_bytes", f"of {path!r}: must not be negative: {announced.size_bytes}"))
    if sha256 and not is_sha256(sha256):
        violations.append(Violation("header.sha256", f"of {path!r}: must be 64 hexadecimal digits, or empty"))
    if violations:
        raise invalid_request(violations)
    return FileAnnouncement(path, announced.size_bytes, sha256)


def _stray_chunk(stored: ReceivedFile | None, chunk: bytes) -> Exception:
    """Bytes that belong to no file: too many for the last one, or sent before the first header."""
    if stored is None:
        return invalid_request([Violation("chunk", "came before any header; send the file's header first")])
    expected, received = str(stored.size_bytes), str(stored.size_bytes + len(chunk))
    story = "more bytes came after it was complete; it stays as it was acknowledged"
    return file_mismatch(stored.path, "size_bytes", expected, received, story)
