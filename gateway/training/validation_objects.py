"""Rows of validation images in the store: read, verified, kept in memory for a while, removed once superseded."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

import structlog
from sqlalchemy.orm import Session

from gateway.training.states import WITH_RUN
from rpc.errors import DomainError
from rpc.kill_points import KillPoint, passing
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectNotFound, ObjectStoreError
from storage.objects.store import ObjectStore
from storage.objects.validation_images import ValidationImages

P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger(__name__)

THREADS = 2
CACHE_BYTES = 64 << 20
SWEEP_SECONDS = 3600.0


class ValidationObjects:
    """The objects of all jobs. Nothing of the store, and no decoding, happens on the event loop."""

    def __init__(self, database: Database, store: ObjectStore, *, cache_bytes: int = CACHE_BYTES) -> None:
        """``cache_bytes``: decoded rows in memory, at most, the least recently asked for going first."""
        self._database = database
        self._store = store
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[str, ValidationImages] = OrderedDict()  # by digest, which names their content
        self._loading: dict[str, asyncio.Task[ValidationImages]] = {}
        self._removing: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="validation")
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Sweep now, and then now and again."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """End what is under way. What was to be removed and is not, the next start sweeps."""
        self._closed = True
        tasks = [*self._loading.values(), *self._removing, *([self._sweeper] if self._sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def load(self, stored: Mapping[str, Any]) -> ValidationImages:
        """The rows of an object as a checkpoint's record names it; concurrent calls read it once.

        Raises STORAGE_CORRUPT when it is missing or not the bytes that were published, StoreUnavailable.
        """
        digest, path = stored["sha256"], stored["storage_path"]
        if digest in self._cache:
            self._cache.move_to_end(digest)
            return self._cache[digest]
        loading = self._loading.get(path)
        if loading is None:
            loading = asyncio.create_task(self._load(stored))
            self._loading[path] = loading
            loading.add_done_callback(lambda task: self._loaded(path, task))
        # One caller's end must not end it for the others.
        return await asyncio.shield(loading)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove objects that no record names any more, in the background. After ``close``: left to the next sweep."""
        if self._closed:
            return
        task = asyncio.create_task(self._remove(paths))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def sweep(self) -> int:
        """Remove objects that no record names: a gateway or an agent died in between. Returns their number.

        Nothing is removed that an agent may still publish: objects are listed first, and then one that is not recorded
        belongs to a job that nothing runs for.
        """
        found: list[str] = await self.in_thread(self._list)

        def recorded(session: Session) -> tuple[set[str], set[str]]:
            running = {job.id for job in JobRepository(session).in_states(WITH_RUN)}
            return CheckpointRepository(session).validation_image_paths(), running

        kept, running = await self._database.read(recorded)
        orphans = [path for path in found if path not in kept and keys.job_of(path) not in running]
        for path in orphans:
            await self.in_thread(self._store.delete, path)
        if orphans:
            logger.info("validation images that nothing names removed", objects=len(orphans))
        return len(orphans)

    async def _load(self, stored: Mapping[str, Any]) -> ValidationImages:
        images = await self.in_thread(_read, self._store, stored)
        if images.memory_bytes <= self._cache_bytes:
            self._cache[stored["sha256"]] = images
            while sum(item.memory_bytes for item in self._cache.values()) > self._cache_bytes:
                self._cache.popitem(last=False)
        return images

    def _loaded(self, path: str, task: asyncio.Task[ValidationImages]) -> None:
        self._loading.pop(path, None)
        if not task.cancelled():
            task.exception()  # seen, also when every caller has left

    async def _remove(self, paths: Sequence[str]) -> None:
        passing(KillPoint.REMOVAL_OF_VALIDATION)
        try:
            for path in paths:
                await self.in_thread(self._store.delete, path)
        except ObjectStoreError as error:
            logger.warning("superseded validation images stay until the next sweep", error=str(error))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except (ObjectStoreError, DatabaseUnavailable) as error:
                logger.warning("validation images could not be swept", error=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    def _list(self) -> list[str]:
        return [info.key for info in self._store.list(keys.VALIDATION_IMAGES)]

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work on rows or store in one of the few threads for it."""
        call = partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _read(store: ObjectStore, stored: Mapping[str, Any]) -> ValidationImages:
    path, size, expected = stored["storage_path"], stored["size_bytes"], stored["sha256"]
    data = bytearray()
    with suppress(ObjectNotFound):  # no bytes at all: their digest is another
        for chunk in store.read(path):
            data += chunk
            if len(data) > size:
                break
    found = sha256_bytes(bytes(data))
    if found != expected:
        raise _corrupt(stored, f"its SHA-256 is {found}" if data else "it is missing")
    try:
        return ValidationImages.decode(bytes(data))
    except ValueError as error:
        raise _corrupt(stored, str(error)) from error


def _corrupt(stored: Mapping[str, Any], why: str) -> DomainError:
    path, digest = stored["storage_path"], stored["sha256"]
    return DomainError(
        "STORAGE_CORRUPT",
        f"Object {path!r} is not the one of SHA-256 {digest} that was published: {why}.",
        metadata={"storage_path": path, "sha256": digest},
    )
