"""Calls of GetJob per second through the whole chain of a gateway (interceptors, authentication, the answer that it
keeps until the job changes), against a bare grpc.aio handler that returns the same message.

Beside it, the same where every call reads the database: more jobs are asked for in turn than answers are kept.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import grpc
import psutil

from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.records import running_jobs
from benchmarks.worker import Worker
from gateway.events.kept_reads import KEPT_JOBS
from rpc.process import loop_factory
from visionmesh.v1 import training_pb2, training_service_pb2_grpc

TARGET = 0.6
CALLERS = 16
WARM_SECONDS = 0.5


def measure(options: Options) -> Sequence[Report]:
    seconds = 1.0 if options.quick else 5.0
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root:
        folder = Path(root)
        with GatewayProcess(folder) as gateway:
            runs = running_jobs(gateway.database_url, KEPT_JOBS + 2 * CALLERS)
            requests = [training_pb2.GetJobRequest(job_id=run.job_id) for run in runs]
            one, each = cycle(requests[:1]), cycle(requests)
            message = folder / "job.pb"
            message.write_bytes(asyncio.run(_one(gateway.address, gateway.token, requests[0])))
            with Worker("benchmarks.bare_server", str(message)) as bare:
                bare_address = str(bare.answer())
                sides = {
                    "bare handler": lambda: _rate(bare_address, "", one, seconds, bare.pid),
                    "gateway": lambda: _rate(gateway.address, gateway.token, one, seconds, gateway.pid),
                    "gateway, reading": lambda: _rate(gateway.address, gateway.token, each, seconds, gateway.pid),
                }
                found = in_turns(options.runs, sides)
    rates = {name: Series(name, "calls/s", [rate for rate, _ in values]) for name, values in found.items()}
    costs = {
        name: Series(f"{name}: processor time", "µs/call", [cost * 1e6 for _, cost in values])
        for name, values in found.items()
    }
    return [
        Report(
            "GetJob: gateway against a bare handler",
            f"{CALLERS} callers in one asyncio client process, each with one call at a time, for {seconds:g} s a run "
            "after a warm-up; both servers run alone in their process, on the same event loop. The gateway is asked "
            "for one job that does not change (its answer is kept, encoded; the bare handler encodes its own each "
            f"time), and, reading, for {KEPT_JOBS + 2 * CALLERS:,} jobs in turn, of which it keeps "
            f"{KEPT_JOBS:,} answers: each call reads SQLite. Client and server share the processors. Processor "
            "time is the server's alone.",
            [*rates.values(), *costs.values()],
            [
                ratio("gateway / bare", rates["gateway"], rates["bare handler"], TARGET),
                ratio("gateway, reading / bare", rates["gateway, reading"], rates["bare handler"]),
                ratio("processor time: gateway / bare", costs["gateway"], costs["bare handler"]),
            ],
        )
    ]


def _rate(
    address: str, token: str, requests: Iterator[training_pb2.GetJobRequest], seconds: float, pid: int
) -> tuple[float, float]:
    """Calls per second, and seconds of the server's processor time per call."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_load(address, token, requests, seconds, psutil.Process(pid)))


async def _load(
    address: str, token: str, requests: Iterator[training_pb2.GetJobRequest], seconds: float, server: psutil.Process
) -> tuple[float, float]:
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        ends = 0.0

        async def call() -> int:
            count = 0
            while time.perf_counter() < ends:
                await stub.GetJob(next(requests), metadata=metadata)
                count += 1
            return count

        ends = time.perf_counter() + WARM_SECONDS
        await asyncio.gather(*(call() for _ in range(CALLERS)))
        used, began = _processor_seconds(server), time.perf_counter()
        ends = began + seconds
        calls = sum(await asyncio.gather(*(call() for _ in range(CALLERS))))
        return calls / (time.perf_counter() - began), (_processor_seconds(server) - used) / calls


async def _one(address: str, token: str, request: training_pb2.GetJobRequest) -> bytes:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        answer = await stub.GetJob(request, metadata=(("authorization", f"Bearer {token}"),))
    return answer.SerializeToString()


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main(__doc__ or "", measure)
