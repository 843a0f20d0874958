"""A file's announcement: whether it makes sense, and whether as many bytes come as it says."""

from __future__ import annotations

from dataclasses import replace

from gateway.datasets.errors import file_mismatch
from gateway.datasets.files import UNKNOWN_SIZE, FileAnnouncement
from rpc.errors import invalid_request
from storage.objects.digest import is_sha256
from storage.objects.paths import InvalidPath, normalize
from visionmesh.errors import Violation

MAX_CHUNK_BYTES = 1 << 20


class Arrival:
    """Counts the bytes of a file as they come. ``kept`` says in errors what was kept of it."""

    def __init__(self, announced: FileAnnouncement, kept: str = "nothing of it was kept") -> None:
        self._announced = announced
        self._kept = kept
        self.received = 0

    @property
    def complete(self) -> bool:
        """Whether as many bytes came as were announced; never, where no number was."""
        return self.received == self._announced.size_bytes

    def count(self, chunk: bytes) -> None:
        """Take account of the next bytes. Raises FILE_MISMATCH when they are more than announced."""
        if len(chunk) > MAX_CHUNK_BYTES:
            wrong = f"of {self._announced.path!r}: {len(chunk)} bytes; a chunk may have at most {MAX_CHUNK_BYTES}"
            raise invalid_request([Violation("chunk", wrong)])
        self.received += len(chunk)
        if self._announced.size_bytes != UNKNOWN_SIZE and self.received > self._announced.size_bytes:
            raise self.cut_short("it is longer than announced")

    def cut_short(self, story: str) -> Exception:
        """FILE_MISMATCH for a file that did not come as announced."""
        expected, received = str(self._announced.size_bytes), str(self.received)
        return file_mismatch(self._announced.path, "size_bytes", expected, received, f"{story}; {self._kept}")


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
    return replace(announced, path=path, sha256=sha256)
