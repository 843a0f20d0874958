"""Blocking generators on an event loop: iterated in threads, one item ahead of whoever uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import Executor, Future, wait
from typing import Any, TypeVar, cast

from gateway.datasets.waiting import in_thread

T = TypeVar("T")


async def one_ahead(threads: Executor, items: Iterator[T]) -> AsyncGenerator[T, None]:
    """Iterate a blocking generator in threads; while an item is used the next one is made, and no more than that."""
    ended = object()

    def step() -> Future[Any]:
        return threads.submit(next, items, ended)

    coming = step()
    try:
        while (item := await asyncio.wrap_future(coming)) is not ended:
            coming = step()
            yield cast(T, item)
    finally:
        # A generator can be closed only when no thread is in it.
        await in_thread(threads, _close, coming, cast(Generator[T, None, None], items))


def _close(running: Future[Any], items: Generator[T, None, None]) -> None:
    wait([running])
    items.close()
