"""The manifest of a dataset: the list of its files that the gateway writes last and trainers train by.

Its bytes are canonical (JSON in UTF-8, sorted keys, no spaces, files sorted by path), so that their SHA-256 names
the dataset's content, splits and labels:

    {"annotations":null,"class_names":["cat"],"dataset_id":"d1",
     "files":[{"label_id":0,"path":"train/cat/1.png","sha256":"…","size_bytes":68,"split":"train"}],
     "format":"DICE","task_types":["CLASSIFICATION"],"version":1}

Where images carry objects, ``annotations`` names the object that holds them: {"sha256":"…","size_bytes":712}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Self

from storage.objects.digest import is_sha256, sha256_bytes
from storage.objects.paths import normalize

VERSION = 1
SPLITS = ("", "train", "val", "test")


@dataclass(frozen=True)
class ManifestFile:
    """One file. ``split`` is empty for a file of none; ``label_id`` is its class, None for a file without.

    Raises ValueError when a field is off: ``path`` must be as ``paths.normalize`` leaves it.
    """

    path: str
    size_bytes: int
    sha256: str
    split: str
    label_id: int | None

    def __post_init__(self) -> None:
        if normalize(self.path) != self.path:
            raise ValueError(f"manifest: path {self.path!r} is not normalised")
        if self.size_bytes < 0:
            raise ValueError(f"manifest: {self.path!r} has a negative size")
        if not is_sha256(self.sha256):
            raise ValueError(f"manifest: {self.path!r} has no valid sha256")
        if self.split not in SPLITS:
            raise ValueError(f"manifest: {self.path!r} has the unknown split {self.split!r}")


@dataclass(frozen=True)
class AnnotationsReference:
    """The object with what is annotated on the images (``annotations.document``). Raises ValueError."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not is_sha256(self.sha256) or self.size_bytes < 0:
            raise ValueError("manifest: no valid reference to annotations")


@dataclass(frozen=True)
class Manifest:
    """A dataset. ``label_id`` of a file is a place in ``class_names``; ``files`` are kept sorted by path.

    ``annotations`` is None where an image's label is all that is known of it. Raises ValueError when a class name
    or a path repeats, when a path is a folder of another, and when a label id names no class.
    """

    dataset_id: str
    format: str
    task_types: tuple[str, ...]
    class_names: tuple[str, ...]
    files: tuple[ManifestFile, ...]
    annotations: AnnotationsReference | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(sorted(self.files, key=lambda file: file.path)))
        if not self.dataset_id:
            raise ValueError("manifest: dataset_id is empty")
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError("manifest: a class name repeats")
        paths = {file.path for file in self.files}
        if len(paths) != len(self.files):
            raise ValueError("manifest: a path repeats")
        for file in self.files:
            above = file.path
            while above := above.rpartition("/")[0]:
                if above in paths:
                    raise ValueError(f"manifest: {above!r} is a file and a folder of {file.path!r}")
            if file.label_id is not None and not 0 <= file.label_id < len(self.class_names):
                raise ValueError(f"manifest: {file.path!r} has label {file.label_id}, which is no class")

    def to_bytes(self) -> bytes:
        """The canonical bytes. Raises ValueError when a text is not valid Unicode."""
        content = {
            **_content(self),
            "annotations": None if self.annotations is None else _content(self.annotations),
            "files": [_content(file) for file in self.files],
            "version": VERSION,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a manifest. Raises ValueError on anything that ``to_bytes`` would not have written."""
        try:
            content = json.loads(data.decode())
        except RecursionError as error:
            raise ValueError("manifest: nested too deeply") from error
        values = _fields(content, {*_names(cls), "version"})
        if values.pop("version") != VERSION:
            raise ValueError(f"manifest: not version {VERSION}")
        manifest = cls(
            dataset_id=_text(values["dataset_id"]),
            format=_text(values["format"]),
            task_types=_texts(values["task_types"]),
            class_names=_texts(values["class_names"]),
            files=tuple(_file(item) for item in _items(values["files"])),
            annotations=None if values["annotations"] is None else _reference(values["annotations"]),
        )
        # Repeated keys, spaces, unsorted files, 1.0 for 1 and all else that would give one manifest two digests.
        if manifest.to_bytes() != data:
            raise ValueError("manifest: not in canonical form")
        return manifest


def digest(data: bytes) -> str:
    """The digest of a manifest's bytes, by which jobs and caches name it."""
    return sha256_bytes(data)


def _names(kind: type[Manifest | ManifestFile | AnnotationsReference]) -> set[str]:
    return {field.name for field in fields(kind)}


def _content(value: Manifest | ManifestFile | AnnotationsReference) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _names(type(value))}


def _file(item: object) -> ManifestFile:
    values = _fields(item, _names(ManifestFile))
    label_id = values["label_id"]
    return ManifestFile(
        path=_text(values["path"]),
        size_bytes=_integer(values["size_bytes"]),
        sha256=_text(values["sha256"]),
        split=_text(values["split"]),
        label_id=None if label_id is None else _integer(label_id),
    )


def _reference(item: object) -> AnnotationsReference:
    values = _fields(item, _names(AnnotationsReference))
    return AnnotationsReference(sha256=_text(values["sha256"]), size_bytes=_integer(values["size_bytes"]))


def _fields(value: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"manifest: expected an object with exactly {', '.join(sorted(names))}")
    return dict(value)


def _items(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("manifest: expected a list")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("manifest: expected a string")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:  # True is an int to isinstance
        raise ValueError("manifest: expected an integer")
    return value
