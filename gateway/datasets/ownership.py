"""May this user add to this dataset, now?"""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.datasets.errors import dataset_not_found, invalid_transition, not_the_owner
from rpc.errors import DomainError
from storage.database.datasets import OPEN_STATES, DatasetRepository
from storage.database.tables import Dataset

CLOSED_ADVICE = "Files can be added only while it is UPLOADING or FAILED; make a new dataset for more."
IMPORT_ADVICE = "Its files are still being imported; WatchDataset follows that and the analysis after it."


def open_dataset(session: Session, user_id: str, dataset_id: str) -> Dataset:
    """The user's own dataset, which takes files. Raises DATASET_NOT_FOUND, INVALID_STATE_TRANSITION."""
    dataset = DatasetRepository(session).visible(dataset_id, user_id)
    if dataset is None:
        raise dataset_not_found(dataset_id)
    if dataset.user_id != user_id:
        raise not_the_owner(dataset_id)
    if dataset.state not in OPEN_STATES:
        raise invalid_transition(dataset_id, dataset.state, "UPLOADING", CLOSED_ADVICE)
    if dataset.importing:
        raise still_importing(dataset_id, "UPLOADING")
    return dataset


def still_importing(dataset_id: str, to_state: str) -> DomainError:
    """An import fills the dataset, and nobody else may meanwhile."""
    return invalid_transition(dataset_id, "UPLOADING", to_state, IMPORT_ADVICE)
