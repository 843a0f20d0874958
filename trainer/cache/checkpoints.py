"""Checkpoints on local disk: folders with the files that predicting and resuming read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.objects.digest import sha256_bytes
from storage.objects.paths import InvalidPath, normalize
from storage.objects.store import ObjectStore
from trainer.cache.fetch import Download, fetch
from trainer.cache.files import FolderCache


@dataclass(frozen=True)
class CheckpointFile:
    """One file of a checkpoint; ``name`` has no folder (``weights.safetensors``)."""

    name: str
    size_bytes: int
    sha256: str


class CheckpointCache:
    """Checkpoints fetched from the store once. Safe to share between processes."""

    def __init__(self, root: Path, store: ObjectStore, limit_bytes: int) -> None:
        self._store = store
        self._folders = FolderCache(root, limit_bytes)

    @contextmanager
    def open(self, storage_path: str, files: Sequence[CheckpointFile], digest: str) -> Iterator[Path]:
        """Give a folder with exactly ``files``, which stays on disk until the context is left.

        ``storage_path`` is the prefix of the checkpoint's objects, ``digest`` the checkpoint's. Raises
        ObjectNotFound, ObjectMismatch, StoreUnavailable; InvalidPath when a name is no plain file name.
        """
        for file in files:
            if normalize(file.name) != file.name or "/" in file.name:
                raise InvalidPath(file.name, "is not the name of a checkpoint's file")

        def build(folder: Path) -> None:
            prefix = storage_path.rstrip("/")
            downloads = [
                Download(f"{prefix}/{file.name}", folder / file.name, file.size_bytes, file.sha256) for file in files
            ]
            fetch(self._store, downloads, None)

        with self._folders.open(_entry(files, digest), build) as folder:
            yield folder

    @contextmanager
    def derived(self, digest: str, key: str, build: Callable[[Path], None]) -> Iterator[Path]:
        """Give a folder with what ``build`` makes of the checkpoint of ``digest``: called once for each ``key``.

        It is an entry of the same cache: whole or absent, and evicted when it was not used for long. What ``build``
        raises comes through.
        """
        entry = sha256_bytes(json.dumps(["derived", digest, key]).encode())
        with self._folders.open(entry, build) as folder:
            yield folder


def _entry(files: Sequence[CheckpointFile], digest: str) -> str:
    """Name of the cache entry: whoever predicts asks for the weights alone, whoever resumes for the state as well."""
    listed = sorted((asdict(file) for file in files), key=lambda file: str(file["name"]))
    return sha256_bytes(json.dumps([digest, listed], sort_keys=True).encode())
