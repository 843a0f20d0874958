"""Places to run in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from storage.objects.local import LocalObjectStore
from tests.trainer.fake_gateway import FakeGateway
from tests.trainer.held_models import MakePool, Models
from tests.trainer.run_place import RunPlace
from trainer.cache.checkpoints import CheckpointCache
from trainer.predictors import PoolLimits, PredictorPool


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[RunPlace]:
    """A launcher, an object store with a dataset, and a gateway that listens; nothing runs on after the test."""
    gateway = FakeGateway()
    await gateway.start()
    place = RunPlace(tmp_path, gateway)
    yield place
    await place.close()
    await gateway.stop()


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "store")


@pytest.fixture
def models(store: LocalObjectStore) -> Iterator[Models]:
    models = Models(store)
    yield models
    # Threads that are held up would keep the test process from ending.
    models.loading.set()
    models.predicting.set()


@pytest.fixture
def make_pool(models: Models, store: LocalObjectStore, tmp_path: Path) -> MakePool:
    def make(workers: int = 2, queue: int = 10, memory_bytes: int = 1000, **limited: Any) -> PredictorPool:
        async def ready() -> None:
            return None

        cache = CheckpointCache(tmp_path / "cache", store, 1 << 30)
        limits = PoolLimits(
            memory_bytes=memory_bytes,
            workers=workers,
            threads=1,
            queue=queue,
            max_image_pixels=1_000_000,
            **limited,
        )
        return PredictorPool(models.load, cache, limits, ready)

    return make
