"""Reads COCO files into a draft: each twice, first for images and classes, then annotation by annotation.

Memory grows with the images that the files list, never with the annotations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from annotations.draft import Draft
from annotations.formats.coco_annotations import ObjectReader
from annotations.formats.coco_classes import Classes
from annotations.formats.coco_images import ImagePlacer
from annotations.formats.coco_survey import Survey, survey
from annotations.formats.folders import is_image_path
from annotations.formats.json_stream import BadJson
from annotations.problems import ERROR, WARNING, Problem
from annotations.reading import Source


def survey_files(source: Source, draft: Draft, paths: Sequence[str]) -> list[Survey]:
    """Read files for the first time; one that is no JSON is reported and left out."""
    surveys = []
    for path in paths:
        try:
            surveys.append(survey(source, path))
        except BadJson as error:
            draft.report(unreadable(path, error))
    return surveys


def read_files(source: Source, draft: Draft, surveys: Sequence[Survey], *, whole: bool) -> None:
    """Read surveyed files into the draft.

    ``whole``: these are all files there are; only then is it known which images no file lists.
    """
    for found in surveys:
        for problem in found.problems:
            draft.report(problem)
    classes = Classes(draft, surveys)
    if not classes.are_usable():
        return
    draft.set_categories(classes.categories)
    placer = ImagePlacer(source, draft, surveys)
    for found in surveys:
        try:
            ObjectReader(draft, found, placer.place(found), classes).read(source)
        except BadJson as error:  # it changed between the readings
            draft.report(unreadable(found.path, error))
    if whole:
        _report_unlisted(source, draft, placer.listed)


def unreadable(path: str, error: BadJson) -> Problem:
    """The problem of a file that is no JSON."""
    said = f"This file {error}. Export it again, and upload it whole."
    return Problem(path, "unreadable_annotations", ERROR, said)


def _report_unlisted(source: Source, draft: Draft, listed: Mapping[str, str]) -> None:
    said = "No annotation file lists this image. It was left out; list it, without annotations if nothing is on it."
    for path in _unlisted(source, listed):
        draft.report(Problem(path, "image_not_listed", WARNING, said))


def _unlisted(source: Source, listed: Mapping[str, str]) -> Iterator[str]:
    return (path for path in source.paths if is_image_path(path) and path not in listed)
