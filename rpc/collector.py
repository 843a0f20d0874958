"""Python's garbage collector in processes that live for long."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000


def spare_what_is_there() -> None:
    """Have the collector pass over all objects that there are by now.

    To look through the modules and tables of a server takes it a tenth of a second, in which no call goes on, and it
    does so again and again though there is nothing to find. In a process that forks they also stay shared with its
    children.
    """
    gc.collect()
    gc.freeze()


def search_rarely() -> None:
    """Have the collector look for garbage after many more new objects than usual.

    For processes whose objects are small and mostly free themselves: a gateway with a thousand watchers spends a tenth
    of its time on looking. Not for those that hold tensors, of whose size the collector knows nothing.
    """
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
