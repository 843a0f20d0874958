"""What a dataset is, from its paths and the problems of its images: classes, splits, and whether it can be trained on.

Pure: the same files, problems and seed give the same outcome.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotations.formats.folders import Layout, Place, read_layout
from annotations.problems import ERROR, WARNING, Problem
from gateway.datasets.files import ReceivedFile
from gateway.datasets.splits import choose_val
from storage.objects.manifest import Manifest, ManifestFile

TASK_TYPES = ("IMAGE_CLASSIFICATION",)
_TOLD = 3


@dataclass(frozen=True)
class Outcome:
    """What the analysis found. ``places`` holds the usable images only."""

    class_names: tuple[str, ...]
    places: dict[str, Place]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the dataset from being trained on."""
        return tuple(problem for problem in self.problems if problem.severity == ERROR)

    @property
    def distribution(self) -> dict[str, dict[str, int]]:
        """Usable images by split and class."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for place in self.places.values():
            counts[place.split][place.label] += 1
        return {split: dict(sorted(labels.items())) for split, labels in counts.items()}

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

    def manifest(self, dataset_id: str, format: str, files: Sequence[ReceivedFile]) -> Manifest:
        """The manifest: every file, those that are left out without split and label."""
        ids = {name: place for place, name in enumerate(self.class_names)}

        def entry(file: ReceivedFile) -> ManifestFile:
            place = self.places.get(file.path)
            split, label_id = (place.split, ids[place.label]) if place else ("", None)
            return ManifestFile(file.path, file.size_bytes, file.sha256, split, label_id)

        return Manifest(dataset_id, format, TASK_TYPES, self.class_names, tuple(map(entry, files)))


def analyse(
    format: str, files: Sequence[ReceivedFile], broken: Mapping[str, Problem], val_fraction: float, seed: int
) -> Outcome:
    """Conclude from all files and the problems of single images, by path."""
    layout = read_layout(format, (file.path for file in files))
    digests = {file.path: file.sha256 for file in files}
    places = {path: place for path, place in layout.places.items() if path not in broken}
    made = "val" not in layout.splits
    if made:
        labels = {path: place.label for path, place in places.items() if place.split == "train"}
        val = choose_val(labels, digests, val_fraction, seed)
        places = {path: Place("val", place.label) if path in val else place for path, place in places.items()}
    problems = [
        *_whole(layout, places, made),
        *(broken[path] for path in sorted(broken)),
        *layout.problems,
        *_across_splits(places, digests),
    ]
    # What keeps the dataset from being trained on comes first.
    problems.sort(key=lambda problem: problem.severity != ERROR)
    return Outcome(layout.class_names, places, tuple(problems))


def _whole(layout: Layout, usable: Mapping[str, Place], made: bool) -> list[Problem]:
    """What is wrong with the dataset as a whole."""
    if not layout.places:
        said = "The dataset holds no image where the format expects one. Upload images and finalise again."
        return [Problem("", "no_images", ERROR, said)]
    problems: list[Problem] = []
    names = layout.class_names
    if len(names) < 2:
        said = f"There is one class, {names[0]!r}; telling images apart takes two. Upload images of another class."
        problems.append(Problem("", "too_few_classes", ERROR, said))
    counts = Counter((place.split, place.label) for place in usable.values())
    for split in layout.splits:
        if not any(counts[split, name] for name in names):
            said = f"Every image of the split {split!r} is broken. Upload whole ones and finalise again."
            problems.append(Problem("", "empty_split", ERROR, said))
    for name in names:
        if not counts["train", name]:
            tried = sum(place == Place("train", name) for place in layout.places.values())
            why = f"all {tried} of its training images are broken" if tried else "it has no training image"
            said = f"Class {name!r} cannot be learnt: {why}. Upload training images of it and finalise again."
            problems.append(Problem("", "class_without_training_images", ERROR, said))
        elif not counts["val", name]:
            said = f"Class {name!r} has no validation image, so metrics say nothing about it."
            problems.append(Problem("", "class_without_validation_images", WARNING, said))
    if made and not any(counts["val", name] for name in names):
        said = (
            "There is no validation image: the files have no val split, and val_fraction makes none of them. Upload "
            "images below val/, or more training images into a dataset with a val_fraction above 0."
        )
        problems.append(Problem("", "no_validation_images", ERROR, said))
    return problems


def _across_splits(places: Mapping[str, Place], digests: Mapping[str, str]) -> list[Problem]:
    """Images whose bytes are in more than one split: what is validated on was trained on."""
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for path, place in places.items():
        other = first.setdefault(digests[path], path)
        if places[other].split != place.split:
            said = (
                f"The same image is in the split {places[other].split!r} as {other!r}, and here in {place.split!r}: "
                "metrics will look better than they are."
            )
            problems.append(Problem(path, "same_image_in_splits", WARNING, said))
    return problems
