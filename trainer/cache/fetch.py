"""Objects to local files, several at a time, each verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from storage.objects.errors import ObjectMismatch
from storage.objects.store import ObjectStore

PARALLEL_DOWNLOADS = 8

# Called with the files that are done and the files there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Download:
    """An object, what it must be, and the local file to make of it (its folder must exist)."""

    key: str
    path: Path
    size_bytes: int
    sha256: str


def fetch(store: ObjectStore, downloads: Sequence[Download], progress: Progress | None) -> None:
    """Download all, or raise the first error (ObjectNotFound, ObjectMismatch, StoreUnavailable) and begin no more.

    ``progress`` is called in the caller's thread; what it raises ends the download as well.
    """
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS, thread_name_prefix="fetch") as pool:
        futures = [pool.submit(_fetch_one, store, download) for download in downloads]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(downloads))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(store: ObjectStore, download: Download) -> None:
    store.get_file(download.key, download.path, sha256=download.sha256)
    size = download.path.stat().st_size
    if size != download.size_bytes:
        raise ObjectMismatch(download.key, f"{download.size_bytes} bytes", f"{size} bytes")
