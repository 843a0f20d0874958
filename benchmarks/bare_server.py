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
from rpc.server import service_name
from visionmesh.v1 import training_pb2, training_service_pb2

SERVICE = service_name(training_service_pb2.DESCRIPTOR)


async def _serve(encoded: bytes) -> None:
    job = training_pb2.GetJobResponse.FromString(encoded)

    async def get_job(request: training_pb2.GetJobRequest, context: Any) -> training_pb2.GetJobResponse:
        return job

    # As the generated code registers a method.
    handler = grpc.unary_unary_rpc_method_handler(
        get_job,
        request_deserializer=training_pb2.GetJobRequest.FromString,
        response_serializer=training_pb2.GetJobResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_registered_method_handlers(SERVICE, {"GetJob": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answer(f"127.0.0.1:{port}")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    content = Path(sys.argv[1]).read_bytes()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(content))
