"""What a dataset is, from its files and what its images turned out to be: which format, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from annotations.draft import Draft
from annotations.formats.detection import Detected, detect
from annotations.formats.dice import annotations_path
from annotations.formats.readers import READERS
from annotations.problems import ERROR, Problem
from annotations.reading import Source
from gateway.datasets.files import ReceivedFile
from gateway.datasets.folder_analysis import analyse_folders
from gateway.datasets.inspection import Inspected
from gateway.datasets.object_analysis import analyse_objects
from gateway.datasets.outcome import Outcome

CLASS_FOLDERS = ("DICE", "IMAGE_FOLDER")


@dataclass(frozen=True)
class Wanted:
    """What the dataset's maker asked for. An empty ``format`` is to be detected."""

    format: str
    val_fraction: float
    split_seed: int


def analyse(
    wanted: Wanted, files: Sequence[ReceivedFile], inspected: Inspected, source: Source, draft: Draft
) -> Outcome:
    """Conclude from all files, sorted by path. ``draft`` is new; it holds the annotations afterwards, where there are
    any.

    The same files, seed and fraction give the same outcome. Raises what ``source`` does, and nothing else whatever the
    files hold.
    """
    detected = Detected(wanted.format, "") if wanted.format else detect(source)
    for problem in inspected.told():
        draft.report(problem)
    if detected is None:
        draft.report(_unknown_format())
        return replace(Outcome(""), problems=_ordered(draft))
    digests = {file.path: file.sha256 for file in files}
    of_split = wanted.val_fraction, wanted.split_seed
    if detected.format in CLASS_FOLDERS and not _has_objects(detected.format, source):
        outcome = analyse_folders(detected.format, digests, inspected, *of_split, draft.report)
    else:
        READERS[detected.format](source, draft)
        outcome = analyse_objects(detected.format, draft, digests, inspected, *of_split)
    return replace(outcome, evidence=detected.evidence, problems=_ordered(draft))


def _has_objects(format: str, source: Source) -> bool:
    return format == "DICE" and annotations_path(source) is not None


def _ordered(draft: Draft) -> tuple[Problem, ...]:
    """What keeps the dataset from being trained on comes first."""
    return tuple(sorted(draft.problems, key=lambda problem: problem.severity != ERROR))


def _unknown_format() -> Problem:
    said = (
        "The format could not be told from the files. Looked for were: annotations.json at the root (DICE), JSON with "
        "images, annotations and categories (COCO), data.yaml or label files beside images (YOLO), Annotations/*.xml "
        "(VOC), and images in folders of classes (DICE, IMAGE_FOLDER). Upload what is missing and finalise again, or "
        "name the format of a new dataset."
    )
    return Problem("", "unknown_format", ERROR, said)
