"""Looks now and then for what slipped through: objects of checkpoints without a record, and checkpoints that were held
for jobs which have ended meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy.orm import Session

from gateway.events.log import JobLog
from gateway.training.retention import enforce
from gateway.training.states import WITH_RUN
from rpc.errors import DomainError
from storage.database.errors import DatabaseUnavailable
from storage.database.garbage import OBJECT, PREFIX, GarbageItem, GarbageRepository
from storage.database.jobs import JobRepository
from storage.database.retention import RetentionRepository
from storage.objects import keys
from storage.objects.errors import ObjectStoreError
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

SWEEP_SECONDS = 3600.0


class Sweeper:
    """Sweeps at the start and every hour. It removes nothing itself: what it finds becomes garbage as any other."""

    def __init__(self, log: JobLog, store: ObjectStore) -> None:
        self._log = log
        self._store = store
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="sweep")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep now, and then now and again."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Sweep no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def sweep(self) -> int:
        """Note objects that an agent stored and nobody recorded; returns their number, a checkpoint's files being one.

        Nothing is noted that an agent may still tell of, nor what belongs to a job that this database never knew: a
        gateway that was given another database must not empty the store. Raises StoreUnavailable, DatabaseUnavailable.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._list)
        orphans = await self._log.database.read(lambda session: _orphans(session, found))
        if orphans:
            await self._log.database.write(lambda session: GarbageRepository(session).add(orphans))
            self._log.collect_garbage()
            logger.info("objects without a record found", objects=len(orphans))
        return len(orphans)

    async def release(self) -> None:
        """Let held checkpoints go that jobs took from which have ended."""
        for job_id in await self._log.database.read(lambda session: RetentionRepository(session).held_jobs()):
            try:
                await self._log.transact(job_id, enforce)
            except DomainError as error:
                if error.reason != "JOB_NOT_FOUND":  # deleted meanwhile, and its checkpoints with it
                    raise

    async def _run(self) -> None:
        while True:
            try:
                await self.release()
                await self.sweep()
            except (ObjectStoreError, DatabaseUnavailable) as error:
                logger.warning("checkpoints could not be swept", error=str(error))
            except Exception:
                logger.exception("checkpoints could not be swept")
            await asyncio.sleep(SWEEP_SECONDS)

    def _list(self) -> list[keys.CheckpointObject]:
        objects = (
            keys.checkpoint_object(info.key)
            for prefix in (keys.CHECKPOINTS, keys.VALIDATION_IMAGES)
            for info in self._store.list(prefix)
        )
        # Files of one checkpoint are one thing; a dictionary keeps the order.
        return [*dict.fromkeys(item for item in objects if item is not None)]


def _orphans(session: Session, found: Iterable[keys.CheckpointObject]) -> list[GarbageItem]:
    """Those that no record names.

    The states are read first: of a run that had ended by then, all is recorded that ever will be; of one that begins
    later, nothing was found.
    """
    states = JobRepository(session).states([*{item.job_id for item in found}])
    settled = [item for item in found if states.get(item.job_id, "RUNNING") not in WITH_RUN]
    recorded = RetentionRepository(session).recorded([*{item.checkpoint_id for item in settled}])
    orphans = []
    for item in settled:
        is_prefix = item.name.endswith("/")
        if item.checkpoint_id not in recorded or not (is_prefix or recorded[item.checkpoint_id]):
            orphans.append(GarbageItem(PREFIX if is_prefix else OBJECT, item.name))
    return orphans
