"""The dispatcher ends when it is told to."""

from __future__ import annotations

import asyncio

from tests.gateway.job_fixtures import Mesh


async def test_a_dispatcher_that_is_woken_and_closed_at_once_ends(mesh: Mesh) -> None:
    await asyncio.sleep(0.05)  # it has looked, and waits
    mesh.gateway.dispatcher.wake()
    async with asyncio.timeout(10):
        await mesh.gateway.dispatcher.close()
