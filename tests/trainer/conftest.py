"""Places to run in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.trainer.fake_gateway import FakeGateway
from tests.trainer.run_place import RunPlace


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[RunPlace]:
    """A launcher, an object store with a dataset, and a gateway that listens; nothing runs on after the test."""
    gateway = FakeGateway()
    await gateway.start()
    place = RunPlace(tmp_path, gateway)
    yield place
    await place.close()
    await gateway.stop()
