"""Random state as a function of (seed, epoch), so that a resumed training repeats what it would have done."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Reset every random state to what ``(seed, epoch)`` derives; epoch 0 stands for building the model.

    Python's, NumPy's and torch's global states drive augmentation and dropout. The generator returned is
    for shuffling.
    """
    words = np.random.SeedSequence([abs(seed), int(seed < 0), epoch]).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))
    return torch.Generator().manual_seed(int(words[3]))
