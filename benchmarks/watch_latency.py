"""How long an event takes from a run's spool to a client, with 1 and with 100 watchers, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from benchmarks.agent_process import TOKEN_VARIABLE
from benchmarks.databases import database_urls
from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, percentile, ratio
from benchmarks.records import run_token, running_job
from benchmarks.stream_clients import METHOD, SERVICE
from benchmarks.worker import Worker
from rpc.collector import spare_what_is_there
from rpc.process import loop_factory
from visionmesh.v1 import training_pb2, training_service_pb2_grpc

# Watchers, and seconds between two events on average.
CASES = {"1 watcher": (1, 0.15), "100 watchers": (100, 0.15), "100 watchers, 100 events/s": (100, 0.01)}
TARGET_MS = 50.0
# Clients rarely share a connection: here so many watchers do, as a page with several charts would.
WATCHERS_PER_CHANNEL = 10
PATIENCE_SECONDS = 60.0
# So many times the events where they come quickly, so that a run takes about as long.
BUSY_TIMES = 10


@dataclass(frozen=True)
class Place:
    """A gateway, a job that runs on it, and the job's agent."""

    gateway: GatewayProcess
    job_id: str
    agent: Worker


def measure(options: Options) -> Sequence[Report]:
    events = 20 if options.quick else 100
    spare_what_is_there()
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, database_urls() as urls, ExitStack() as open_:
        sides = {}
        for name, new_url in urls.items():
            gateway = open_.enter_context(
                GatewayProcess(Path(root) / name, new_url(), VISIONMESH_HEARTBEAT_SECONDS="3600")
            )
            run = running_job(gateway.database_url)
            worker = Worker(
                "benchmarks.agent_process",
                str(Path(root) / name / "run"),
                run.job_id,
                run.run_id,
                gateway.mesh_address,
                variables={TOKEN_VARIABLE: run_token(gateway.database_url, run.run_id)},
            )
            place = Place(gateway, run.job_id, open_.enter_context(worker))
            place.agent.ask(do="follow")
            for case, (watchers, seconds) in CASES.items():
                count = events * BUSY_TIMES if seconds < 0.1 else events
                sides[f"{name}, {case}"] = partial(_latencies, place, watchers, count, seconds)
        found = in_turns(options.runs, sides)
    series = {
        f"{side}: p{percent}": Series(
            f"{side}: p{percent}",
            "ms",
            [1000 * percentile(run, percent) for run in found[side]],
            TARGET_MS if percent == 99 and side.endswith("events/s") else 0.0,
            at_most=True,
        )
        for side in found
        for percent in (50, 99)
    }
    return [
        Report(
            "From spool to watcher",
            f"{events} metrics a run, one every 0.15 s, or {events * BUSY_TIMES} of them, 100 a second, at "
            "irregular intervals; from the moment before a metric is written (and synced) to the run's spool to the "
            "moment a client has read it from WatchJob, over all events and watchers. The agent, its publisher and "
            "the gateway are the product's own, in processes of their own; the watchers share one asyncio process, "
            "so that the last of 100 also waits for 99 others to be read. They decode what they read when all is "
            "over, and leave no garbage to be searched for: it is the mesh's time that is asked for.",
            [*series.values()],
            [
                ratio(
                    f"{name}: p50 of 100 watchers / of 1",
                    series[f"{name}, 100 watchers: p50"],
                    series[f"{name}, 1 watcher: p50"],
                )
                for name in urls
            ],
        )
    ]


def _latencies(place: Place, watchers: int, events: int, seconds: float) -> list[float]:
    """Seconds from the spool to each watcher, of each event."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_watch(place, watchers, events, seconds))


async def _watch(place: Place, watchers: int, events: int, seconds: float) -> list[float]:
    metadata = (("authorization", f"Bearer {place.gateway.token}"),)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.aio.insecure_channel(place.gateway.address, options=options)
        for _ in range(-(-watchers // WATCHERS_PER_CHANNEL))
    ]
    stub = training_service_pb2_grpc.TrainingServiceStub(channels[0])
    job = (await stub.GetJob(training_pb2.GetJobRequest(job_id=place.job_id), metadata=metadata)).job
    request = training_pb2.WatchJobRequest(job_id=place.job_id, after_sequence=job.last_sequence)
    opened = asyncio.Semaphore(0)
    received: list[tuple[int, bytes]] = []
    methods: list[Any] = [channel.unary_stream(f"/{SERVICE}/{METHOD}") for channel in channels]

    async def watch(number: int) -> None:
        call = methods[number % len(methods)](request.SerializeToString(), metadata=metadata)
        await call.read()
        opened.release()  # the first is only to know that it watches
        for _ in range(events):
            answer = await call.read()
            received.append((time.time_ns(), answer))

    try:
        async with asyncio.timeout(PATIENCE_SECONDS + 2 * events * seconds), asyncio.TaskGroup() as group:
            for number in range(watchers):
                group.create_task(watch(number))
            await asyncio.to_thread(place.agent.ask, do="write", count=1, seconds=0.0)
            for _ in range(watchers):
                await opened.acquire()
            await asyncio.to_thread(place.agent.ask, do="write", count=events, seconds=seconds)
    finally:
        for channel in channels:
            await channel.close()
    return [_latency(*of_one) for of_one in received]


def _latency(received_ns: int, answer: bytes) -> float:
    event = training_pb2.WatchJobResponse.FromString(answer).event
    return (received_ns - event.time.ToNanoseconds()) / 1e9


if __name__ == "__main__":
    main(__doc__ or "", measure)
