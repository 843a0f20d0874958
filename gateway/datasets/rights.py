"""Who may do what with a dataset, asked inside a transaction."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.datasets.errors import dataset_not_found, dataset_not_ready, not_the_owner
from storage.database.datasets import DatasetRepository
from storage.database.tables import Dataset


def visible(session: Session, user_id: str, dataset_id: str) -> Dataset:
    """A dataset that the user may see. Raises DATASET_NOT_FOUND."""
    dataset = DatasetRepository(session).visible(dataset_id, user_id)
    if dataset is None:
        raise dataset_not_found(dataset_id)
    return dataset


def ready(session: Session, user_id: str, dataset_id: str) -> Dataset:
    """A dataset that the user may see and that is READY. Raises DATASET_NOT_FOUND, DATASET_NOT_READY."""
    dataset = visible(session, user_id, dataset_id)
    if dataset.state != "READY":
        raise dataset_not_ready(dataset_id, dataset.state)
    return dataset


def owned(session: Session, user_id: str, dataset_id: str) -> Dataset:
    """A dataset that the user may change. Raises DATASET_NOT_FOUND, which says so where others may see it."""
    dataset = visible(session, user_id, dataset_id)
    if dataset.user_id != user_id:
        raise not_the_owner(dataset_id)
    return dataset
