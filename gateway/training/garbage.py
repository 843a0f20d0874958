"""Removes what no record names any more: objects of the store, and the logs of deleted jobs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from gateway.checkpoint_readers import CheckpointReaders
from rpc.kill_points import KillPoint, passing
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable
from storage.database.events import EventRepository
from storage.database.garbage import LOG, PREFIX, GarbageItem, GarbageRepository
from storage.database.tables import now
from storage.objects.errors import ObjectStoreError
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

# Of a log, so many events in one transaction: others write between two of them.
EVENTS_AT_ONCE = 5000
ITEMS_AT_ONCE = 100
LONGEST_PAUSE_SECONDS = 15.0
SHORTEST_PAUSE_SECONDS = 0.2


class GarbageCollector:
    """Works through the notes of ``GarbageRepository``, when it is woken and now and then.

    A prefix is removed when nobody has needed it for ``delay_seconds``: who looked a checkpoint up just before it was
    superseded can still read it. What is read here for longer is kept by noting again and again that it is needed,
    several times in each delay, so that the gateways beside this one leave it alone too.
    """

    def __init__(
        self, database: Database, store: ObjectStore, readers: CheckpointReaders, *, delay_seconds: float
    ) -> None:
        self._database = database
        self._store = store
        self._readers = readers
        self._delay = timedelta(seconds=delay_seconds)
        self._pause_seconds = min(max(delay_seconds / 4, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="garbage")
        self._woken = asyncio.Event()
        self._collecting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what an earlier gateway left."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is left is noted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def wake(self) -> None:
        """There is new garbage."""
        self._woken.set()

    async def collect(self) -> int:
        """Remove all that is due; returns how many items that was. Raises DatabaseUnavailable.

        What the store does not give up now stays noted, for later.
        """
        removed = 0
        async with self._collecting:
            while True:
                await self._keep_what_is_read()
                due = await self._database.read(self._due)
                needed = self._readers.needed()
                free = [item for item in due if item.kind != PREFIX or item.name not in needed]
                for item in free:
                    if not await self._remove(item):
                        return removed
                    removed += 1
                if len(due) < ITEMS_AT_ONCE or not free:
                    return removed

    async def _run(self) -> None:
        while True:
            try:
                await self.collect()
            except DatabaseUnavailable as error:
                logger.warning("garbage could not be collected", error=str(error))
            except Exception:
                logger.exception("garbage could not be collected")
            try:
                async with asyncio.timeout(self._pause_seconds):
                    await self._woken.wait()
            except TimeoutError:
                logger.debug("looking for garbage again")
            self._woken.clear()

    def _due(self, session: Session) -> list[GarbageItem]:
        return GarbageRepository(session).due(now() - self._delay, ITEMS_AT_ONCE)

    async def _keep_what_is_read(self) -> None:
        needed = self._readers.needed()
        if not needed:
            return
        noted = await self._database.read(lambda session: GarbageRepository(session).noted_prefixes(needed))
        if noted:
            await self._database.write(lambda session: GarbageRepository(session).postpone(PREFIX, noted))

    async def _remove(self, item: GarbageItem) -> bool:
        """Whether it is gone."""
        passing(KillPoint.REMOVAL_OF_OBJECTS)
        if item.kind == LOG:
            await self._remove_log(item.name)
        else:
            remove = self._store.delete_prefix if item.kind == PREFIX else self._store.delete
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, remove, item.name)
            except ObjectStoreError as error:
                logger.warning("an object stays for now", name=item.name, error=str(error))
                # Behind the others: what cannot be removed must not keep those waiting.
                await self._database.write(lambda session: GarbageRepository(session).postpone(item.kind, [item.name]))
                return False
        await self._database.write(lambda session: GarbageRepository(session).remove(item))
        return True

    async def _remove_log(self, job_id: str) -> None:
        def some(session: Session) -> bool:
            return EventRepository(session).delete_some(job_id, EVENTS_AT_ONCE)

        while await self._database.write(some):
            continue
