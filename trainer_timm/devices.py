"""Where training and prediction run."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """Return the first CUDA device when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bfloat16() -> bool:
    """Say whether bfloat16 is faster than float32 here: on CUDA devices that compute in it, never on a CPU."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
