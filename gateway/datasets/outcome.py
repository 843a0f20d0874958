"""What an analysis concludes: READY with all that is known of the dataset, or FAILED and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotations.formats.folders import Place
from annotations.problems import ERROR, Problem
from gateway.datasets.files import ReceivedFile
from storage.objects.manifest import AnnotationsReference, Manifest, ManifestFile

_TOLD = 3


@dataclass(frozen=True)
class Outcome:
    """What was found. ``places`` holds the usable images only; their labels are empty where they carry objects.

    ``statistics`` is what ``DatasetStatistics`` of the contract says. ``evidence`` says what a format was detected
    from, and ``format`` is empty where none could be.
    """

    format: str
    evidence: str = ""
    class_names: tuple[str, ...] = ()
    task_types: tuple[str, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    distribution: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    object_count: int = 0
    statistics: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[Problem] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the dataset from being trained on."""
        return tuple(problem for problem in self.problems if problem.severity == ERROR)

    def failure(self) -> dict[str, object]:
        """Why the dataset is FAILED, as its record keeps it."""
        errors = self.errors
        lost = any(problem.kind == "storage_corrupt" for problem in errors)
        said = " ".join(f"{error.path}: {error.message}" if error.path else error.message for error in errors[:_TOLD])
        return {
            "reason": "STORAGE_CORRUPT" if lost else "DATASET_NOT_TRAINABLE",
            "message": f"{said} ListDatasetProblems lists everything that was found.",
            "metadata": {"errors": str(len(errors)), "problems": str(len(self.problems))},
        }

    def manifest(
        self, dataset_id: str, files: Sequence[ReceivedFile], annotations: AnnotationsReference | None
    ) -> Manifest:
        """The manifest: every file, those that are left out without split and label."""
        ids = {name: place for place, name in enumerate(self.class_names)}

        def entry(file: ReceivedFile) -> ManifestFile:
            place = self.places.get(file.path)
            split, label = (place.split, place.label) if place else ("", "")
            return ManifestFile(file.path, file.size_bytes, file.sha256, split, ids[label] if label else None)

        entries = tuple(map(entry, files))
        return Manifest(dataset_id, self.format, self.task_types, self.class_names, entries, annotations)
