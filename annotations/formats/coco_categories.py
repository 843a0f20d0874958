"""The classes of COCO: sparse ids, names, and for poses keypoints, skeleton and how they are mirrored."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from annotations.limits import LONGEST_NAME, MAX_KEYPOINTS
from annotations.model import Category

# Marks images without objects; never a class.
BACKGROUND = "__background__"

Id = int | str


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """A category as a file gives it."""

    id: Id
    category: Category
    supercategory: str = ""


def read_id(value: object) -> Id | None:
    """An id: a whole number or a string; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) else None


def read_category(content: object, place: int) -> CocoCategory | None:
    """A category of its JSON; None when it has no id, no name that can be shown and stored, or endless keypoints.

    A mere string is a name whose id is its place in the list, from 0.
    """
    if isinstance(content, str):
        content = {"id": place, "name": content}
    if not isinstance(content, Mapping):
        return None
    id, name = read_id(content.get("id")), content.get("name")
    points = content.get("keypoints")
    if id is None or not isinstance(name, str) or not is_plain(name):
        return None
    if isinstance(points, list) and len(points) > MAX_KEYPOINTS:
        return None
    supercategory = content.get("supercategory")
    names = _keypoint_names(points)
    category = Category(name.strip(), names, _skeleton(content.get("skeleton"), len(names)), flip_indices(names))
    return CocoCategory(id, category, supercategory if isinstance(supercategory, str) else "")


def is_plain(name: str) -> bool:
    """Whether a name is one to read: not blank, not endless, no control characters, nothing that UTF-8 cannot hold."""
    return 0 < len(name.strip()) <= LONGEST_NAME and not any(
        unicodedata.category(character) in ("Cc", "Cs") for character in name
    )


def in_order(categories: Iterable[CocoCategory]) -> list[CocoCategory]:
    """By id, numbers before strings."""
    return sorted(categories, key=lambda found: (isinstance(found.id, str), found.id))


def without_group(categories: Sequence[CocoCategory], used: Set[Id]) -> list[CocoCategory]:
    """Leave out the group that Roboflow writes as category 0: of no supercategory, above all others, on no object."""
    group = next((found for found in categories if found.id == 0 and found.supercategory in ("", "none")), None)
    others = [found for found in categories if found is not group]
    if group is None or not others or group.id in used:
        return list(categories)
    return others if all(other.supercategory == group.category.name for other in others) else list(categories)


def flip_indices(names: Sequence[str]) -> tuple[int, ...]:
    """Which point each becomes in the mirror, by ``left`` and ``right`` in the names; empty unless they pair up."""
    places = {name.lower(): place for place, name in enumerate(names)}
    if len(places) != len(names):
        return ()
    swapped = [_other_side(name.lower()) for name in names]
    if all(other is None for other in swapped) or any(other is not None and other not in places for other in swapped):
        return ()
    return tuple(place if other is None else places[other] for place, other in enumerate(swapped))


def _other_side(name: str) -> str | None:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left") if "right" in name else None


def _keypoint_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list):
        return ()
    return tuple(
        name.strip() if isinstance(name, str) and is_plain(name) else f"point {place}"
        for place, name in enumerate(names, start=1)
    )


def _skeleton(pairs: object, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places from 0. COCO counts from 1; where a 0 occurs, the file does not."""
    if not isinstance(pairs, list):
        return ()
    whole = [
        (pair[0], pair[1])
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(type(place) is int for place in pair)
    ]
    first = 0 if any(0 in pair for pair in whole) else 1
    moved = ((start - first, end - first) for start, end in whole)
    return tuple(dict.fromkeys(pair for pair in moved if all(0 <= place < count for place in pair)))
