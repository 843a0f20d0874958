"""Making a validation split where the files have none.

Everything follows from the paths, the digests and the seed: the same split on every machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping


def choose_val(labels: Mapping[str, str], digests: Mapping[str, str], fraction: float, seed: int) -> set[str]:
    """Choose the paths that become validation, from ``labels`` (class by path) and ``digests`` (SHA-256 by path).

    Each class gives about ``fraction`` of its images: at least one, and at least one stays, where it has two different
    ones. Copies of one image stay together, also where they carry different classes.
    """
    if fraction <= 0:
        return set()
    classes: dict[str, list[list[str]]] = defaultdict(list)
    for group in _copies(labels, digests):
        classes[labels[group[0]]].append(group)
    chosen: set[str] = set()
    for groups in classes.values():
        chosen.update(_choose(groups, fraction, seed))
    return chosen


def choose_val_of_objects(
    classes: Mapping[str, Collection[int]], digests: Mapping[str, str], fraction: float, seed: int
) -> set[str]:
    """Choose the paths that become validation, from the ``classes`` that each image shows (none: background).

    Classes are dealt with from the rarest on, each with the images that show it and no rarer one: of these about
    ``fraction`` are chosen, what rounding leaves over going to the next class (after K. Sechidis et al., "On the
    Stratification of Multi-label Data", ECML 2011, made simple). Copies of one image stay together. At least one
    image is chosen, and one stays, where there are two different ones.
    """
    if fraction <= 0:
        return set()
    shown = Counter(name for found in classes.values() for name in set(found))
    strata: dict[tuple[int, int], list[list[str]]] = defaultdict(list)
    background = len(classes) + 1, -1
    groups = _copies(classes, digests)
    for group in groups:
        found = {name for path in group for name in classes[path]}
        strata[min(((shown[name], name) for name in found), default=background)].append(group)
    chosen: set[str] = set()
    owed = 0.0
    for stratum in sorted(strata):
        members = _shuffled(strata[stratum], seed)
        owed += sum(map(len, members)) * fraction
        for group in members[:-1]:  # the last one stays in training
            if owed < len(group) / 2:
                break
            chosen.update(group)
            owed -= len(group)
    if not chosen and len(groups) > 1:
        chosen.update(_shuffled(groups, seed)[0])
    return chosen


def _copies(paths: Iterable[str], digests: Mapping[str, str]) -> list[list[str]]:
    """The paths in groups of one digest each."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        groups[digests[path]].append(path)
    return list(groups.values())


def _shuffled(groups: Iterable[list[str]], seed: int) -> list[list[str]]:
    # Sorted by a hash: as good as shuffled, and it depends on no library's random numbers.
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group[0]}".encode()).digest())


def _choose(groups: list[list[str]], fraction: float, seed: int) -> list[str]:
    wanted = max(1, round(sum(map(len, groups)) * fraction))
    chosen: list[str] = []
    for group in _shuffled(groups, seed)[:-1]:  # the last group always stays in training
        if len(chosen) >= wanted:
            break
        chosen += group
    return chosen
