"""Changing what people read of a dataset: name, description, visibility, tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from gateway.datasets.rights import owned
from gateway.datasets.spec import (
    MAX_DESCRIPTION,
    MAX_NAME,
    VISIBILITIES,
    tags_violations,
    text_violations,
)
from rpc.errors import invalid_request
from storage.database.datasets import DatasetRepository
from storage.database.tables import Dataset
from visionmesh.errors import Violation

CHANGEABLE = ("name", "description", "visibility", "tags")
# The rest of a spec: the analysis has read it, or the objects lie where it said.
FIXED = ("format", "project_id", "val_fraction", "split_seed")
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class DatasetChange:
    """New values of the fields that ``paths`` name; ``visibility`` by its short name, a number if it is not known."""

    paths: tuple[str, ...]
    name: str
    description: str
    visibility: str
    tags: tuple[str, ...]

    def check(self) -> None:
        """Raises INVALID_REQUEST naming every path that cannot be changed and every value that breaks a rule."""
        if violations := [*mask_violations(self.paths), *self._value_violations()]:
            raise invalid_request(violations)

    def values(self) -> Mapping[str, object]:
        """The columns to set."""
        known = {
            "name": self.name,
            "description": self.description,
            "visibility": self.visibility,
            "tags": list(self.tags),
        }
        return {path: known[path] for path in self.paths}

    def _value_violations(self) -> list[Violation]:
        found: list[Violation] = []
        if "name" in self.paths:
            found += text_violations("dataset.name", self.name, MAX_NAME, required=True)
        if "description" in self.paths:
            found += text_violations("dataset.description", self.description, MAX_DESCRIPTION)
        if "visibility" in self.paths and self.visibility not in VISIBILITIES:
            said = f"must be one of {', '.join(VISIBILITIES)}, as the mask names it"
            found.append(Violation("dataset.visibility", said))
        if "tags" in self.paths:
            found += tags_violations("dataset.tags", self.tags)
        return found


def mask_violations(paths: Sequence[str]) -> list[Violation]:
    """What is wrong with an update mask."""
    known = ", ".join(CHANGEABLE)
    if not paths:
        return [Violation("update_mask", f"is required: name what to change, any of {known}")]
    found: list[Violation] = []
    for place, path in enumerate(paths):
        if path in FIXED:
            said = f"{path!r} is fixed when the dataset is created; what can be changed: {known}"
        elif path not in CHANGEABLE:
            said = f"{path[:_SHOWN_CHARACTERS]!r} is no field that can be changed; those are {known}"
        else:
            continue
        found.append(Violation(f"update_mask.paths[{place}]", said))
    return found


def update(session: Session, user_id: str, dataset_id: str, change: DatasetChange) -> Dataset:
    """Apply a checked change, in any state. Raises DATASET_NOT_FOUND."""
    owned(session, user_id, dataset_id)
    dataset = DatasetRepository(session).update(dataset_id, **change.values())
    assert dataset is not None  # seen above, in this transaction
    return dataset
