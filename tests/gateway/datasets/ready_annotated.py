"""An annotated dataset that is READY, written as an analysis writes it: files, document, manifest, record."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from annotations.document import write_document
from annotations.model import AnnotatedImage, Category
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.ids import new_id
from storage.database.tables import Dataset, DatasetFile
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.local import LocalObjectStore
from storage.objects.manifest import AnnotationsReference, Manifest, ManifestFile, digest
from tests.gateway.conftest import Account


async def annotated_dataset(
    database: Database,
    store: LocalObjectStore,
    account: Account,
    files: Mapping[str, bytes],
    images: Sequence[AnnotatedImage],
    categories: Sequence[Category],
    **fields: object,
) -> str:
    """The id of a dataset of ``files``, of which ``images`` are annotated."""
    dataset_id = new_id("ds")
    splits = {image.path: image.split for image in images}
    for path, data in files.items():
        store.put(keys.dataset_file(dataset_id, path), data)
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "document"
        write_document(document, categories, sorted(images, key=lambda image: image.path), len(images))
        written = document.read_bytes()
    store.put(keys.dataset_annotations(dataset_id), written)
    names = tuple(category.name for category in categories)
    manifest = Manifest(
        dataset_id,
        "COCO",
        ("OBJECT_DETECTION",),
        names,
        tuple(ManifestFile(p, len(d), sha256_bytes(d), splits.get(p, ""), None) for p, d in files.items()),
        AnnotationsReference(sha256_bytes(written), len(written)),
    ).to_bytes()
    store.put(keys.manifest(dataset_id), manifest)

    def record(session: Session) -> None:
        datasets = DatasetRepository(session)
        row = {
            "name": "Street scenes",
            "project_id": "default",
            "format": "COCO",
            "state": "UPLOADING",
            "class_names": list(names),
            "task_types": ["OBJECT_DETECTION"],
            "manifest_digest": digest(manifest),
        }
        datasets.add(Dataset(id=dataset_id, user_id=account.user_id, **{**row, **fields}))
        rows = [
            DatasetFile(dataset_id=dataset_id, path=path, size_bytes=len(data), sha256=sha256_bytes(data))
            for path, data in files.items()
        ]
        datasets.add_files(dataset_id, rows)
        datasets.assign_splits(dataset_id, {path: (split, "") for path, split in splits.items()})
        datasets.change_state(dataset_id, ("UPLOADING",), "READY")

    await database.write(record)
    return dataset_id
