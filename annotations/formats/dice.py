"""DICE with annotations.json: COCO-compatible, with ``split`` on each image (docs/dice-format.md)."""

from __future__ import annotations

from annotations.draft import Draft
from annotations.formats.coco_document import read_files, survey_files
from annotations.formats.folders import ANNOTATIONS
from annotations.formats.image_finder import common_top
from annotations.problems import ERROR, Problem
from annotations.reading import Source


def annotations_path(source: Source) -> str | None:
    """Where annotations.json is: at the root, or in the one folder around everything; None when it is not there."""
    top = common_top(source.paths)
    places = (ANNOTATIONS, f"{top}/{ANNOTATIONS}")
    return next((path for path in places if path in source.paths), None)


def read_dice(source: Source, draft: Draft) -> None:
    """Read annotations.json, in either variant, into the draft."""
    path = annotations_path(source)
    if path is None:
        said = f"There is no {ANNOTATIONS} at the root of the dataset. Upload one that lists the images."
        draft.report(Problem("", "no_annotations", ERROR, said))
        return
    for found in survey_files(source, draft, [path]):
        if found.why_ignored:
            said = f"{found.why_ignored} For classification use the folders train/<class>/<image> without this file."
            draft.report(Problem(path, "no_annotations", ERROR, said))
        else:
            read_files(source, draft, [found], whole=True)
