"""What a client asks a new dataset to be, and the rules for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from visionmesh.errors import Violation

DEFAULT_PROJECT = "default"
DEFAULT_VAL_FRACTION = 0.2
FORMATS = ("DICE", "IMAGE_FOLDER", "YOLO", "COCO", "VOC")
VISIBILITIES = ("PRIVATE", "PROJECT", "PUBLIC")
MAX_NAME = 200
MAX_DESCRIPTION = 10_000
MAX_PROJECT = 200
MAX_TAGS = 50
MAX_TAG = 100
MAX_REQUEST_ID = 200


@dataclass(frozen=True)
class NewDataset:
    """A new dataset; enums by their short names, a number for one that is not known, empty for unspecified.

    An empty ``format`` is to be detected.
    """

    name: str
    description: str
    format: str
    visibility: str
    project_id: str
    tags: tuple[str, ...]
    val_fraction: float
    split_seed: int

    def violations(self, prefix: str) -> list[Violation]:
        """Every rule that is broken; ``prefix`` is the field of the request that holds the spec."""
        found = [
            *text_violations(f"{prefix}.name", self.name, MAX_NAME, required=True),
            *text_violations(f"{prefix}.description", self.description, MAX_DESCRIPTION),
            *text_violations(f"{prefix}.project_id", self.project_id, MAX_PROJECT),
            *tags_violations(f"{prefix}.tags", self.tags),
        ]
        if self.format and self.format not in FORMATS:
            known = ", ".join(f"DATASET_FORMAT_{name}" for name in FORMATS)
            wrong = f"{self.format} is no known format; use one of {known}, or none: it is detected then"
            found.append(Violation(f"{prefix}.format", wrong))
        if self.visibility not in VISIBILITIES:
            found.append(Violation(f"{prefix}.visibility", f"is not known; use one of {', '.join(VISIBILITIES)}"))
        if not 0 <= self.val_fraction < 1:  # NaN fails this too
            found.append(
                Violation(f"{prefix}.val_fraction", f"must be at least 0 and less than 1: {self.val_fraction}")
            )
        return found


def text_violations(field: str, text: str, longest: int, *, required: bool = False) -> list[Violation]:
    """Length in characters, and no NUL, which databases refuse."""
    if required and not text.strip():
        return [Violation(field, f"is required: 1 to {longest} characters")]
    if len(text) > longest:
        return [Violation(field, f"has {len(text)} characters; at most {longest} are allowed")]
    if "\0" in text:
        return [Violation(field, "contains a NUL character")]
    return []


def tags_violations(field: str, tags: Sequence[str]) -> list[Violation]:
    """Number and length of tags."""
    if len(tags) > MAX_TAGS:
        return [Violation(field, f"holds {len(tags)} tags; at most {MAX_TAGS} are allowed")]
    found: list[Violation] = []
    for place, tag in enumerate(tags):
        found += text_violations(f"{field}[{place}]", tag, MAX_TAG, required=True)
    return found
