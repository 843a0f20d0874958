"""Pascal VOC: an XML file for each image, in ``Annotations`` beside ``JPEGImages``, or wherever its image lies.

Objects marked ``difficult`` are kept as any other; ``truncated``, ``occluded``, ``pose`` and parts are passed over.
Classes are the names that occur, sorted.
"""

from __future__ import annotations

from annotations.draft import Draft
from annotations.formats.coco_categories import is_plain
from annotations.formats.small_files import Spool, Unreadable, read_bytes, read_lines
from annotations.formats.voc_images import (
    VocImages,
    set_files,
    splits_of_folders,
    splits_of_sets,
    xml_paths,
)
from annotations.formats.voc_xml import VocFile, VocObject, parse_voc
from annotations.limits import MAX_CLASSES
from annotations.model import Category
from annotations.problems import ERROR, WARNING, Problem
from annotations.raw import RawObject
from annotations.reading import ImageSize, Source
from annotations.validation import Frame, add_checked

MAX_XML_BYTES = 32 * 1024 * 1024


def read_voc(source: Source, draft: Draft) -> None:
    """Read a Pascal VOC dataset (``annotations.reading.Reader``)."""
    if not xml_paths(source.paths):
        said = "There is no XML file of annotations. Upload one for each image, in Annotations or beside the image."
        draft.report(Problem("", "no_annotations", ERROR, said))
        return
    images = VocImages(source.paths)
    if images.mask_count:
        said = f"{images.mask_count} pictures are masks of VOC's segmentation task, which is not read; boxes are."
        draft.report(Problem("", "masks_not_read", WARNING, said))
    with Spool() as spool:
        reading = _Reading(source, draft, images, spool)
        reading.run()
        names = sorted(reading.names)
        if len(names) > MAX_CLASSES:
            said = f"{len(names)} classes are named; at most {MAX_CLASSES} are read. Are these names of files, or ids?"
            draft.report(Problem("", "too_many_classes", ERROR, said))
            return
        draft.set_categories(Category(name) for name in names)
        places = {name: place for place, name in enumerate(names)}
        for image, path, frame, objects in spool:
            _add_objects(draft, places, image, path, Frame(*frame), [VocObject(*found) for found in objects])


class _Reading:
    """The first pass over a dataset: images into the draft, their objects into the spool."""

    def __init__(self, source: Source, draft: Draft, images: VocImages, spool: Spool) -> None:
        self._source = source
        self._draft = draft
        self._images = images
        self._spool = spool
        self._annotated: dict[str, str] = {}
        self._turned = 0
        self.names: set[str] = set()

    def run(self) -> None:
        """Read every XML file of an image that is in a split, then take the images that have none."""
        placed = self._placed()
        unreadable: set[str] = set()
        for path in xml_paths(self._source.paths):
            image = self._images.of_xml(path)
            if image is not None and image not in placed:
                continue
            try:
                found = parse_voc(read_bytes(self._source, path, MAX_XML_BYTES))
            except Unreadable as error:
                left_out = f" Its image {image!r} was left out." if image else ""
                self._report(path, "unreadable_annotations", f"{error}{left_out}")
                unreadable.add(image or "")
                continue
            image = image or self._images.of_file_name(path, found.file_name)
            if image is None:
                said = f"There is no image of this name, nor one called {found.file_name[:200]!r} as the file says."
                self._report(path, "label_without_image", said)
            elif image in placed:
                self._take(path, image, placed[image], found)
        if self._turned:
            said = (
                f"{self._turned} images are turned by their EXIF orientation, their annotations were not. These were "
                "turned with them; look at the preview, and store the images upright if something lies wrong."
            )
            self._report("", "annotations_not_upright", said)
        for image in sorted(placed.keys() - self._annotated.keys() - unreadable):
            if size := self._source.image(image):
                self._report(image, "image_without_labels", "It has no XML file, so it counts as one without objects.")
                self._draft.add_image(image, size.width, size.height, placed[image])

    def _take(self, path: str, image: str, split: str, found: VocFile) -> None:
        first = self._annotated.setdefault(image, path)
        if first != path:
            said = f"It is for {image!r}, as {first!r} is, which was read; this file was left out."
            self._report(path, "duplicate_annotation", said)
            return
        size = self._source.image(image)
        if size is None:
            return
        frame = self._frame(path, size, found.size)
        self._draft.add_image(image, size.width, size.height, split)
        self.names |= {each.name for each in found.objects if is_plain(each.name)}
        objects = [(each.name, each.box) for each in found.objects]
        self._spool.add((image, path, (frame.width, frame.height, frame.orientation), objects))

    def _frame(self, path: str, size: ImageSize, said: tuple[int, int] | None) -> Frame:
        """What the coordinates are meant on: the upright image, or the stored one where that is the size they give."""
        upright, stored = (size.width, size.height), (size.stored_width, size.stored_height)
        if said is None or said == upright:
            return Frame(*upright)
        if said == stored:
            self._turned += 1
            return Frame(*upright, size.orientation)
        told = (
            f"The annotations say {said[0]} × {said[1]} pixels, the image has {upright[0]} × {upright[1]}. Coordinates"
        )
        self._report(
            path, "size_differs", f"{told} were taken as pixels of the image; if they are not, correct the annotations."
        )
        return Frame(*upright)

    def _placed(self) -> dict[str, str]:
        """The split of every image that is to be read."""
        sets: dict[str, set[str]] = {}
        for path, name, root in set_files(self._source.paths):
            for line in read_lines(self._source, path):
                image = self._images.of_set_line(root, line)
                if image is None:
                    self._report(path, "image_not_found", f"It lists {line[:200]!r}, which the dataset does not hold.")
                else:
                    sets.setdefault(name, set()).add(image)
        placed = splits_of_sets(sets)
        if not placed:
            return splits_of_folders(self._images.paths)
        if outside := len(self._images.paths) - len(placed):
            said = f"{outside} images are in none of the lists in ImageSets; they were left out."
            self._report("", "images_outside_splits", said)
        return placed

    def _report(self, path: str, kind: str, message: str) -> None:
        self._draft.report(Problem(path, kind, WARNING, message))


def _add_objects(
    draft: Draft, places: dict[str, int], image: str, path: str, frame: Frame, objects: list[VocObject]
) -> None:
    seen: dict[object, int] = {}
    for number, found in enumerate(objects, 1):
        where = f"object {number}"
        box = tuple(found.box or ())
        first = seen.setdefault((found.name, box), number)
        if first != number:
            said = f"Object {number}: it repeats object {first} and was left out."
            draft.report(Problem(path, "duplicate_annotation", WARNING, said))
        elif found.name not in places or not box:
            missing = "<bndbox>" if found.name in places else "<name> that can be read"
            said = f"Object {number}: it has no {missing} and was left out."
            draft.report(Problem(path, "bad_annotation", WARNING, said))
        else:
            add_checked(draft, image, RawObject(places[found.name], box=box), frame, path, where)
