"""Second reading of a COCO file: its annotations, one by one, into the draft."""

from __future__ import annotations

from collections.abc import Mapping

from annotations.draft import Draft
from annotations.formats.coco_categories import read_id
from annotations.formats.coco_classes import Classes
from annotations.formats.coco_images import Place, PlacedImages
from annotations.formats.coco_objects import has_keypoints, read_annotation
from annotations.formats.coco_survey import Survey, category_of
from annotations.formats.json_stream import Kind, read_pieces
from annotations.formats.telling import shown
from annotations.problems import WARNING, Problem
from annotations.raw import BadObject
from annotations.reading import Source
from annotations.validation import add_checked


class ObjectReader:
    """Second reading of a file: its objects go into the draft one by one."""

    def __init__(self, draft: Draft, found: Survey, images: PlacedImages, classes: Classes) -> None:
        self._draft = draft
        self._survey = found
        self._images = images
        self._places = classes.places(found.path)
        self._keypoint_counts = [len(category.keypoint_names) for category in classes.categories]
        self._without_names: set[int] = set()

    def read(self, source: Source) -> None:
        """Read the file. Raises BadJson."""
        number = 0
        with source.open(self._survey.path) as file:
            for key, kind, value in read_pieces(file):
                if kind is not Kind.ITEM:
                    continue
                if key == "annotations":
                    self._add_listed(value)
                elif key == "images":
                    self._add_nested(number, value)
                    number += 1

    def _add_listed(self, annotation: object) -> None:
        if not isinstance(annotation, Mapping):
            return self._report("bad_annotation", "An annotation is no JSON object and was left out. Remove it.")
        image_id = read_id(annotation.get("image_id"))
        number = None if image_id is None else self._images.by_id.get(image_id)
        if number is not None:
            return self._add(annotation, self._images.places[number])
        said = (
            f"{_name(annotation)} is of the image {shown(annotation.get('image_id'))}, which is not listed. It was left"
        )
        return self._report("annotation_without_image", f"{said} out; list its image.")

    def _add_nested(self, number: int, image: object) -> None:
        nested = image.get("annotations") if isinstance(image, Mapping) else None
        for annotation in nested if isinstance(nested, list) else ():
            if isinstance(annotation, Mapping):
                self._add(annotation, self._images.places[number])
            else:
                self._report("bad_annotation", "An annotation is no JSON object and was left out. Remove it.")

    def _add(self, annotation: Mapping[str, object], place: Place | None) -> None:
        category = category_of(annotation)
        # What is on an image that was left out was told of with the image.
        if place is None or category in self._survey.background:
            return
        where = f"{_name(annotation)} of {shown(place.path)}"
        if category is None or category not in self._places:
            told = shown(annotation.get("category_id", annotation.get("class_id")))
            said = f"{where} is of the category {told}, which is not listed. It was left out; list its category."
            return self._report("unknown_class", said)
        class_place = self._places[category]
        count = self._keypoint_counts[class_place]
        if not count and class_place not in self._without_names and has_keypoints(annotation):
            self._without_names.add(class_place)
            said = f"Objects of the category {shown(category)} have keypoints that it does not name. They were left"
            self._report("keypoints_without_names", f"{said} out; name them under keypoints of the category.")
        try:
            raw = read_annotation(annotation, class_place, count)
        except BadObject as bad:
            return self._report(bad.kind, f"{where}: {bad}")
        add_checked(self._draft, place.path, raw, place.frame, self._survey.path, where)
        return None

    def _report(self, kind: str, message: str) -> None:
        self._draft.report(Problem(self._survey.path, kind, WARNING, message))


def _name(annotation: Mapping[str, object]) -> str:
    id = annotation.get("id")
    return "An annotation without id" if id is None else f"Annotation {shown(id)}"
