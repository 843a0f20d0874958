"""Which split a file or a folder is named after."""

from __future__ import annotations

import re

# What people call the splits; a year may follow, as in COCO's train2017.
_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(_NAMES, key=len, reverse=True))})(\d*)(?![a-z0-9])")


def split_named(name: object) -> str:
    """The split that a word means, such as ``valid`` or ``Train2017``; empty when it means none."""
    match = _WORD.fullmatch(name.strip().lower()) if isinstance(name, str) else None
    return _NAMES[match[1]] if match else ""


def split_of_file(path: str) -> str:
    """The split that an annotation file is for: by its own name, then by the folders it is in; empty when by none."""
    *folders, name = path.split("/")
    words = {_NAMES[match[1]] for match in _WORD.finditer(name.lower())}
    if len(words) == 1:
        return words.pop()
    return next((split for folder in reversed(folders) if (split := split_named(folder))), "")


def words_of_split(path: str) -> tuple[str, ...]:
    """What the file's name calls its split, as it stands there: ``train2017`` of ``instances_train2017.json``."""
    name = path.split("/")[-1]
    return tuple(name[match.start() : match.end()] for match in _WORD.finditer(name.lower()))


def synonyms(split: str) -> tuple[str, ...]:
    """Every word for a split."""
    return tuple(word for word, meaning in _NAMES.items() if meaning == split)
