"""The pool: one entry per checkpoint, bounded in memory and in calls."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from rpc.errors import DomainError
from trainer.adapter import PredictOptions, Predictor
from trainer.cache.checkpoints import CheckpointCache
from trainer.images import decode_image
from trainer.predictors.batches import Batcher, Place
from trainer.predictors.loading import LoadPredictor, PredictorLoader
from trainer.predictors.records import Answer, CheckpointSource, LoadedPredictor

logger = structlog.get_logger()

_BUSY_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class PoolLimits:
    """``memory_bytes`` counts models; ``workers`` images are prepared at once; ``queue`` more calls may wait.

    A model computes on ``threads``, up to ``batch_size`` images together; one that is free waits ``wait_seconds`` for
    images that are on their way. ``runtime`` is a framework's own, another one, or ``auto``.
    """

    memory_bytes: int
    workers: int
    threads: int
    queue: int
    max_image_pixels: int
    batch_size: int = 1
    wait_seconds: float = 0.0
    runtime: str = "auto"


@dataclass
class _Entry:
    source: CheckpointSource
    loading: asyncio.Task[None]
    batcher: Batcher
    users: int = 0
    exporting: asyncio.Task[None] | None = None
    last_used: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def memory_bytes(self) -> int:
        return self.batcher.predictor.memory_bytes if self.batcher.predictor is not None else 0


@dataclass(frozen=True)
class _Prepared:
    input: Any
    width: int
    height: int
    seconds: float


class PredictorPool:
    """Predicts in threads. Its methods belong to one event loop.

    Over ``memory_bytes`` the least recently used models go, but never one in use: while those in use need more,
    the limit is exceeded. A model answers in its framework's runtime until its export to a faster one, which is made
    in the background, is ready.
    """

    def __init__(
        self,
        load: LoadPredictor,
        cache: CheckpointCache,
        limits: PoolLimits,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        """``ready`` is awaited before anything is loaded: it tells that the framework has been imported."""
        self._limits = limits
        self._loader = PredictorLoader(load, cache, ready, threads=limits.threads, runtime=limits.runtime)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._calls = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._workers = ThreadPoolExecutor(limits.workers, thread_name_prefix="prepare")
        # As many models at once: a slow one must not hold up a fast one.
        self._models = ThreadPoolExecutor(max(2, limits.workers), thread_name_prefix="predict")

    async def predict(
        self,
        source: CheckpointSource,
        image: bytes,
        options: Callable[[Predictor], PredictOptions],
        *,
        patient: bool = False,
    ) -> Answer:
        """Predict an image file; ``options`` are asked for with the model.

        A cancelled call leaves the queue. ``patient`` waits for a place when the queue is full. Raises DomainError:
        BUSY when it is full and the call is not patient, STORAGE_CORRUPT when the checkpoint is missing or damaged,
        IMAGE_UNREADABLE and IMAGE_TOO_LARGE.
        """
        await self._take_place(patient)
        entry = self._use(source)
        place = Place(lambda: self._release(entry))
        place.hold()
        try:
            # Shielded: others wait for the same load.
            await asyncio.shield(entry.loading)
            predictor = entry.batcher.predictor
            assert predictor is not None  # it is loaded
            prepared = await self._prepare(entry, image, place)
            prediction, seconds = await entry.batcher.predict(prepared.input, options(predictor), place)
        finally:
            place.let_go()
        entry.last_used = datetime.now(UTC)
        return Answer(
            predictor.task_type,
            predictor.model_name,
            prediction,
            prepared.width,
            prepared.height,
            prepared.seconds + seconds,
        )

    @property
    def useful_calls(self) -> int:
        """How many calls at once keep a model busy: one batch computed, one prepared, and the workers'."""
        return 2 * self._limits.batch_size + self._limits.workers

    def loaded(self) -> list[LoadedPredictor]:
        """Return the models in memory, the most recently used first."""
        return [
            LoadedPredictor(
                entry.source, predictor.model_name, predictor.memory_bytes, entry.last_used, predictor.runtime
            )
            for entry in reversed(self._entries.values())
            if (predictor := entry.batcher.predictor) is not None
        ]

    def close(self) -> None:
        """Drop what waits and take no more. Waits for nothing: a thread in the middle of a model ends when it does."""
        for entry in self._entries.values():
            entry.loading.cancel()
            if entry.exporting is not None:
                entry.exporting.cancel()
            entry.batcher.close()
        self._loader.close()
        for executor in (self._workers, self._models):
            executor.shutdown(wait=False, cancel_futures=True)
        self._entries.clear()

    async def _take_place(self, patient: bool) -> None:
        full = self._calls >= self._limits.workers + self._limits.queue
        if full and not patient:
            raise DomainError(
                "BUSY",
                f"{self._calls} predictions are running or waiting; try again in a moment.",
                retry_seconds=_BUSY_RETRY_SECONDS,
            )
        if full:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter  # whoever gives a place back hands it on, so it stays counted
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._give_place_back()
                raise
            return
        self._calls += 1

    def _give_place_back(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._calls -= 1

    def _use(self, source: CheckpointSource) -> _Entry:
        entry = self._entries.get(source.digest)
        if entry is None:
            loading = asyncio.get_running_loop().create_task(self._load(source))
            # Errors reach the calls that wait; when all of them were cancelled, nobody has to know.
            loading.add_done_callback(lambda task: task.cancelled() or task.exception())
            limits = self._limits
            batcher = Batcher(self._models, batch_size=limits.batch_size, wait_seconds=limits.wait_seconds)
            entry = self._entries[source.digest] = _Entry(source, loading, batcher)
        self._entries.move_to_end(source.digest)
        entry.users += 1
        return entry

    def _release(self, entry: _Entry) -> None:
        self._give_place_back()
        entry.users -= 1
        self._evict()

    async def _load(self, source: CheckpointSource) -> None:
        # Returns no model: a task keeps what it returned, and this one would outlive its export.
        try:
            predictor = await self._loader.load(source)
        except BaseException:
            # The next call tries again.
            self._entries.pop(source.digest, None)
            raise
        entry = self._entries[source.digest]
        entry.batcher.predictor, entry.last_used = predictor, datetime.now(UTC)
        logger.info("model loaded", checkpoint_id=source.checkpoint_id, memory_bytes=predictor.memory_bytes)
        self._evict()
        entry.exporting = asyncio.create_task(self._make_faster(entry, predictor))

    async def _make_faster(self, entry: _Entry, predictor: Predictor) -> None:
        faster = await self._loader.faster(entry.source, predictor)
        if faster is None:
            return
        if self._entries.get(entry.source.digest) is entry:
            entry.batcher.predictor = faster
            logger.info("model exported", checkpoint_id=entry.source.checkpoint_id, runtime=faster.runtime)
            self._evict()
        del predictor, faster
        self._free()

    async def _prepare(self, entry: _Entry, image: bytes, place: Place) -> _Prepared:
        predictor = entry.batcher.predictor
        assert predictor is not None
        loop = asyncio.get_running_loop()
        place.hold()
        entry.batcher.announce(1)
        future = self._workers.submit(_prepare, predictor, image, self._limits.max_image_pixels)

        def let_go(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody counts any more
                loop.call_soon_threadsafe(place.let_go)

        # Not when this coroutine ends: a thread goes on after its call was cancelled.
        future.add_done_callback(let_go)
        try:
            return await asyncio.wrap_future(future)
        finally:
            entry.batcher.announce(-1)

    def _evict(self) -> None:
        memory = sum(entry.memory_bytes for entry in self._entries.values())
        for digest, entry in list(self._entries.items()):
            if memory <= self._limits.memory_bytes:
                return
            if entry.users == 0 and entry.batcher.predictor is not None:
                del self._entries[digest]
                memory -= entry.memory_bytes
                logger.info("model dropped from memory", checkpoint_id=entry.source.checkpoint_id)
                self._free()

    def _free(self) -> None:
        """Have models that refer to themselves freed as well. Left alone, the collector does that after so many new
        objects that gigabytes of weights are waiting by then: of those it sees nothing."""
        asyncio.get_running_loop().call_soon(self._loader.collect)


def _prepare(predictor: Predictor, image: bytes, max_pixels: int) -> _Prepared:
    decoded = decode_image(image, max_pixels)
    width, height = decoded.size
    began = time.perf_counter()
    prepared = predictor.prepare(decoded)
    return _Prepared(prepared, width, height, time.perf_counter() - began)
