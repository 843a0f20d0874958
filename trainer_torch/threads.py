"""How many processors torch computes on, thread by thread."""

from __future__ import annotations

import torch


def compute_on(count: int) -> None:
    """Let what this thread computes with torch use so many processors; cheap enough to be said before every operation.

    Each thread of a process that computes on several keeps a team of its own. OpenMP lets the members of a team wait
    actively for the next operation, but no longer once the teams together have more members than there are processors:
    then every operation begins by waking them, and a small model takes a third longer. So threads that load models,
    export them, prepare images or hand them to another runtime compute on one.
    """
    torch.set_num_threads(count)
