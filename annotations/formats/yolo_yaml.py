"""What an ultralytics ``data.yaml`` says of its dataset, and which file of a dataset is one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from annotations.formats.coco_categories import is_plain
from annotations.formats.paths import folder_of, is_visible, join, name_of
from annotations.formats.small_files import Unreadable
from annotations.formats.yaml_files import read_yaml
from annotations.limits import MAX_CLASSES
from annotations.reading import Source

_USUAL_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
MAX_KEYPOINTS = 1000
# Keys of which one at least makes a YAML file describe a dataset; files of settings have none of them.
_TELLING = ("names", "nc", "train", "val", "test", "kpt_shape")
_SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_TASKS = ("detect", "segment", "pose", "obb")
_CANDIDATES = 20
_LEVELS = 4
_NOTHING = ("", "null", "Null", "NULL", "~")


class TooManyClasses(Exception):
    """There are so many, by the file at a path (empty: by many files); the message says how many are read."""

    def __init__(self, found: int, path: str = "") -> None:
        super().__init__(
            f"{found} classes are named; at most {MAX_CLASSES} are read. Are these names of files, or ids?"
        )
        self.path = path


@dataclass(frozen=True, slots=True)
class DataYaml:
    """The content of a ``data.yaml``.

    ``names`` are the classes by their ids, which need not follow on one another; None where the file names none.
    ``splits`` are folders or ``.txt`` files of image paths, as they stand in the file, to be looked for below
    ``root``. ``keypoints`` is 0 where the dataset is no poses. ``notes`` tell what was passed over.
    """

    path: str
    root: str = ""
    names: Mapping[int, str] | None = None
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keypoints: int = 0
    keypoint_values: int = 3
    flip_indices: tuple[int, ...] = ()
    keypoint_names: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    task: str = ""
    notes: tuple[str, ...] = ()


def yaml_candidates(paths: Iterable[str]) -> list[list[str]]:
    """The YAML files that may describe the dataset, by their depth, the nearest to the root first.

    Of a depth those with one of the usual names come alone, where there are any.
    """
    by_depth: dict[int, list[str]] = {}
    for path in paths:
        if path.lower().endswith((".yaml", ".yml")) and is_visible(path):
            by_depth.setdefault(path.count("/"), []).append(path)
    levels = [by_depth[depth] for depth in sorted(by_depth)[:_LEVELS]]
    usual = [[path for path in level if has_usual_name(path)] for level in levels]
    return [named or level[:_CANDIDATES] for named, level in zip(usual, levels, strict=True)]


def has_usual_name(path: str) -> bool:
    """Whether a file is called as ultralytics and the tools around it call it."""
    return name_of(path).lower() in _USUAL_NAMES


def describes_dataset(content: Mapping[str, Any]) -> bool:
    """Whether a YAML file's keys are those of a dataset."""
    return any(key in content for key in _TELLING)


def find_data_yaml(source: Source) -> DataYaml | None:
    """The one ``data.yaml`` of a dataset, None when it has none.

    Raises NotRead when there are several, or when the one cannot be read; TooManyClasses.
    """
    refused: list[NotRead] = []
    for level in yaml_candidates(source.paths):
        found: list[tuple[str, dict[str, Any]]] = []
        for path in level:
            try:
                content = read_yaml(source, path)
            except Unreadable as error:
                refused.append(NotRead(path, str(error)))
                continue
            if describes_dataset(content):
                found.append((path, content))
        if len(found) > 1:
            paths = ", ".join(path for path, _ in found[:5])
            raise NotRead(
                found[0][0], f"Several files describe the dataset: {paths}. Keep one, or upload two datasets."
            )
        if found:
            path, content = found[0]
            try:
                return parse_data_yaml(path, content)
            except Unreadable as error:
                raise NotRead(path, str(error)) from error
        if any(has_usual_name(error.path) for error in refused):
            break
    if refused:
        raise refused[0]
    return None


class NotRead(Exception):
    """A file that the whole dataset hangs on cannot be read: its path, and why in words for people."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def parse_data_yaml(path: str, content: Mapping[str, Any]) -> DataYaml:
    """Make sense of a YAML file's content. Raises Unreadable, TooManyClasses."""
    notes: list[str] = []
    keypoints, values = _keypoint_shape(content.get("kpt_shape"))
    names = _names(path, content, notes)
    task = str(content.get("task", "")).lower()
    root = content.get("path", "")
    return DataYaml(
        path=path,
        root=root if isinstance(root, str) and root not in _NOTHING else "",
        names=names,
        splits={split: places for split in _SPLIT_KEYS if (places := _places(content, split))},
        keypoints=keypoints,
        keypoint_values=values,
        flip_indices=_flip_indices(content.get("flip_idx"), keypoints, notes),
        keypoint_names=_keypoint_names(content.get("kpt_names"), keypoints, names or {}, notes),
        task=task if task in _TASKS else "",
        notes=tuple(notes),
    )


def class_name(class_id: int) -> str:
    """What ultralytics calls a class that has no name."""
    return f"class_{class_id}"


def data_folder(yaml: DataYaml | None, fallback: str) -> str:
    """The folder that paths of the dataset start from."""
    return folder_of(yaml.path) if yaml else fallback


def find_class_list(paths: Iterable[str], folder: str) -> str | None:
    """A file with a class name in each line, as labelling tools leave it: the nearest to the root."""
    wanted = ("classes.txt", "obj.names")
    found = [path for path in paths if is_visible(path) and name_of(path).lower() in wanted]
    usual = [path for path in found if path in {join(folder, name) for name in wanted}]
    return min(usual or found, key=lambda path: path.count("/"), default=None)


def _names(path: str, content: Mapping[str, Any], notes: list[str]) -> dict[int, str] | None:
    given, count = content.get("names"), _whole(content.get("nc"))
    if given is None or given in _NOTHING:
        if count is None:
            return None
        if count > MAX_CLASSES:
            raise TooManyClasses(count, path)
        return {class_id: class_name(class_id) for class_id in range(count)}
    if isinstance(given, list):
        named: dict[int, object] = dict(enumerate(given))
    elif isinstance(given, dict):
        named = {}
        for key, name in given.items():
            class_id = _whole(key)
            if class_id is None:
                raise Unreadable(
                    f"`names` has the key {str(key)[:50]!r}, which is no class id: whole numbers from 0 on are."
                )
            named[class_id] = name
    else:
        raise Unreadable("`names` is neither a list of class names nor a mapping of class ids to them.")
    if len(named) > MAX_CLASSES:
        raise TooManyClasses(len(named), path)
    if not all(isinstance(name, str) for name in named.values()):
        raise Unreadable("`names` holds something that is no name: a list or a mapping.")
    if count is not None and count != len(named):
        notes.append(f"`nc` is {count}, but `names` holds {len(named)} classes; the names count.")
    return {class_id: _readable(named[class_id]) or class_name(class_id) for class_id in sorted(named)}


def _readable(name: object) -> str:
    """A name on one line; empty when nothing of it can be shown."""
    return name.strip() if isinstance(name, str) and is_plain(name) else ""


def _places(content: Mapping[str, Any], split: str) -> tuple[str, ...]:
    given = next((content[key] for key in _SPLIT_KEYS[split] if key in content), None)
    listed = given if isinstance(given, list) else [given]
    return tuple(place.strip() for place in listed if isinstance(place, str) and place.strip() not in _NOTHING)


def _keypoint_shape(given: object) -> tuple[int, int]:
    if given is None or given in _NOTHING:
        return 0, 3
    shape = [_whole(value) for value in given] if isinstance(given, list) else []
    if len(shape) == 2 and shape[0] and shape[0] <= MAX_KEYPOINTS and shape[1] in (2, 3):
        return shape[0], shape[1]
    raise Unreadable(
        f"`kpt_shape` must be [number of keypoints, 2 or 3], with at most {MAX_KEYPOINTS} keypoints, as in [17, 3]."
    )


def _flip_indices(given: object, keypoints: int, notes: list[str]) -> tuple[int, ...]:
    if not keypoints or given is None or given in _NOTHING or given == []:
        return ()
    found = [_whole(value) for value in given] if isinstance(given, list) else []
    if sorted(place for place in found if place is not None) != list(range(keypoints)):
        notes.append(f"`flip_idx` does not name each of the {keypoints} keypoints once, from 0 on; it was passed over.")
        return ()
    return tuple(place for place in found if place is not None)


def _keypoint_names(
    given: object, keypoints: int, classes: Mapping[int, str], notes: list[str]
) -> dict[int, tuple[str, ...]]:
    """The names by class id; one list is meant for every class."""
    if not keypoints or given is None or given in _NOTHING:
        return {}
    if isinstance(given, list):
        by_class: dict[int | None, object] = {class_id: given for class_id in classes}
    else:
        by_class = {_whole(key): names for key, names in given.items()} if isinstance(given, dict) else {None: given}
    good = {
        class_id: tuple(map(_readable, names))
        for class_id, names in by_class.items()
        if class_id is not None
        and isinstance(names, list)
        and len(names) == len(set(map(_readable, names)) - {""}) == keypoints
    }
    if len(good) < len(by_class):
        notes.append(
            f"`kpt_names` does not name {keypoints} different keypoints for every class; some were passed over."
        )
    return good


def _whole(value: object) -> int | None:
    """A whole number from 0 on as YAML writes it, None for anything else."""
    if isinstance(value, str) and (found := re.fullmatch(r"\+?(\d{1,9})(\.0*)?", value.strip())):
        return int(found[1])
    return None
