"""The agents of many runs in one process: ``python -m benchmarks.many_agents TARGET``. Commands, by lines of JSON:

follow   let an agent of each of ``runs`` (job, run, token) speak to the gateway from now on, with empty spools
forget   wait until none of them is greeted any more
greeted  wait until all of them are; answers when the last was
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.worker import serve_async
from rpc.channel import MAX_MESSAGE_BYTES
from rpc.logs import configure_logs
from trainer.runs.folder import RunFolder
from trainer.runs.pending import PendingEvents
from trainer.runs.publisher import EventPublisher
from visionmesh.mesh.v1 import run_pb2


class Agents:
    """Publishers of runs, each over a channel of its own."""

    def __init__(self, target: str, root: Path) -> None:
        self._target = target
        self._root = root
        self._publishers: list[EventPublisher] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def handle(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "follow":
                for job_id, run_id, token in command["runs"]:
                    self._follow(run_pb2.RunSpec(job_id=job_id, run_id=run_id), token)
                await self._until(True)
            case "forget":
                await self._until(False)
            case "greeted":
                await self._until(True)
                return time.time()
        return None

    async def _until(self, greeted: bool) -> None:
        while any(publisher.greeted is not greeted for publisher in self._publishers):  # noqa: ASYNC110 - publishers set no event
            await asyncio.sleep(0.01)

    def _follow(self, spec: run_pb2.RunSpec, token: str) -> None:
        path = self._root / spec.run_id
        path.mkdir()
        folder = RunFolder(path)
        publisher = EventPublisher(
            spec,
            PendingEvents(folder),
            bell=folder.bell,
            target=self._target,
            token=token,
            max_message_bytes=MAX_MESSAGE_BYTES,
            heartbeat_seconds=2.0,
            request_stop=lambda: None,
        )
        self._publishers.append(publisher)
        self._tasks.append(asyncio.create_task(publisher.run()))


if __name__ == "__main__":
    configure_logs("error")  # to standard error: standard output is for answers
    with tempfile.TemporaryDirectory(prefix="visionmesh-agents-") as root:
        asyncio.run(serve_async(Agents(sys.argv[1], Path(root)).handle))
