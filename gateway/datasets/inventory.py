"""What one dataset holds and what is on its way to it: who may take which path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.datasets.archives.rules import ArchiveLimits
from gateway.datasets.errors import file_exists
from rpc.errors import DomainError, invalid_request
from visionmesh.errors import Violation


@dataclass(frozen=True)
class UploadLimits:
    """How much one dataset and one archive may hold, the largest file, and whole files in memory on their way."""

    max_files: int = 1_000_000
    max_file_bytes: int = 256 << 20
    max_dataset_bytes: int = 1 << 40
    memory_bytes: int = 16 << 20
    archives: ArchiveLimits = field(default_factory=ArchiveLimits)


class Inventory:
    """The paths of one dataset, stored or being stored. All streams that add to the dataset share it."""

    def __init__(self, limits: UploadLimits, files: Iterable[tuple[str, int]] = ()) -> None:
        """``files`` are (path, bytes) of what is stored."""
        self._limits = limits
        self._sizes: dict[str, int] = {}
        self._folders: Counter[str] = Counter()
        self._total = 0
        for path, size_bytes in files:
            self._add(path, size_bytes)

    def claim(self, path: str, size_bytes: int) -> None:
        """Take a path for a file that begins to arrive.

        Raises FILE_EXISTS, and INVALID_REQUEST when the path is a folder of another, or the other way round, or when
        a limit would be passed.
        """
        if path in self._sizes:
            raise file_exists(path)
        for where, said, limit in self._objections(path, size_bytes):
            raise _refused(where, said, limit)
        self._add(path, size_bytes)

    def grow(self, path: str, size_bytes: int) -> None:
        """A file of a claimed path turns out to be larger by so much. Raises INVALID_REQUEST beyond a limit."""
        size = self._sizes[path] + size_bytes
        for where, said, limit in self._size_objections(path, size, size_bytes):
            raise _refused(where, said, limit)
        self._sizes[path] = size
        self._total += size_bytes

    def holds(self, path: str) -> bool:
        """Whether a file has the path, stored or being stored."""
        return path in self._sizes

    def objections(self, path: str, size_bytes: int) -> list[tuple[str, str]]:
        """What speaks against a new file, as (``path`` or ``size_bytes``, words that name the file)."""
        return [(where, said) for where, said, _ in self._objections(path, size_bytes)]

    def release(self, path: str) -> None:
        """Give a claimed path back: its file did not arrive."""
        self._total -= self._sizes.pop(path)
        self._folders.subtract(_above(path))

    def _add(self, path: str, size_bytes: int) -> None:
        self._sizes[path] = size_bytes
        self._total += size_bytes
        self._folders.update(_above(path))

    def _path_objection(self, path: str) -> str:
        if self._folders[path] > 0:
            return "is a folder of other files of this dataset; it cannot be a file too"
        for folder in _above(path):
            if folder in self._sizes:
                return f"lies in {folder!r}, which is a file of this dataset"
        return ""

    def _objections(self, path: str, size_bytes: int) -> Iterator[tuple[str, str, str]]:
        """Also with the limit that would be passed, empty where none is."""
        if wrong := self._path_objection(path):
            yield "path", f"{path!r} {wrong}", ""
        most = self._limits.max_files
        if len(self._sizes) >= most:
            said = f"of {path!r}: the dataset holds {most} files, as many as are allowed"
            yield "path", said, f"max_dataset_files {most}"
        yield from self._size_objections(path, size_bytes, size_bytes)

    def _size_objections(self, path: str, size_bytes: int, more_bytes: int) -> Iterator[tuple[str, str, str]]:
        """Against a file of this size, which adds so much to the dataset."""
        limits = self._limits
        if size_bytes > limits.max_file_bytes:
            said = f"of {path!r}: {size_bytes} bytes; a file may have at most {limits.max_file_bytes}"
            yield "size_bytes", said, f"max_file_bytes {limits.max_file_bytes}"
        elif self._total + more_bytes > limits.max_dataset_bytes:
            said = f"of {path!r}: the dataset would pass the {limits.max_dataset_bytes} bytes that are allowed"
            yield "size_bytes", said, f"max_dataset_bytes {limits.max_dataset_bytes}"


def _refused(where: str, said: str, limit: str) -> DomainError:
    error = invalid_request([Violation(f"header.{where}", said)])
    if limit:
        error.metadata["limit"] = limit
    return error


def _above(path: str) -> list[str]:
    """The folders that a path lies in."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
