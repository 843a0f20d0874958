"""Threads that take over from one another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from storage.database.threads import RelayedThreads

Make = Callable[..., RelayedThreads]
NEVER = 1000.0


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[RelayedThreads] = []

    def make(threads: int, held_up_seconds: float) -> RelayedThreads:
        made.append(RelayedThreads(threads, "test", held_up_seconds))
        return made[-1]

    yield make
    for threads in made:
        await asyncio.to_thread(threads.shutdown)


async def run(threads: RelayedThreads, work: Callable[[], object]) -> object:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


async def test_work_is_done_in_order_by_one_thread(make: Make) -> None:
    threads = make(4, NEVER)
    done: list[tuple[int, int]] = []

    def work(number: int) -> None:
        done.append((number, threading.get_ident()))

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(run(threads, partial(work, number)))
    assert [number for number, _ in done] == [*range(50)]
    first = threading.Event()
    blocked = asyncio.create_task(run(threads, first.wait))
    waiting = [asyncio.create_task(run(threads, threading.get_ident)) for _ in range(5)]
    await asyncio.sleep(0)
    first.set()
    assert await blocked is True
    assert len(set(await asyncio.gather(*waiting))) == 1


async def test_another_thread_takes_over_from_one_that_is_held_up(make: Make) -> None:
    threads = make(2, 0.01)
    first, second = threading.Event(), threading.Event()
    held = asyncio.create_task(run(threads, first.wait))
    overtaking = [await run(threads, partial(int, number)) for number in range(20)]
    assert overtaking == [*range(20)] and not held.done()
    # No more than two work at a time: what comes behind two that are held up waits for one of them.
    also_held = asyncio.create_task(run(threads, second.wait))
    behind = asyncio.create_task(run(threads, threading.active_count))
    done, _ = await asyncio.wait({behind}, timeout=0.2)
    assert not done
    first.set()
    assert await held is True
    await behind
    assert not also_held.done()
    second.set()
    assert await also_held is True


async def test_errors_reach_the_caller_and_cancelled_work_is_not_done(make: Make) -> None:
    threads = make(1, 0.01)
    with pytest.raises(ZeroDivisionError):
        await run(threads, lambda: 1 / 0)
    done: list[str] = []
    gate = threading.Event()
    held = asyncio.create_task(run(threads, gate.wait))
    dropped = asyncio.create_task(run(threads, lambda: done.append("dropped")))
    kept = asyncio.create_task(run(threads, lambda: done.append("kept")))
    await asyncio.sleep(0.05)
    dropped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dropped
    gate.set()
    await asyncio.gather(held, kept)
    assert done == ["kept"]


async def test_a_shutdown_finishes_what_waits_and_takes_no_more(make: Make) -> None:
    threads = make(2, 0.01)
    gate = threading.Event()
    futures = [threads.submit(gate.wait), *(threads.submit(lambda: True) for _ in range(5))]
    ending = asyncio.create_task(asyncio.to_thread(threads.shutdown))
    await asyncio.sleep(0.05)
    gate.set()
    await ending
    assert [future.result(0) for future in futures] == [True] * 6
    with pytest.raises(RuntimeError):
        threads.submit(lambda: True)
