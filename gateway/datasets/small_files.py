"""Small files stored in groups: what comes while a group is on its way to the disk makes up the next."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor

from gateway.datasets.waiting import in_thread, run_to_end
from storage.objects.errors import ObjectStoreError
from storage.objects.store import NewObject, ObjectInfo, ObjectStore

GROUPS_AT_ONCE = 8

_Waiting = tuple[NewObject, asyncio.Future[ObjectInfo]]


class SmallFiles:
    """Stores the small files of all streams of a gateway. The flushes that make one durable do so for its whole group.

    A file that comes alone waits for nobody.
    """

    def __init__(self, store: ObjectStore, threads: Executor) -> None:
        self._store = store
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, item: NewObject) -> ObjectInfo:
        """Store an object, durable on return. Raises what the store gives as its outcome."""
        stored: asyncio.Future[ObjectInfo] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, stored))
        self._begin()
        return await run_to_end(stored)

    def _begin(self) -> None:
        while self._waiting and len(self._under_way) < GROUPS_AT_ONCE:
            size = min(self._store.objects_together, len(self._waiting))
            group = [self._waiting.popleft() for _ in range(size)]
            task = asyncio.create_task(self._store_group(group))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()

    async def _store_group(self, group: list[_Waiting]) -> None:
        try:
            outcomes = await in_thread(self._threads, self._store.put_many, [item for item, _ in group])
        except BaseException as error:
            for _, stored in group:
                stored.set_exception(error)
            return
        for (_, stored), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, ObjectStoreError):
                stored.set_exception(outcome)
            else:
                stored.set_result(outcome)
