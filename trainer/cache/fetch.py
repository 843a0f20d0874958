"""Objects to local files, many at a time, each verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from storage.objects.store import ObjectStore

# A small file is mostly waiting for the store: so many wait together.
PARALLEL_DOWNLOADS = 32
# A large one comes in parts that a store fetches in parallel and holds in memory until they are written.
LARGE_BYTES = 8 << 20
PARALLEL_LARGE_DOWNLOADS = 2

# Called with the files that are done and the files there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Download:
    """An object, what it must be, and the local file to make of it (its folder must exist)."""

    key: str
    path: Path
    size_bytes: int
    sha256: str


def fetch(
    store: ObjectStore,
    downloads: Sequence[Download],
    progress: Progress | None,
    parallel_downloads: int = PARALLEL_DOWNLOADS,
) -> None:
    """Download all, or raise the first error (ObjectNotFound, ObjectMismatch, StoreUnavailable) and begin no more.

    Small files come ``parallel_downloads`` at a time, large ones ``PARALLEL_LARGE_DOWNLOADS`` beside them.
    ``progress`` is called in the caller's thread; what it raises ends the download as well.
    """
    with ExitStack() as open_:
        small = open_.enter_context(ThreadPoolExecutor(parallel_downloads, thread_name_prefix="fetch"))
        large = open_.enter_context(ThreadPoolExecutor(PARALLEL_LARGE_DOWNLOADS, thread_name_prefix="fetch-large"))
        futures = [
            (large if download.size_bytes > LARGE_BYTES else small).submit(
                store.get_file, download.key, download.path, sha256=download.sha256, size_bytes=download.size_bytes
            )
            for download in downloads
        ]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(downloads))
        except BaseException:
            for pool in (small, large):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
