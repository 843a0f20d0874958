"""Which replica predicts with a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from gateway.fleet import Trainer


def ranked(checkpoint_digest: str, trainers: Iterable[Trainer]) -> list[Trainer]:
    """The trainers, the checkpoint's own first, so that its model stays in the memory of one replica.

    Rendezvous hashing: when a replica goes, only its checkpoints move, and they come back with it.
    Source: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996).
    """
    return sorted(trainers, key=lambda trainer: _weight(checkpoint_digest, trainer.address), reverse=True)


def _weight(checkpoint_digest: str, address: str) -> bytes:
    return hashlib.sha256(f"{checkpoint_digest}\0{address}".encode()).digest()
