"""From a checkpoint in the store to a model in memory, and on to a faster runtime."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import structlog
from safetensors import SafetensorError

from rpc.errors import DomainError
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from trainer.adapter import ExportFailed, Predictor
from trainer.cache.checkpoints import CheckpointCache
from trainer.predictors.records import CheckpointSource

logger = structlog.get_logger()

# Loads at once: a slow download must not keep a small model waiting.
_LOADERS = 2

# Loads the checkpoint in a folder, to compute on a number of threads.
LoadPredictor = Callable[[Path, int], Predictor]


class PredictorLoader:
    """Loads models in threads of its own."""

    def __init__(
        self,
        load: LoadPredictor,
        cache: CheckpointCache,
        ready: Callable[[], Awaitable[None]],
        *,
        threads: int,
        runtime: str,
    ) -> None:
        """``ready`` is awaited before anything is loaded. Models compute on ``threads``.

        ``runtime`` is the one of a checkpoint's framework or another, or ``auto``: what the framework thinks best.
        """
        self._load = load
        self._cache = cache
        self._ready = ready
        self._compute_threads = threads
        self._runtime = runtime
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="load")
        # One at a time: an export takes a processor for itself, and torch's is not reentrant.
        self._exporter = ThreadPoolExecutor(1, thread_name_prefix="export")

    async def load(self, source: CheckpointSource) -> Predictor:
        """Load with the checkpoint's own framework. Raises DomainError STORAGE_CORRUPT."""
        await self._ready()
        return await asyncio.get_running_loop().run_in_executor(self._loaders, self._read, source)

    async def faster(self, source: CheckpointSource, predictor: Predictor) -> Predictor | None:
        """Return the same model in the runtime of the settings; None, with a line in the log, when it stays.

        The export of a checkpoint is kept in the cache beside it, and counts against the same limit.
        """
        if self._runtime == predictor.runtime:
            return None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._exporter, self._export, source, predictor)
        except Exception as error:
            # What has no other runtime predicts all the same: this costs speed and nothing else.
            known = isinstance(error, ExportFailed | OSError)
            logger.warning(
                "model stays in its framework's runtime",
                checkpoint_id=source.checkpoint_id,
                model_name=predictor.model_name,
                runtime=predictor.runtime,
                why=str(error) or type(error).__name__,
                exc_info=None if known else error,
            )
            return None

    def collect(self) -> None:
        """Free what nobody refers to any more but itself, soon."""
        with suppress(RuntimeError):  # closed meanwhile
            self._loaders.submit(gc.collect)

    def close(self) -> None:
        """Take no more. Waits for nothing."""
        for executor in (self._loaders, self._exporter):
            executor.shutdown(wait=False, cancel_futures=True)

    def _read(self, source: CheckpointSource) -> Predictor:
        try:
            with self._cache.open(source.storage_path, source.files, source.digest) as folder:
                try:
                    return self._load(folder, self._compute_threads)
                except FileNotFoundError as error:
                    raise _corrupt(source, "it holds no weights") from error
        except (ObjectNotFound, ObjectMismatch, SafetensorError) as error:
            raise _corrupt(source, str(error)) from error

    def _export(self, source: CheckpointSource, predictor: Predictor) -> Predictor | None:
        export = predictor.export(self._runtime)
        if export is None:
            return None
        with self._cache.derived(source.digest, export.key, export.write) as folder:
            return export.load(folder)


def _corrupt(source: CheckpointSource, why: str) -> DomainError:
    return DomainError(
        "STORAGE_CORRUPT",
        f"The checkpoint {source.checkpoint_id} cannot be loaded: {why.rstrip('.')}.",
        metadata={"checkpoint_id": source.checkpoint_id, "storage_path": source.storage_path},
    )
