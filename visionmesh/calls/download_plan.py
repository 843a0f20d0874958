"""What a download is to bring, and how far it is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from visionmesh.v1 import dataset_pb2


@dataclass(frozen=True)
class DownloadProgress:
    """How far a download is; files that were there before count as done."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


OnDownload = Callable[[DownloadProgress], None]


class WantedFiles:
    """The files that a download brings, in the order in which they come: by code points of the path."""

    def __init__(self, files: Iterable[dataset_pb2.DatasetFile]) -> None:
        self.files = sorted(files, key=lambda file: file.path)
        self._paths = [file.path for file in self.files]
        self._begins = [0, *accumulate(file.size_bytes for file in self.files)]

    @property
    def size_bytes(self) -> int:
        """Bytes of all."""
        return self._begins[-1]

    def find(self, path: str) -> dataset_pb2.DatasetFile | None:
        """The file of a path."""
        place = bisect_left(self._paths, path)
        return self.files[place] if place < len(self.files) and self._paths[place] == path else None

    def before(self, path: str) -> str:
        """The path that comes before, empty for the first one."""
        place = bisect_left(self._paths, path)
        return self._paths[place - 1] if place else ""

    def bytes_between(self, path: str, later: str) -> int:
        """Bytes of the files between two of them."""
        return self._begins[bisect_left(self._paths, later)] - self._begins[bisect_left(self._paths, path) + 1]


class DownloadCounter:
    """Counts files and bytes and tells a callback."""

    def __init__(self, wanted: WantedFiles, tell: OnDownload | None) -> None:
        self._files_total, self._bytes_total = len(wanted.files), wanted.size_bytes
        self._files_done = self._bytes_done = 0
        self._tell = tell

    def restart(self, missing: Sequence[dataset_pb2.DatasetFile]) -> None:
        """Begin again from what is still to come."""
        self._files_done = self._files_total - len(missing)
        self._bytes_done = self._bytes_total - sum(file.size_bytes for file in missing)
        self._report()

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on the bytes of a file, counting them, and then the file."""
        for chunk in chunks:
            self._bytes_done += len(chunk)
            self._report()
            yield chunk
        self._files_done += 1
        self._report()

    def _report(self) -> None:
        if self._tell is not None:
            progress = DownloadProgress(self._files_done, self._files_total, self._bytes_done, self._bytes_total)
            self._tell(progress)
