"""The images that a COCO file lists, found among the files of the dataset and added to the draft."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotations.draft import Draft
from annotations.formats.coco_categories import Id
from annotations.formats.coco_survey import ListedImage, Survey
from annotations.formats.image_finder import ImageFinder, bare_name, common_top
from annotations.formats.split_names import split_named, split_of_file
from annotations.formats.telling import shown
from annotations.problems import WARNING, Problem
from annotations.reading import ImageSize, Source
from annotations.validation import Frame


@dataclass(frozen=True, slots=True)
class Place:
    """An image of the draft, and how coordinates on it are meant."""

    path: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class PlacedImages:
    """By their place in the file's list (None: left out), and that place by id."""

    places: list[Place | None]
    by_id: Mapping[Id, int]


class ImagePlacer:
    """Takes in the images of one file after the other; an image belongs to the first one that lists it."""

    def __init__(self, source: Source, draft: Draft, surveys: Sequence[Survey]) -> None:
        self._source = source
        self._draft = draft
        self._finder = _Finder(source.paths, surveys)
        self._listed: dict[str, str] = {}

    @property
    def listed(self) -> Mapping[str, str]:
        """The annotation file that lists an image, by the image's path."""
        return self._listed

    def place(self, survey: Survey) -> PlacedImages:
        """Find and add the images of a file, and report those that are not there or not as they are said to be."""
        places: list[Place | None] = []
        by_id: dict[Id, int] = {}
        turned = 0
        for number, listed in enumerate(survey.images):
            places.append(None)
            if listed is None or not self._has_new_id(survey, listed, by_id):
                continue
            if listed.id is not None:
                by_id[listed.id] = number
            places[number] = place = self._place(survey.path, number, listed)
            turned += place is not None and place.frame.orientation != 1
        if turned:
            self._report_turned(survey.path, turned)
        return PlacedImages(places, by_id)

    def _has_new_id(self, survey: Survey, listed: ListedImage, known: Mapping[Id, int]) -> bool:
        if listed.id is None:
            if not survey.nested:
                said = f"The image {shown(listed.file_name)} has no id and was left out. Give it one of its own."
                self._report(survey.path, "bad_image", said)
            return survey.nested
        if listed.id in known and not survey.nested:
            said = f"Several images have the id {shown(listed.id)}: {shown(listed.file_name)} was left out."
            self._report(survey.path, "duplicate_id", f"{said} Number the images anew.")
            return False
        return True

    def _place(self, annotations: str, number: int, listed: ListedImage) -> Place | None:
        path = self._finder.find(annotations, number, listed.file_name)
        size = None if path is None else self._source.image(path)
        if path is None or size is None:
            why = "is not among the files of the dataset, or several have that name" if path is None else "is unusable"
            said = f"The image {shown(listed.file_name)} {why}. It was left out; upload it, or correct file_name."
            self._report(annotations, "image_not_found", said)
            if path is not None:
                self._listed.setdefault(path, annotations)
            return None
        before = self._listed.setdefault(path, annotations)
        if before != annotations:
            said = f"{before} lists this image too; what {annotations} says of it was left out. List it once."
            self._report(path, "image_listed_twice", said)
            return None
        split = self._finder.split(annotations, listed)
        if listed.split not in (None, "") and not split_named(listed.split):
            self._report_split(annotations, listed)
        if not self._draft.add_image(path, size.width, size.height, split):
            said = f"{annotations} lists this image more than once; its annotations were put together. List it once."
            self._report(path, "image_listed_twice", said)
        return Place(path, Frame(size.width, size.height, self._orientation(path, listed, size)))

    def _orientation(self, path: str, listed: ListedImage, size: ImageSize) -> int:
        """By which EXIF orientation coordinates are still to be turned: where the declared size is the stored one."""
        declared = (listed.width, listed.height)
        if declared == (size.width, size.height) or declared == (None, None):
            return 1
        if declared == (size.stored_width, size.stored_height):
            return size.orientation
        told = " × ".join(shown(side) for side in declared)
        said = f"The annotations say {told} pixels, the image has {size.width} × {size.height}. Coordinates were taken"
        self._report(path, "size_differs", f"{said} as pixels of the image; if they are not, correct the annotations.")
        return 1

    def _report_turned(self, annotations: str, turned: int) -> None:
        said = (
            f"{turned} images are turned by their EXIF orientation, their annotations were not. These were turned "
            "with them; look at the preview, and store the images upright if something lies wrong."
        )
        self._report(annotations, "annotations_not_upright", said)

    def _report_split(self, annotations: str, listed: ListedImage) -> None:
        told = f"The split {shown(listed.split)} of {shown(listed.file_name)}"
        said = f"{told} is none of train, val and test, and was not heeded. Correct it."
        self._report(annotations, "unknown_split", said)

    def _report(self, path: str, kind: str, message: str) -> None:
        self._draft.report(Problem(path, kind, WARNING, message))


class _Finder:
    """The paths of all images that files list.

    An image is found by its bare name only when no other entry means it: of ``a/1.jpg`` and ``b/1.jpg`` one may be
    missing, and must not be taken for the other.
    """

    def __init__(self, paths: Sequence[str], surveys: Sequence[Survey]) -> None:
        self._finder = ImageFinder(paths)
        # The folder around everything says nothing of splits.
        top = f"{common_top(paths)}/"
        self._splits = {survey.path: split_of_file(survey.path.removeprefix(top)) for survey in surveys}
        self._found: dict[str, list[str | None]] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        for survey in surveys:
            found = [None if listed is None else self._find(survey.path, listed) for listed in survey.images]
            self._found[survey.path] = found
            for listed, path in zip(survey.images, found, strict=True):
                if listed is not None and path is None:
                    self._names[bare_name(listed.file_name)].add(listed.file_name)
        self._taken = {path for found in self._found.values() for path in found if path is not None}

    def split(self, annotations: str, listed: ListedImage) -> str:
        """The split of an image: its own, else that of the file that lists it; empty when neither says one."""
        return split_named(listed.split) or self._splits[annotations]

    def find(self, annotations: str, number: int, file_name: str) -> str | None:
        """The path of a file's image, by its place in the list; None when it is not there, or not clear which."""
        path = self._found[annotations][number]
        if path is not None:
            return path
        path = self._finder.find_by_bare_name(file_name)
        alone = len(self._names[bare_name(file_name)]) == 1
        return path if alone and path not in self._taken else None

    def _find(self, annotations: str, listed: ListedImage) -> str | None:
        return self._finder.find(listed.file_name, annotations, self.split(annotations, listed))
