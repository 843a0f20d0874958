"""The record of a new dataset, and the objects that go with a record."""

from __future__ import annotations

from gateway.datasets.spec import NewDataset
from storage.database.tables import Dataset
from storage.objects import keys
from storage.objects.store import ObjectStore


def new_record(dataset_id: str, user_id: str, new: NewDataset) -> Dataset:
    """The row of a new dataset, UPLOADING and without files."""
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
    )


def delete_objects(store: ObjectStore, dataset_id: str) -> None:
    """Remove the manifest, the annotations and the files of a dataset. Blocks."""
    store.delete(keys.manifest(dataset_id))
    store.delete(keys.dataset_annotations(dataset_id))
    store.delete_prefix(keys.dataset_prefix(dataset_id))
