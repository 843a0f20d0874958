"""Work that a cancelled call must not leave half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def run_to_end(work: Awaitable[T]) -> T:
    """Await ``work``; a cancellation takes effect only when it is done, however it ended."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # cancelled already; the work still goes first
        if not task.cancelled() and task.exception() is not None:
            raise asyncio.CancelledError from task.exception()
        raise


async def in_thread(threads: Executor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in ``threads``; returns or raises only when the thread is done with it."""
    future = asyncio.get_running_loop().run_in_executor(threads, lambda: work(*args, **kwargs))
    return await run_to_end(future)
