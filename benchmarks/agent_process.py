"""What a run agent does with a spool, without a training:
``python -m benchmarks.agent_process FOLDER JOB RUN TARGET [EPOCHS]``, EPOCHS being those that the job has behind it.

The spool is written and published by the trainer's own classes. Commands, by lines of JSON (``benchmarks.worker``):

fill     append ``count`` metrics, published by ``publish`` or ``follow``; answers the number of the last
publish  publish until the gateway has acknowledged everything; answers when that began and ended
follow   publish from now on, in the background
write    append ``count`` metrics, one every ``seconds`` on average at irregular intervals, as a training does
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.worker import serve_async
from rpc.channel import MAX_MESSAGE_BYTES
from rpc.logs import configure_logs
from trainer.runs.folder import RunFolder
from trainer.runs.pending import PendingEvents
from trainer.runs.publisher import EventPublisher
from trainer.runs.spool import SpoolWriter
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

TOKEN_VARIABLE = "BENCHMARK_RUN_TOKEN"
SOURCE = run_pb2.EVENT_SOURCE_TRAINING


class Agent:
    """One run: its spool, and its publisher while there is one."""

    def __init__(self, path: Path, job_id: str, run_id: str, target: str, epochs_before: int) -> None:
        self._epochs_before = epochs_before
        path.mkdir(parents=True, exist_ok=True)
        self._folder = RunFolder(path)
        self._spec = run_pb2.RunSpec(job_id=job_id, run_id=run_id)
        self._target = target
        self._spool = SpoolWriter(self._folder.training_spool, SOURCE, self._folder.bell)
        self._pending = PendingEvents(self._folder)
        self._following: asyncio.Task[None] | None = None

    async def handle(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "fill":
                for _ in range(command["count"]):
                    self._append(durable=False)
                return self._spool.last_sequence
            case "publish":
                return await self._publish()
            case "follow":
                self._following = asyncio.create_task(self._publisher().run())
            case "write":
                due = time.monotonic()
                for _ in range(command["count"]):
                    due += random.uniform(0.5, 1.5) * command["seconds"]
                    await asyncio.sleep(due - time.monotonic())  # writing takes some of the time
                    await asyncio.to_thread(self._append)
        return None

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        self._spool.close()

    async def _publish(self) -> tuple[float, float]:
        began = time.time()
        publishing = asyncio.create_task(self._publisher().run())
        while not self._pending.settled():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.002)
        ended = time.time()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        return began, ended

    def _publisher(self) -> EventPublisher:
        return EventPublisher(
            self._spec,
            self._pending,
            bell=self._folder.bell,
            target=self._target,
            token=os.environ[TOKEN_VARIABLE],
            max_message_bytes=MAX_MESSAGE_BYTES,
            heartbeat_seconds=2.0,
            request_stop=lambda: None,
        )

    def _append(self, *, durable: bool = True) -> None:
        epoch = self._epochs_before + self._spool.last_sequence + 1
        point = event_pb2.MetricPoint(
            epoch=epoch,
            step=epoch,
            loss=1 / epoch,
            accuracy=1 - 1 / epoch,
            learning_rate=1e-3,
            extra_metrics={"val_loss": 1 / epoch, "f1": 0.5, "precision": 0.5, "recall": 0.5},
        )
        event = run_pb2.RunEvent(metric=point)
        event.time.FromNanoseconds(time.time_ns())  # the moment before it is written
        self._spool.append(event, durable=durable)


async def _serve(agent: Agent) -> None:
    await serve_async(agent.handle)
    await agent.close()


if __name__ == "__main__":
    configure_logs("warning")  # to standard error: standard output is for answers
    folder, job, run, address, *before = sys.argv[1:]
    asyncio.run(_serve(Agent(Path(folder), job, run, address, int(before[0]) if before else 0)))
