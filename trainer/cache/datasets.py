"""Datasets on local disk, by the digest of their manifest: ``manifest.json`` beside the folder ``files``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.objects import keys
from storage.objects.errors import ObjectMismatch
from storage.objects.manifest import Manifest, digest
from storage.objects.store import ObjectStore
from trainer.adapter import Sample, TrainingDataset
from trainer.cache.fetch import Download, Progress, fetch
from trainer.cache.files import FolderCache

MANIFEST_FILE = "manifest.json"
FILES_FOLDER = "files"


class DatasetCache:
    """Datasets to train on, fetched from the store once. Safe to share between processes."""

    def __init__(self, root: Path, store: ObjectStore, limit_bytes: int) -> None:
        self._store = store
        self._folders = FolderCache(root, limit_bytes)

    @contextmanager
    def open(self, dataset_id: str, manifest_digest: str, progress: Progress | None) -> Iterator[TrainingDataset]:
        """Give a dataset, whose files stay on disk until the context is left.

        Only files with a split and a label are fetched; they are the samples. ``progress`` hears of the files done
        and the files in all, and of nothing when none has to be fetched. Raises ObjectNotFound, ObjectMismatch
        (manifest or file is not the one announced), StoreUnavailable, and ValueError when the manifest has the
        right digest and makes no sense.
        """
        with self._folders.open(
            manifest_digest, lambda folder: self._build(folder, dataset_id, manifest_digest, progress)
        ) as folder:
            manifest = _parse((folder / MANIFEST_FILE).read_bytes(), dataset_id)
            yield TrainingDataset(folder / FILES_FOLDER, manifest.class_names, _samples(manifest))

    def _build(self, folder: Path, dataset_id: str, manifest_digest: str, progress: Progress | None) -> None:
        key = keys.manifest(dataset_id)
        data = self._store.get(key)
        if digest(data) != manifest_digest:
            raise ObjectMismatch(key, f"sha256 {manifest_digest}", f"sha256 {digest(data)}")
        manifest = _parse(data, dataset_id)
        (folder / MANIFEST_FILE).write_bytes(data)
        files = folder / FILES_FOLDER
        files.mkdir()
        wanted = {sample.path for sample in _samples(manifest)}
        for parent in {(files / path).parent for path in wanted}:
            parent.mkdir(parents=True, exist_ok=True)
        downloads = [
            Download(keys.dataset_file(dataset_id, file.path), files / file.path, file.size_bytes, file.sha256)
            for file in manifest.files
            if file.path in wanted
        ]
        fetch(self._store, downloads, progress)


def _parse(data: bytes, dataset_id: str) -> Manifest:
    manifest = Manifest.from_bytes(data)
    if manifest.dataset_id != dataset_id:
        raise ObjectMismatch(keys.manifest(dataset_id), f"dataset {dataset_id}", f"dataset {manifest.dataset_id}")
    return manifest


def _samples(manifest: Manifest) -> tuple[Sample, ...]:
    return tuple(
        Sample(file.path, file.split, file.label_id)
        for file in manifest.files
        if file.split and file.label_id is not None
    )
