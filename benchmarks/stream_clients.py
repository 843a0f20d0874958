"""Many watchers of one job in one process: ``python -m benchmarks.stream_clients ADDRESS JOB``.

They read what comes and keep none of it, undecoded. Commands, by lines of JSON (``benchmarks.worker``):

open   open ``watchers`` streams after ``after``; answers when each has got its first answer
count  answers when each stream has got ``answers`` more, and with the time of the last
fetch  write ``answers`` answers that follow ``after`` to ``file``, to be streamed by somebody else
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from benchmarks.worker import serve_async
from rpc.process import loop_factory
from rpc.server import service_name
from visionmesh.v1 import training_pb2, training_service_pb2

TOKEN_VARIABLE = "BENCHMARK_TOKEN"
SERVICE = service_name(training_service_pb2.DESCRIPTOR)
METHOD = "WatchJob"
# Clients rarely share a connection: here so many watchers do, as a page with several charts would.
WATCHERS_PER_CHANNEL = 10


class Clients:
    """The streams of one process."""

    def __init__(self, address: str, job_id: str) -> None:
        self._address = address
        self._job_id = job_id
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Any] = []
        self._metadata = (("authorization", f"Bearer {os.environ.get(TOKEN_VARIABLE, '')}"),)

    async def handle(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "open":
                await self._open(command["watchers"], command["after"])
            case "count":
                await asyncio.gather(*(self._read(call, command["answers"]) for call in self._calls))
                ended = time.time()
                await self.close()
                return ended
            case "fetch":
                await self._open(1, command["after"])
                messages = [self._first, *[await self._calls[0].read() for _ in range(command["answers"] - 1)]]
                write_messages(Path(command["file"]), messages)
                await self.close()
        return None

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        for channel in self._channels:
            await channel.close()
        self._calls, self._channels = [], []

    async def _open(self, watchers: int, after: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.insecure_channel(self._address, options=options)
            for _ in range(-(-watchers // WATCHERS_PER_CHANNEL))
        ]
        request = training_pb2.WatchJobRequest(job_id=self._job_id, after_sequence=after).SerializeToString()
        methods: list[Any] = [channel.unary_stream(f"/{SERVICE}/{METHOD}") for channel in self._channels]
        self._calls = [methods[number % len(methods)](request, metadata=self._metadata) for number in range(watchers)]
        [self._first, *_] = await asyncio.gather(*(call.read() for call in self._calls))

    async def _read(self, call: Any, answers: int) -> None:
        for _ in range(answers):
            if await call.read() is grpc.aio.EOF:
                raise RuntimeError("a stream ended too early")


def write_messages(path: Path, messages: list[bytes]) -> None:
    """Keep encoded messages, each behind its length."""
    path.write_bytes(b"".join(len(message).to_bytes(4, "little") + message for message in messages))


def read_messages(path: Path) -> list[bytes]:
    """What ``write_messages`` kept."""
    content, messages, start = path.read_bytes(), [], 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "little")
        messages.append(content[start + 4 : end])
        start = end
    return messages


async def _serve(clients: Clients) -> None:
    await serve_async(clients.handle)
    await clients.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(Clients(*sys.argv[1:])))
