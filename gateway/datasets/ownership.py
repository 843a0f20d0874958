"""May this user add to this dataset, now? And which gateway works on it?"""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.datasets.errors import invalid_transition
from gateway.datasets.rights import owned
from rpc.errors import DomainError
from storage.database.datasets import OPEN_STATES
from storage.database.tables import Dataset

CLOSED_ADVICE = "Files can be added only while it is UPLOADING or FAILED; make a new dataset for more."
IMPORT_ADVICE = "Its files are still being imported; WatchDataset follows that and the analysis after it."


def open_dataset(session: Session, user_id: str, dataset_id: str) -> Dataset:
    """The user's own dataset, which takes files. Raises DATASET_NOT_FOUND, INVALID_STATE_TRANSITION."""
    dataset = owned(session, user_id, dataset_id)
    if dataset.state not in OPEN_STATES:
        raise invalid_transition(dataset_id, dataset.state, "UPLOADING", CLOSED_ADVICE)
    if dataset.importing:
        raise still_importing(dataset_id, "UPLOADING")
    return dataset


def files_claim(dataset_id: str) -> str:
    """The claim of the gateway that writes files of the dataset: of uploads, of an import, of tidying up."""
    return f"files of {dataset_id}"


def analysis_claim(dataset_id: str) -> str:
    """The claim of the gateway that analyses the dataset."""
    return f"analysis of {dataset_id}"


def still_importing(dataset_id: str, to_state: str) -> DomainError:
    """An import fills the dataset, and nobody else may meanwhile."""
    return invalid_transition(dataset_id, "UPLOADING", to_state, IMPORT_ADVICE)
