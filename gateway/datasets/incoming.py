"""One file of an upload on its way into the object store."""

from __future__ import annotations

from concurrent.futures import Executor

from gateway.datasets.errors import file_mismatch
from gateway.datasets.files import FileAnnouncement
from gateway.datasets.waiting import in_thread
from rpc.errors import invalid_request
from storage.objects.digest import is_sha256
from storage.objects.errors import InvalidKey, ObjectMismatch
from storage.objects.paths import InvalidPath, normalize
from storage.objects.store import ObjectInfo, ObjectStore, ObjectWriter
from visionmesh.errors import Violation

MAX_CHUNK_BYTES = 1 << 20
FLUSH_BYTES = 1 << 20


class IncomingFile:
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


def checked(announced: FileAnnouncement) -> FileAnnouncement:
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
