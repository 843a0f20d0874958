"""COCO: JSON files of instances or keypoints, one for all images or one for each split (docs/datasets.md, "COCO")."""

from __future__ import annotations

from collections.abc import Sequence

from annotations.draft import Draft
from annotations.formats.coco_document import read_files, survey_files
from annotations.formats.image_finder import is_hidden
from annotations.problems import ERROR, WARNING, Problem
from annotations.reading import Source


def read_coco(source: Source, draft: Draft) -> None:
    """Read every COCO file of objects into the draft, and report the JSON files that are none."""
    paths = [path for path in source.paths if path.lower().endswith(".json") and not is_hidden(path)]
    wanted = []
    for path in paths:
        if why := _why_passed_over(path, paths):
            draft.report(_ignored(path, why))
        else:
            wanted.append(path)
    surveys = survey_files(source, draft, wanted)
    used = [found for found in surveys if not found.why_ignored]
    for found in surveys:
        if found.why_ignored:
            draft.report(_ignored(found.path, found.why_ignored))
    if used:
        read_files(source, draft, used, whole=len(surveys) == len(wanted))
    elif len(surveys) == len(wanted):
        said = "There is no COCO file of objects: a .json with images, annotations and categories. Upload one."
        draft.report(Problem("", "no_annotations", ERROR, said))


def _why_passed_over(path: str, paths: Sequence[str]) -> str:
    """COCO itself comes with several files on the same images, of which one can be trained on."""
    folder, _, name = path.rpartition("/")
    lead = f"{folder}/" if folder else ""
    if name.startswith("stuff_"):
        return "It is about regions without instances."
    instances = lead + name.replace("person_keypoints_", "instances_", 1)
    if name.startswith("person_keypoints_") and instances in paths:
        return f"{instances} is on the same images. To train poses, upload the files of keypoints without it."
    return ""


def _ignored(path: str, why: str) -> Problem:
    return Problem(path, "annotations_ignored", WARNING, f"This file was left out. {why}")
