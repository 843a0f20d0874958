"""The record of a new dataset, and the objects that go with a record."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.datasets.files import ReceivedFile
from gateway.datasets.spec import NewDataset
from storage.database.tables import Dataset, DatasetFile
from storage.objects import keys
from storage.objects.store import ObjectStore


def new_record(dataset_id: str, user_id: str, new: NewDataset, import_source: str = "") -> Dataset:
    """The row of a new dataset, UPLOADING and without files; from ``import_source`` they are still to be copied."""
    return Dataset(
        id=dataset_id,
        user_id=user_id,
        project_id=new.project_id,
        name=new.name,
        description=new.description,
        format=new.format,
        visibility=new.visibility,
        tags=list(new.tags),
        state="UPLOADING",
        val_fraction=new.val_fraction,
        split_seed=new.split_seed,
        import_source=import_source,
        importing=bool(import_source),
    )


def file_rows(dataset_id: str, files: Sequence[ReceivedFile]) -> list[DatasetFile]:
    """The rows of files that lie whole in the store."""
    return [
        DatasetFile(dataset_id=dataset_id, path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
        for file in files
    ]


def delete_objects(store: ObjectStore, dataset_id: str) -> None:
    """Remove all objects of a dataset, those sent past the gateway too; what is gone already is fine. Blocks."""
    store.delete(keys.manifest(dataset_id))
    store.delete(keys.dataset_annotations(dataset_id))
    store.delete_prefix(keys.dataset_prefix(dataset_id))
    store.delete_prefix(keys.incoming_prefix(dataset_id))
