"""Which tasks a dataset can train: by itself, or looked at in another way (a view)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.enums import DATASET_VIEWS
from visionmesh.errors import Violation

CLASSIFICATION = "IMAGE_CLASSIFICATION"


def check_dataset_use(task_type: str, view: str, trainable: Sequence[str]) -> list[Violation]:
    """What is wrong with training ``task_type`` on a dataset that can train ``trainable``, looked at as ``view``."""
    can = ", ".join(trainable)
    if not view:
        return [] if task_type in trainable else [Violation("job.dataset_id", _refusal(task_type, trainable))]
    violations = []
    if task_type != CLASSIFICATION:
        why = f"{view} trains {CLASSIFICATION}, not {task_type}: leave the view out, or change task_type"
        violations.append(Violation("job.dataset_view", why))
    if not _has_objects(trainable):
        why = f"{view} needs a dataset whose images carry objects; this one can train {can}: leave the view out"
        violations.append(Violation("job.dataset_view", why))
    return violations


def _refusal(task_type: str, trainable: Sequence[str]) -> str:
    refusal = f"can train {', '.join(trainable)}, not {task_type}"
    if task_type == CLASSIFICATION and _has_objects(trainable):
        refusal += f", unless dataset_view is one of {', '.join(DATASET_VIEWS.names)}"
    return refusal


def _has_objects(trainable: Sequence[str]) -> bool:
    return any(task != CLASSIFICATION for task in trainable)
