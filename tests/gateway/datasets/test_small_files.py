"""Small files share flushes, and memory is shared by turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from gateway.datasets.memory import MemoryBudget
from gateway.datasets.small_files import GROUPS_AT_ONCE, SmallFiles
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectMismatch, ObjectStoreError
from storage.objects.local import LocalObjectStore
from storage.objects.store import NewObject, ObjectInfo


class HeldStore(LocalObjectStore):
    """A store whose disk stands still until it is told to go on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.go = Event()
        self.groups: list[int] = []

    def put_many(self, objects: Sequence[NewObject]) -> list[ObjectInfo | ObjectStoreError]:
        self.groups.append(len(objects))
        assert self.go.wait(30)
        return super().put_many(objects)


async def test_files_that_come_while_the_disk_is_busy_are_stored_together(tmp_path: Path) -> None:
    store = HeldStore(tmp_path)
    with ThreadPoolExecutor(GROUPS_AT_ONCE) as threads:
        small = SmallFiles(store, threads)
        new = [NewObject(f"a/{number}", b"x" * number) for number in range(100)]
        storing = [asyncio.create_task(small.put(item)) for item in new]
        await asyncio.sleep(0.05)
        store.go.set()
        infos = await asyncio.gather(*storing)
    assert [info.size_bytes for info in infos] == list(range(100))
    assert len(list(store.list("a/"))) == 100
    # Those that found it idle went alone; all others waited for each other.
    assert store.groups[:GROUPS_AT_ONCE] == [1] * GROUPS_AT_ONCE
    assert sum(store.groups) == 100 and len(store.groups) < 25


async def test_a_file_that_is_not_as_announced_fails_alone(tmp_path: Path) -> None:
    store = HeldStore(tmp_path)
    store.go.set()
    with ThreadPoolExecutor(2) as threads:
        small = SmallFiles(store, threads)
        wrong = NewObject("a/wrong", b"x", sha256_bytes(b"y"))
        outcomes = await asyncio.gather(
            *(small.put(item) for item in (NewObject("a/1", b"1"), wrong, NewObject("a/2", b"2"))),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in outcomes] == [ObjectInfo, ObjectMismatch, ObjectInfo]
    assert [info.key for info in store.list("")] == ["a/1", "a/2"]


async def test_memory_is_given_in_turn_and_what_is_cancelled_takes_none() -> None:
    memory = MemoryBudget(10)
    assert await memory.take(8) == 8
    large = asyncio.create_task(memory.take(100))
    small = asyncio.create_task(memory.take(1))
    gone = asyncio.create_task(memory.take(5))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    assert not large.done() and not small.done()  # a large one is not overtaken for ever
    memory.give_back(8)
    assert await large == 10  # all there is
    assert not small.done()
    memory.give_back(10)
    assert await small == 1
    memory.give_back(1)
    async with asyncio.timeout(5):
        assert await memory.take(10) == 10


async def test_a_turn_that_is_cancelled_as_it_comes_is_given_back() -> None:
    memory = MemoryBudget(10)
    await memory.take(10)
    waiting = asyncio.create_task(memory.take(10))
    await asyncio.sleep(0)
    memory.give_back(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        assert await memory.take(10) == 10
