"""What a dataset with annotated objects is: its splits, its classes, the tasks it can train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from annotations.draft import Draft
from annotations.formats.folders import Place
from annotations.model import SPLITS
from annotations.problems import ERROR, WARNING, Problem
from gateway.datasets.comparisons import across_splits, names_alike
from gateway.datasets.inspection import Inspected
from gateway.datasets.object_tally import Tally
from gateway.datasets.outcome import Outcome
from gateway.datasets.splits import choose_val_of_objects
from gateway.datasets.statistics import image_statistics


def analyse_objects(
    format: str,
    draft: Draft,
    digests: Mapping[str, str],
    inspected: Inspected,
    val_fraction: float,
    seed: int,
) -> Outcome:
    """Conclude from what a reader has put into the draft, and put the splits that are made into it.

    The outcome's problems are those reported to the draft.
    """
    draft.drop_images([path for path, _ in draft.splits() if path not in inspected.pictures])
    tally = Tally(draft.categories)
    given: dict[str, str] = {}
    for image in draft.images():
        tally.add(image)
        given[image.path] = image.split if image.split in SPLITS else ""
    splits = _with_val(given, tally, digests, val_fraction, seed)
    draft.set_splits((path, split) for path, split in splits.items() if split != given[path])
    for problem in (
        *_whole(draft, tally, splits),
        *across_splits(splits, digests, inspected.pictures),
        *names_alike(sorted(digests), (category.name for category in draft.categories)),
    ):
        draft.report(problem)
    return Outcome(
        format,
        class_names=tuple(category.name for category in draft.categories),
        task_types=tally.task_types,
        places={path: Place(split, "") for path, split in splits.items()},
        distribution=tally.images_showing(splits),
        object_count=tally.object_count,
        statistics={
            **tally.statistics(splits),
            **image_statistics(inspected.pictures[path].size for path in splits),
        },
    )


def _with_val(
    given: Mapping[str, str], tally: Tally, digests: Mapping[str, str], val_fraction: float, seed: int
) -> dict[str, str]:
    """The split of each image: the ``given`` one, or train or val where none is given.

    Where no image is given to val and those without a split yield none, training images go there.
    """
    placed = {digests[path]: split for path, split in given.items() if split}
    # An image that is there twice, once with a split, is in that split altogether.
    splits = {path: split or placed.get(digests[path], "") for path, split in given.items()}

    def choose(*pool: str) -> set[str]:
        classes = {path: tally.classes[path] for path, split in splits.items() if split in pool}
        return choose_val_of_objects(classes, digests, val_fraction, seed)

    val = choose("")
    if not val and "val" not in splits.values():
        val = choose("", "train")
    return {path: "val" if path in val else split or "train" for path, split in splits.items()}


def _whole(draft: Draft, tally: Tally, splits: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with the dataset as a whole. Where the annotations could not be read, that says enough."""
    if any(problem.severity == ERROR for problem in draft.problems):
        return
    if not splits:
        said = "No image that can be used has annotations. Upload the images that the annotations name, whole."
        yield Problem("", "no_images", ERROR, said)
        return
    if not tally.object_count:
        said = "No object is annotated on any image that can be used. Upload annotations, or the images they speak of."
        yield Problem("", "no_objects", ERROR, said)
        return
    present = set(splits.values())
    if "train" not in present:
        said = "No image is in the split 'train'. Upload images for it, or annotations that put some there."
        yield Problem("", "no_training_images", ERROR, said)
    if "val" not in present:
        said = (
            "There is no validation image: none is given to 'val', and val_fraction makes none of the others. Upload "
            "images for it, or make a dataset with a val_fraction above 0."
        )
        yield Problem("", "no_validation_images", ERROR, said)
    if "train" in present and "val" in present:
        yield from _classes(tally, splits)


def _classes(tally: Tally, splits: Mapping[str, str]) -> Iterator[Problem]:
    shown = {split: set[int]() for split in SPLITS}
    for path, found in tally.classes.items():
        shown[splits[path]].update(found)
    if not shown["train"]:
        said = "No training image carries an object. Annotate some, or put annotated images into the split 'train'."
        yield Problem("", "no_training_objects", ERROR, said)
        return
    for place, name in enumerate(category.name for category in tally.categories):
        if place not in shown["train"]:
            said = f"Class {name!r} has no object on a training image, so it will not be learnt."
            yield Problem("", "class_without_training_objects", WARNING, said)
        elif place not in shown["val"]:
            said = f"Class {name!r} has no object on a validation image, so metrics say nothing about it."
            yield Problem("", "class_without_validation_objects", WARNING, said)
