"""Datasets on local disk, by the digest of their manifest: ``manifest.json`` beside the folder ``files``.

Where images carry objects, the document that says which lies beside them, as the store has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectMismatch
from storage.objects.manifest import Manifest, ManifestFile, digest
from storage.objects.store import ObjectStore
from trainer.adapter import Sample, TrainingDataset
from trainer.cache.fetch import PARALLEL_DOWNLOADS, Download, Progress, fetch
from trainer.cache.files import Build, FolderCache

MANIFEST_FILE = "manifest.json"
ANNOTATIONS_FILE = "annotations.jsonl.gz"
FILES_FOLDER = "files"


class DatasetCache:
    """Datasets to train on, fetched from the store once. Safe to share between processes."""

    def __init__(
        self,
        root: Path,
        store: ObjectStore,
        limit_bytes: int,
        parallel_downloads: int = PARALLEL_DOWNLOADS,
        waiting: Callable[[], None] | None = None,
    ) -> None:
        """``waiting`` is called again and again while someone else fetches or makes what is wanted."""
        self._store = store
        self._folders = FolderCache(root, limit_bytes, waiting)
        self._parallel_downloads = parallel_downloads

    @contextmanager
    def open(self, dataset_id: str, manifest_digest: str, progress: Progress | None) -> Iterator[TrainingDataset]:
        """Give a dataset, whose files stay on disk until the context is left.

        Only what can be trained on is fetched: files with a split and a label, which are the samples; where images
        carry objects, every file with a split, and the annotations. ``progress`` hears of the files done and the files
        in all, and of nothing when none has to be fetched. Raises ObjectNotFound, ObjectMismatch (manifest or file is
        not the one announced), StoreUnavailable, and ValueError when the manifest has the right digest and makes no
        sense.
        """
        with self._folders.open(
            manifest_digest, lambda folder: self._build(folder, dataset_id, manifest_digest, progress)
        ) as folder:
            manifest = _parse((folder / MANIFEST_FILE).read_bytes(), dataset_id)
            annotations = folder / ANNOTATIONS_FILE if manifest.annotations is not None else None
            yield TrainingDataset(folder / FILES_FOLDER, manifest.class_names, _samples(manifest), annotations)

    @contextmanager
    def derived(self, manifest_digest: str, key: str, build: Build) -> Iterator[Path]:
        """Give a folder with what ``build`` makes of the dataset: called once for each ``key``.

        It is an entry of the same cache: whole or absent, and evicted when it was not used for long. What ``build``
        raises comes through.
        """
        entry = sha256_bytes(json.dumps(["derived", manifest_digest, key]).encode())
        with self._folders.open(entry, build) as folder:
            yield folder

    def _build(self, folder: Path, dataset_id: str, manifest_digest: str, progress: Progress | None) -> None:
        key = keys.manifest(dataset_id)
        data = self._store.get(key)
        if digest(data) != manifest_digest:
            raise ObjectMismatch(key, f"sha256 {manifest_digest}", f"sha256 {digest(data)}")
        manifest = _parse(data, dataset_id)
        (folder / MANIFEST_FILE).write_bytes(data)
        files = folder / FILES_FOLDER
        files.mkdir()
        wanted = [file for file in manifest.files if _is_wanted(file, manifest)]
        for parent in {(files / file.path).parent for file in wanted}:
            parent.mkdir(parents=True, exist_ok=True)
        downloads = [
            Download(keys.dataset_file(dataset_id, file.path), files / file.path, file.size_bytes, file.sha256)
            for file in wanted
        ]
        if (reference := manifest.annotations) is not None:
            path = folder / ANNOTATIONS_FILE
            key = keys.dataset_annotations(dataset_id)
            downloads.append(Download(key, path, reference.size_bytes, reference.sha256))
        fetch(self._store, downloads, progress, self._parallel_downloads)


def _parse(data: bytes, dataset_id: str) -> Manifest:
    manifest = Manifest.from_bytes(data)
    if manifest.dataset_id != dataset_id:
        raise ObjectMismatch(keys.manifest(dataset_id), f"dataset {dataset_id}", f"dataset {manifest.dataset_id}")
    return manifest


def _is_wanted(file: ManifestFile, manifest: Manifest) -> bool:
    return bool(file.split) and (file.label_id is not None or manifest.annotations is not None)


def _samples(manifest: Manifest) -> tuple[Sample, ...]:
    return tuple(
        Sample(file.path, file.split, file.label_id)
        for file in manifest.files
        if file.split and file.label_id is not None
    )
