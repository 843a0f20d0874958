"""What is wrong between files rather than in one: images in several splits, names that some systems take for one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from annotations.model import SPLITS
from annotations.problems import WARNING, Problem
from gateway.datasets.images import Picture
from gateway.datasets.perceptual import near_duplicates


def across_splits(
    splits: Mapping[str, str], digests: Mapping[str, str], pictures: Mapping[str, Picture]
) -> Iterator[Problem]:
    """Images that are in more than one split (``splits`` by path), with the same bytes or looking the same: what is
    validated on was trained on."""
    ordered = sorted(splits, key=lambda path: (SPLITS.index(splits[path]), path))
    first: dict[str, str] = {}
    copies: set[str] = set()
    for path in ordered:
        other = first.setdefault(digests[path], path)
        if splits[other] != splits[path]:
            copies.add(path)
            said = f"The same image is in the split {splits[other]!r} as {other!r}, and here in {splits[path]!r}: "
            yield Problem(path, "same_image_in_splits", WARNING, f"{said}metrics will look better than they are.")
    comparable = (
        (path, splits[path], small)
        for path in ordered
        if path not in copies and (small := pictures[path].shrunken) is not None
    )
    for path, other in near_duplicates(comparable):
        said = f"This image of the split {splits[path]!r} looks like {other!r} of {splits[other]!r}. Where both show "
        said += "the same, metrics will look better than they are."
        yield Problem(path, "near_duplicate_in_splits", WARNING, said)


def alike_but_for_case(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, earlier name) of names that differ only in case; the order is that of the names."""
    first: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", name.casefold())
        other = first.setdefault(folded, name)
        if other != name:
            yield name, other


def names_alike(paths: Iterable[str], class_names: Iterable[str]) -> Iterator[Problem]:
    """Files and classes whose names differ only in case."""
    for path, other in alike_but_for_case(paths):
        said = f"The name differs from {other!r} only in case: on some systems one of them replaces the other."
        yield Problem(path, "names_differ_in_case", WARNING, said)
    for name, other in alike_but_for_case(class_names):
        said = f"The classes {other!r} and {name!r} differ only in case. If they mean the same, give them one name."
        yield Problem("", "names_differ_in_case", WARNING, said)
