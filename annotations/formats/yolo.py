"""YOLO: ultralytics' ``data.yaml`` with folders of images and of label files; boxes, polygons, poses, rotated boxes.

What kind the labels are is decided over the whole dataset. A ``kpt_shape`` in the ``data.yaml`` makes them poses.
Otherwise lines of four points are rotated boxes when every line of the dataset has four points and ``task`` in the
``data.yaml`` does not say otherwise; else they are polygons. Lines of five values are boxes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from annotations.draft import Draft
from annotations.formats.coco_categories import is_plain
from annotations.formats.paths import common_folder, is_visible, join
from annotations.formats.small_files import Spool, Unreadable, read_lines, read_text
from annotations.formats.yolo_labels import LineProblem, LineReader, Survey
from annotations.formats.yolo_layout import Files, place_images
from annotations.formats.yolo_yaml import (
    DataYaml,
    NotRead,
    TooManyClasses,
    class_name,
    data_folder,
    find_class_list,
    find_data_yaml,
)
from annotations.limits import MAX_CLASSES
from annotations.model import SPLITS, Category
from annotations.problems import ERROR, WARNING, Problem
from annotations.reading import Source
from annotations.validation import Frame, add_checked

MAX_LABEL_BYTES = 32 * 1024 * 1024


def read_yolo(source: Source, draft: Draft) -> None:
    """Read a YOLO dataset (``annotations.reading.Reader``)."""
    try:
        yaml = find_data_yaml(source)
        visible = [path for path in source.paths if is_visible(path)]
        base = data_folder(yaml, common_folder(visible))
        yaml = yaml or DataYaml("")
        names = yaml.names if yaml.names is not None else _listed_names(source, base)
        _read(source, draft, yaml, names, base)
    except NotRead as error:
        draft.report(Problem(error.path, "unreadable_annotations", ERROR, str(error)))
    except TooManyClasses as error:
        draft.report(Problem(error.path, "too_many_classes", ERROR, str(error)))


def _read(source: Source, draft: Draft, yaml: DataYaml, names: Mapping[int, str] | None, base: str) -> None:
    for note in yaml.notes:
        draft.report(Problem(yaml.path, "bad_data_yaml", WARNING, note))
    files = Files(source.paths, base)
    if not yaml.path and not any(files.labels_of(image) for image in files.images):
        said = "There is neither a data.yaml nor a label file of an image. Upload the labels, below labels/ or beside."
        draft.report(Problem("", "no_annotations", ERROR, said))
        return
    splits = yaml.splits or _split_lists(source, base)
    placed = place_images(source, draft, files, yaml.path, yaml.root, splits)
    survey = Survey()
    with Spool() as labels:
        for image, split in sorted(placed.items()):
            _take_image(source, draft, files, image, split, survey, labels)
        for path in files.lost_labels():
            said = "No image belongs to this label file. Images lie below images/ where labels lie below labels/."
            draft.report(Problem(path, "label_without_image", WARNING, said))
        if names is None:
            names = _names_of_ids(draft, survey)
        places = _set_categories(draft, yaml, names)
        rotated = yaml.task == "obb" or (not yaml.task and survey.rotated)
        reader = LineReader(places, yaml.keypoints, yaml.keypoint_values, rotated)
        for image, path, width, height, text in labels:
            _read_labels(draft, reader, image, path, Frame(width, height), text)


def _take_image(
    source: Source, draft: Draft, files: Files, image: str, split: str, survey: Survey, labels: Spool
) -> None:
    """Add an image, and put its labels aside. One whose labels cannot be read is left out: it is no background."""
    size = source.image(image)
    if size is None:
        return
    path = files.labels_of(image)
    if path is None:
        said = "It has no label file, so it counts as an image without objects."
        draft.report(Problem(image, "image_without_labels", WARNING, said))
        draft.add_image(image, size.width, size.height, split)
        return
    try:
        text = read_text(source, path, MAX_LABEL_BYTES)
    except Unreadable as error:
        said = f"{error} Its image {image!r} was left out."
        draft.report(Problem(path, "unreadable_annotations", WARNING, said))
        return
    draft.add_image(image, size.width, size.height, split)
    survey.take(text)
    labels.add((image, path, size.width, size.height, text))


def _read_labels(draft: Draft, reader: LineReader, image: str, path: str, frame: Frame, text: str) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for number, tokens in _lines(text):
        first = seen.setdefault(tuple(tokens), number)
        if first != number:
            said = f"Line {number}: it repeats line {first} and was left out."
            draft.report(Problem(path, "duplicate_annotation", WARNING, said))
            continue
        try:
            raw = reader.read(tokens, frame.width, frame.height)
        except LineProblem as problem:
            said = f"Line {number}: {problem} The line was left out."
            draft.report(Problem(path, problem.kind, WARNING, said))
            continue
        add_checked(draft, image, raw, frame, path, f"line {number}")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if tokens := line.split():
            yield number, tokens


def _listed_names(source: Source, base: str) -> dict[int, str] | None:
    """The classes of a ``classes.txt``, None when there is none."""
    path = find_class_list(source.paths, base)
    if path is None:
        return None
    names: dict[int, str] = {}
    for name in read_lines(source, path):
        if len(names) == MAX_CLASSES:
            raise TooManyClasses(MAX_CLASSES + 1, path)
        names[len(names)] = name if is_plain(name) else class_name(len(names))
    return names or None


def _names_of_ids(draft: Draft, survey: Survey) -> dict[int, str]:
    """Names made of the ids that occur."""
    if len(survey.class_ids) > MAX_CLASSES:
        raise TooManyClasses(len(survey.class_ids))
    if survey.class_ids:
        said = (
            "No file names the classes, so they are called after their ids, as class_0. Upload a data.yaml with "
            "`names`, or a classes.txt."
        )
        draft.report(Problem("", "class_names_missing", WARNING, said))
    return {class_id: class_name(class_id) for class_id in sorted(survey.class_ids)}


def _set_categories(draft: Draft, yaml: DataYaml, names: Mapping[int, str]) -> dict[int, int]:
    """Set the draft's categories; the place of each class id. Ids of one name are one class."""
    by_name: dict[str, int] = {}
    categories: list[Category] = []
    for class_id, name in names.items():
        if name in by_name:
            said = f"The class id {class_id} has the name {name!r} of another one; both are read as one class."
            draft.report(Problem(yaml.path, "duplicate_class", WARNING, said))
            continue
        by_name[name] = len(categories)
        keypoint_names = yaml.keypoint_names.get(class_id) or _point_names(yaml.keypoints)
        categories.append(Category(name, keypoint_names, flip_indices=yaml.flip_indices))
    draft.set_categories(categories)
    return {class_id: by_name[name] for class_id, name in names.items()}


def _point_names(count: int) -> tuple[str, ...]:
    return tuple(f"point {number}" for number in range(1, count + 1))


def _split_lists(source: Source, base: str) -> dict[str, tuple[str, ...]]:
    """Lists of images that lie where a ``data.yaml`` would, as CVAT writes them."""
    present = set(source.paths)
    return {split: (f"{split}.txt",) for split in SPLITS if join(base, f"{split}.txt") in present}
