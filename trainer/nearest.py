"""What someone may have meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches

# Comparing takes time that grows with both lengths; no name of ours is nearly as long.
_MAX_COMPARED_CHARACTERS = 200


def nearest_names(name: str, known: Sequence[str], count: int) -> list[str]:
    """Return at most ``count`` of the known names, the most similar first; empty when none is similar.

    A known name that ends in the same dotted part comes first: ``weight_decay`` finds ``optimizer.weight_decay``.
    """
    name = name[:_MAX_COMPARED_CHARACTERS]
    leaf = name.rpartition(".")[2]
    same_leaf = [candidate for candidate in known if leaf and candidate.rpartition(".")[2] == leaf]
    same_leaf.sort(key=lambda candidate: SequenceMatcher(None, name, candidate).ratio(), reverse=True)
    close = get_close_matches(name, known, n=count)
    return list(dict.fromkeys([*same_leaf, *close]))[:count]
