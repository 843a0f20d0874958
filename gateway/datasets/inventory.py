"""What one dataset holds and what is on its way to it: who may take which path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.datasets.errors import file_exists
from rpc.errors import invalid_request
from visionmesh.errors import Violation


@dataclass(frozen=True)
class UploadLimits:
    """How much one dataset may hold, and the largest single file in bytes."""

    max_files: int = 1_000_000
    max_file_bytes: int = 256 << 20
    max_dataset_bytes: int = 1 << 40


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
        if objections := self.objections(path, size_bytes):
            raise invalid_request([Violation(f"header.{field}", said) for field, said in objections])
        self._add(path, size_bytes)

    def holds(self, path: str) -> bool:
        """Whether the path is taken."""
        return path in self._sizes

    def objections(self, path: str, size_bytes: int) -> list[tuple[str, str]]:
        """What speaks against a new file, as (``path`` or ``size_bytes``, words that name the file)."""
        found = []
        if wrong := self._path_objection(path):
            found.append(("path", f"{path!r} {wrong}"))
        if wrong := self._size_objection(size_bytes):
            found.append(("size_bytes", f"of {path!r}: {wrong}"))
        return found

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

    def _size_objection(self, size_bytes: int) -> str:
        limits = self._limits
        if size_bytes > limits.max_file_bytes:
            return f"{size_bytes} bytes; a file may have at most {limits.max_file_bytes}"
        if len(self._sizes) >= limits.max_files:
            return f"the dataset holds {limits.max_files} files, as many as are allowed"
        if self._total + size_bytes > limits.max_dataset_bytes:
            return f"the dataset would pass the {limits.max_dataset_bytes} bytes that are allowed"
        return ""


def _above(path: str) -> list[str]:
    """The folders that a path lies in."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
