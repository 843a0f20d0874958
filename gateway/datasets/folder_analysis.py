"""What a dataset of class folders is: its classes, its splits, and whether images can be told apart by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from annotations.formats.folders import Layout, Place, read_layout
from annotations.limits import MAX_CLASSES
from annotations.problems import ERROR, WARNING, Problem
from gateway.datasets.comparisons import across_splits, names_alike
from gateway.datasets.inspection import Inspected
from gateway.datasets.outcome import Outcome
from gateway.datasets.splits import choose_val
from gateway.datasets.statistics import image_statistics, nested

TASK_TYPES = ("IMAGE_CLASSIFICATION",)


def analyse_folders(
    format: str,
    digests: Mapping[str, str],
    inspected: Inspected,
    val_fraction: float,
    seed: int,
    report: Callable[[Problem], None],
) -> Outcome:
    """Conclude from the paths of all files, the keys of ``digests``. The outcome's problems are those reported."""
    layout = read_layout(format, digests)
    places = {path: place for path, place in layout.places.items() if path in inspected.pictures}
    made = "val" not in layout.splits
    if made:
        labels = {path: place.label for path, place in places.items() if place.split == "train"}
        val = choose_val(labels, digests, val_fraction, seed)
        places = {path: Place("val", place.label) if path in val else place for path, place in places.items()}
    for problem in (*_whole(layout, places, made), *layout.problems):
        report(problem)
    splits = {path: place.split for path, place in places.items()}
    for problem in (
        *across_splits(splits, digests, inspected.pictures),
        *names_alike(sorted(digests), layout.class_names),
    ):
        report(problem)
    sizes = (inspected.pictures[path].size for path in places)
    return Outcome(
        format,
        class_names=layout.class_names,
        task_types=TASK_TYPES,
        places=places,
        distribution=nested(Counter((place.split, place.label) for place in places.values())),
        statistics={"images": dict(Counter(splits.values())), **image_statistics(sizes)},
    )


def _whole(layout: Layout, usable: Mapping[str, Place], made: bool) -> Iterator[Problem]:
    """What is wrong with the dataset as a whole."""
    if not layout.places:
        said = "The dataset holds no image where the format expects one. Upload images and finalise again."
        yield Problem("", "no_images", ERROR, said)
        return
    names = layout.class_names
    if len(names) < 2:
        said = f"There is one class, {names[0]!r}; telling images apart takes two. Upload images of another class."
        yield Problem("", "too_few_classes", ERROR, said)
    if len(names) > MAX_CLASSES:
        said = (
            f"There are {len(names)} classes; at most {MAX_CLASSES} are allowed. Is each image in a folder of its own?"
        )
        yield Problem("", "too_many_classes", ERROR, said)
        return
    counts = Counter((place.split, place.label) for place in usable.values())
    tried = Counter((place.split, place.label) for place in layout.places.values())
    for split in layout.splits:
        if not any(counts[split, name] for name in names):
            said = f"Every image of the split {split!r} is broken. Upload whole ones and finalise again."
            yield Problem("", "empty_split", ERROR, said)
    for name in names:
        if not counts["train", name]:
            broken = tried["train", name]
            why = f"all {broken} of its training images are broken" if broken else "it has no training image"
            said = f"Class {name!r} cannot be learnt: {why}. Upload training images of it and finalise again."
            yield Problem("", "class_without_training_images", ERROR, said)
        elif not counts["val", name]:
            said = f"Class {name!r} has no validation image, so metrics say nothing about it."
            yield Problem("", "class_without_validation_images", WARNING, said)
    if made and not any(counts["val", name] for name in names):
        said = (
            "There is no validation image: the files have no val split, and val_fraction makes none of them. Upload "
            "images below val/, or more training images into a dataset with a val_fraction above 0."
        )
        yield Problem("", "no_validation_images", ERROR, said)
