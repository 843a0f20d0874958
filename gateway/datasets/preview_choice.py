"""Which images a contact sheet shows: of every class as many, by chance that a seed fixes."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Class = TypeVar("Class", bound=Hashable)


@dataclass(frozen=True)
class Choice:
    """The chosen paths, sorted, and the number of images that they were chosen from."""

    paths: tuple[str, ...]
    candidates: int


def choose(images: Iterable[tuple[str, Sequence[Class]]], count: int, seed: int) -> Choice:
    """Choose up to ``count`` of ``images`` (path, the classes that it shows), each class in turn.

    Images that show nothing are one more class. The same images and seed give the same choice, in whatever order they
    come; no more than ``count`` of a class are kept in memory.
    """
    kept: dict[Class | None, list[tuple[int, str]]] = defaultdict(list)
    candidates = 0
    for path, classes in images:
        candidates += 1
        # The smallest of a hash: as good as drawn, and it depends on no order and no library's random numbers.
        entry = (-_hash(seed, path), path)
        for shown in classes or (None,):
            heap = kept[shown]
            if len(heap) < count:
                heapq.heappush(heap, entry)
            elif entry > heap[0]:
                heapq.heapreplace(heap, entry)
    queues = [sorted(kept[shown]) for shown in sorted(kept, key=lambda shown: _hash(seed, f"class {shown}"))]
    chosen: dict[str, None] = {}
    while queues and len(chosen) < count:
        for queue in queues:
            while queue and (path := queue.pop()[1]) in chosen:
                pass
            if path not in chosen and len(chosen) < count:
                chosen[path] = None
        queues = [queue for queue in queues if queue]
    return Choice(tuple(sorted(chosen)), candidates)


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest())
