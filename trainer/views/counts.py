"""What a view made of each split, to be told when it is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class ViewCounts:
    """Numbers by split and name, for example the crowds of ``train``."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, split: str, name: str, count: int = 1) -> None:
        """Count on."""
        self._counts.setdefault(split, Counter())[name] += count

    def get(self, split: str, name: str) -> int:
        """The number; 0 when nothing was counted."""
        return self._counts.get(split, Counter())[name]

    def as_json(self) -> dict[str, dict[str, int]]:
        """The numbers as plain values."""
        return {split: dict(counts) for split, counts in self._counts.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Mapping[str, int]]) -> ViewCounts:
        """Read what ``as_json`` gave."""
        made = cls()
        for split, counts in content.items():
            for name, count in counts.items():
                made.add(split, name, count)
        return made
