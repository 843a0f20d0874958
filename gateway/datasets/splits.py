"""Making a validation split where the files have none."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping


def choose_val(labels: Mapping[str, str], digests: Mapping[str, str], fraction: float, seed: int) -> set[str]:
    """Choose the paths that become validation, from ``labels`` (class by path) and ``digests`` (SHA-256 by path).

    Each class gives about ``fraction`` of its images: at least one, and at least one stays, where it has two different
    ones. Copies of one image stay together. The same files and seed give the same split, on every machine.
    """
    if fraction <= 0:
        return set()
    classes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(labels):
        classes[labels[path]][digests[path]].append(path)
    chosen: set[str] = set()
    for copies in classes.values():
        chosen.update(_choose(list(copies.values()), fraction, seed))
    return chosen


def _choose(groups: list[list[str]], fraction: float, seed: int) -> list[str]:
    # Sorted by a hash: as good as shuffled, and it depends on no library's random numbers.
    shuffled = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group[0]}".encode()).digest())
    wanted = max(1, round(sum(map(len, groups)) * fraction))
    chosen: list[str] = []
    for group in shuffled[:-1]:  # the last group always stays in training
        if len(chosen) >= wanted:
            break
        chosen += group
    return chosen
