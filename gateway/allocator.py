"""How the C library hands out memory."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LARGE_BLOCK_BYTES = 256 << 10


def return_large_blocks() -> None:
    """Have glibc give large blocks back to the system as soon as they are freed.

    Left alone, it learns to keep blocks of up to 32 MiB, in a pool for each thread: under uploads those pools grow to
    several times what is in use (docs/decisions/0012-memory-of-uploads.md). Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
