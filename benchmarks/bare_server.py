"""The least that answers GetJob over grpc.aio: ``python -m benchmarks.bare_server FILE``, FILE an encoded answer.

Prints its address as JSON once it serves; ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from benchmarks.worker import answer
from rpc.process import loop_factory
from visionmesh.v1 import training_pb2, training_service_pb2_grpc


class BareServicer(training_service_pb2_grpc.TrainingServiceServicer):
    """Knows one answer."""

    def __init__(self, encoded: bytes) -> None:
        self._answer = training_pb2.GetJobResponse.FromString(encoded)

    async def GetJob(self, request: training_pb2.GetJobRequest, context: Any) -> training_pb2.GetJobResponse:
        return self._answer


async def _serve(encoded: bytes) -> None:
    server = grpc.aio.server()
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(BareServicer(encoded), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answer(f"127.0.0.1:{port}")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    content = Path(sys.argv[1]).read_bytes()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(content))
