"""The least that streams WatchJob over grpc.aio: ``python -m benchmarks.bare_stream FILE``, FILE encoded answers.

Every stream gets the first answer at once and the others when a line comes in, as they are: nothing is encoded. Prints
its address as JSON once it serves; ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks.stream_clients import METHOD, SERVICE, read_messages
from benchmarks.worker import answer
from rpc.process import loop_factory
from visionmesh.v1 import training_pb2


async def _serve(messages: list[bytes]) -> None:
    go = asyncio.Event()

    async def watch_job(request: training_pb2.WatchJobRequest, context: Any) -> AsyncIterator[bytes]:
        told_to_go = go
        yield messages[0]
        await told_to_go.wait()
        for message in messages[1:]:
            yield message

    handler = grpc.unary_stream_rpc_method_handler(
        watch_job,
        request_deserializer=training_pb2.WatchJobRequest.FromString,
        response_serializer=lambda message: message,
    )
    server = grpc.aio.server()
    server.add_registered_method_handlers(SERVICE, {METHOD: handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answer(f"127.0.0.1:{port}")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        go.set()
        go = asyncio.Event()
        answer(None)
    await server.stop(0)


if __name__ == "__main__":
    content = read_messages(Path(sys.argv[1]))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(content))
