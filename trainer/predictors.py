"""Models in memory, loaded once per checkpoint and shared by all who predict with them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from safetensors import SafetensorError

from rpc.errors import DomainError
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from trainer.adapter import Prediction, PredictOptions, Predictor
from trainer.cache.checkpoints import CheckpointCache, CheckpointFile
from trainer.images import decode_image

logger = structlog.get_logger()

# Loads at once: a slow download must not keep a small model waiting.
_LOADERS = 2

_BUSY_RETRY_SECONDS = 1.0

# Loads the checkpoint in a folder, to compute on a number of threads.
LoadPredictor = Callable[[Path, int], Predictor]


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint in the object store: the files to predict with under ``storage_path``; ``digest`` identifies it."""

    checkpoint_id: str
    job_id: str
    storage_path: str
    files: tuple[CheckpointFile, ...]
    digest: str


@dataclass(frozen=True)
class PoolLimits:
    """``memory_bytes`` counts weights; ``workers`` predictions run at once, each on ``threads``; ``queue`` may wait."""

    memory_bytes: int
    workers: int
    threads: int
    queue: int
    max_image_pixels: int


@dataclass(frozen=True)
class Answer:
    """A prediction, the size in pixels of its upright image, and the time that preprocessing and model took."""

    task_type: str
    model_name: str
    prediction: Prediction
    image_width: int
    image_height: int
    inference_seconds: float


@dataclass(frozen=True)
class LoadedPredictor:
    """A model in memory. ``last_used`` is when it last answered, or else when it was loaded."""

    source: CheckpointSource
    model_name: str
    memory_bytes: int
    last_used: datetime


@dataclass
class _Entry:
    source: CheckpointSource
    loading: asyncio.Task[Predictor]
    users: int = 0
    predictor: Predictor | None = None
    last_used: datetime = field(default_factory=lambda: datetime.now(UTC))
    # A predictor answers one call at a time.
    turn: threading.Lock = field(default_factory=threading.Lock)


class PredictorPool:
    """Predicts in worker threads. Its methods belong to one event loop.

    Over ``memory_bytes`` the least recently used models go, but never one in use: while those in use need more,
    the limit is exceeded.
    """

    def __init__(
        self,
        load: LoadPredictor,
        cache: CheckpointCache,
        limits: PoolLimits,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        """``ready`` is awaited before anything is loaded: it tells that the framework has been imported."""
        self._load_predictor = load
        self._cache = cache
        self._limits = limits
        self._ready = ready
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._calls = 0
        self._workers = ThreadPoolExecutor(limits.workers, thread_name_prefix="predict")
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="load")

    async def predict(self, source: CheckpointSource, image: bytes, options: Callable[[str], PredictOptions]) -> Answer:
        """Predict an image file; ``options`` are asked for with the model's task.

        A cancelled call leaves the queue. Raises DomainError: BUSY when the queue is full, STORAGE_CORRUPT when the
        checkpoint is missing or damaged, IMAGE_UNREADABLE and IMAGE_TOO_LARGE.
        """
        if self._calls >= self._limits.workers + self._limits.queue:
            raise DomainError(
                "BUSY",
                f"{self._calls} predictions are running or waiting; try again in a moment.",
                retry_seconds=_BUSY_RETRY_SECONDS,
            )
        loop = asyncio.get_running_loop()
        self._calls += 1
        entry = self._use(source)
        try:
            # Shielded: others wait for the same load.
            predictor = await asyncio.shield(entry.loading)
            future = self._workers.submit(self._answer, entry, predictor, image, options)
        except BaseException:
            self._release(entry)
            raise
        # Not when this coroutine ends: a thread goes on after its call was cancelled, and uses the model until then.
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, entry, done))
        return await asyncio.wrap_future(future)

    def loaded(self) -> list[LoadedPredictor]:
        """Return the models in memory, the most recently used first."""
        return [
            LoadedPredictor(entry.source, entry.predictor.model_name, entry.predictor.memory_bytes, entry.last_used)
            for entry in reversed(self._entries.values())
            if entry.predictor is not None
        ]

    def close(self) -> None:
        """Drop what waits and take no more. Waits for nothing: a thread in the middle of a model ends when it does."""
        for entry in self._entries.values():
            entry.loading.cancel()
        for executor in (self._workers, self._loaders):
            executor.shutdown(wait=False, cancel_futures=True)
        self._entries.clear()

    def _use(self, source: CheckpointSource) -> _Entry:
        entry = self._entries.get(source.digest)
        if entry is None:
            loading = asyncio.get_running_loop().create_task(self._load(source))
            # Errors reach the calls that wait; when all of them were cancelled, nobody has to know.
            loading.add_done_callback(lambda task: task.cancelled() or task.exception())
            entry = self._entries[source.digest] = _Entry(source, loading)
        self._entries.move_to_end(source.digest)
        entry.users += 1
        return entry

    def _finish(self, entry: _Entry, done: Future[Answer]) -> None:
        if not done.cancelled() and done.exception() is None:
            entry.last_used = datetime.now(UTC)
        self._release(entry)

    def _release(self, entry: _Entry) -> None:
        self._calls -= 1
        entry.users -= 1
        self._evict()

    async def _load(self, source: CheckpointSource) -> Predictor:
        try:
            await self._ready()
            predictor = await asyncio.get_running_loop().run_in_executor(self._loaders, self._read, source)
        except BaseException:
            # The next call tries again.
            self._entries.pop(source.digest, None)
            raise
        entry = self._entries[source.digest]
        entry.predictor, entry.last_used = predictor, datetime.now(UTC)
        logger.info("model loaded", checkpoint_id=source.checkpoint_id, memory_bytes=predictor.memory_bytes)
        self._evict()
        return predictor

    def _read(self, source: CheckpointSource) -> Predictor:
        try:
            with self._cache.open(source.storage_path, source.files, source.digest) as folder:
                try:
                    return self._load_predictor(folder, self._limits.threads)
                except FileNotFoundError as error:
                    raise _corrupt(source, "it holds no weights") from error
        except (ObjectNotFound, ObjectMismatch, SafetensorError) as error:
            raise _corrupt(source, str(error)) from error

    def _answer(
        self, entry: _Entry, predictor: Predictor, image: bytes, options: Callable[[str], PredictOptions]
    ) -> Answer:
        decoded = decode_image(image, self._limits.max_image_pixels)
        with entry.turn:
            began = time.perf_counter()
            prediction = predictor.predict(decoded, options(predictor.task_type))
            seconds = time.perf_counter() - began
        width, height = decoded.size
        return Answer(predictor.task_type, predictor.model_name, prediction, width, height, seconds)

    def _evict(self) -> None:
        memory = sum(entry.predictor.memory_bytes for entry in self._entries.values() if entry.predictor is not None)
        for digest, entry in list(self._entries.items()):
            if memory <= self._limits.memory_bytes:
                return
            if entry.users == 0 and entry.predictor is not None:
                del self._entries[digest]
                memory -= entry.predictor.memory_bytes
                logger.info("model dropped from memory", checkpoint_id=entry.source.checkpoint_id)


def _corrupt(source: CheckpointSource, why: str) -> DomainError:
    return DomainError(
        "STORAGE_CORRUPT",
        f"The checkpoint {source.checkpoint_id} cannot be loaded: {why.rstrip('.')}.",
        metadata={"checkpoint_id": source.checkpoint_id, "storage_path": source.storage_path},
    )
