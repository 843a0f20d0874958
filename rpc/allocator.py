"""How the C library hands out memory. Other libraries than glibc are left as they are."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
# Above the chunks of uploads and the blocks of images (1 MiB each), below the parts of S3 (8 MiB).
LARGE_BLOCK_BYTES = 1280 << 10
SPARE_BYTES = 8 << 20
KEPT_BYTES = 512 << 20
# glibc takes no larger threshold.
_LARGEST_MMAP_THRESHOLD = 32 << 20


def return_large_blocks() -> None:
    """Have large blocks given back to the system as soon as they are freed, and all others kept in one pool.

    Left alone, glibc learns to keep blocks of up to 32 MiB, in a pool for each thread: under uploads those pools grow
    to several times what is in use. With a threshold and nothing else, every pool gives its end back as soon as 128 KiB
    are free there, and each small file and each image has its pages handed out anew
    (docs/decisions/0012-memory-of-uploads.md). Has its effect on threads that begin later.
    """
    _set(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
    _set(_M_TRIM_THRESHOLD, SPARE_BYTES)
    _set(_M_ARENA_MAX, 1)


def keep_large_blocks() -> None:
    """Have freed blocks kept for the next ones: up to ``KEPT_BYTES`` of them.

    A training on a CPU allocates and frees the same large tensors in every step. Left alone, glibc gives them back to
    the system in between, which then hands out every page anew: a tenth of the time of a small network's step.
    """
    _set(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    _set(_M_TRIM_THRESHOLD, KEPT_BYTES)
    _set(_M_TOP_PAD, 64 << 20)


def _set(parameter: int, value: int) -> None:
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
