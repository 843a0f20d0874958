"""Messages per second that a gateway streams to 50 watchers of one job, and to 1,000, against a bare grpc.aio server
that streams the same messages.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.agent_process import TOKEN_VARIABLE as RUN_TOKEN_VARIABLE
from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.records import run_token, running_job
from benchmarks.stream_clients import TOKEN_VARIABLE
from benchmarks.worker import Worker

TARGET = 0.8
# Watchers, and messages to each of them.
SIZES = {50: 2_000, 1_000: 200}
QUICK_SIZES = {50: 100, 200: 20}
CLIENTS = 2


@dataclass(frozen=True)
class Source:
    """A server to watch: its ``clients``, what makes it tell one event or more, and where its log ends."""

    clients: Sequence[Worker]
    tell: Callable[[int], None]
    last_sequence: Callable[[], int]
    server: psutil.Process


def measure(options: Options) -> Sequence[Report]:
    sizes = QUICK_SIZES if options.quick else SIZES
    processes = options.sizes.get("clients") or CLIENTS
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        folder = Path(root)
        gateway = open_.enter_context(GatewayProcess(folder, VISIONMESH_HEARTBEAT_SECONDS="3600"))
        source = _gateway_source(gateway, folder, open_, processes)
        sides = {}
        for watchers, messages in sizes.items():
            kept = _messages(source, folder / f"{watchers}.messages", messages)
            bare = _bare_source(kept, open_, processes)
            sides[f"bare server, {watchers:,} watchers"] = partial(_rate, bare, watchers, messages)
            sides[f"gateway, {watchers:,} watchers"] = partial(_rate, source, watchers, messages)
        found = in_turns(options.runs, sides)
    rates = {name: Series(name, "messages/s", [rate for rate, _ in values]) for name, values in found.items()}
    costs = {
        name: Series(f"{name}: processor time", "µs/message", [cost * 1e6 for _, cost in values])
        for name, values in found.items()
    }
    outcomes = []
    for watchers in sizes:
        over, under = f"gateway, {watchers:,} watchers", f"bare server, {watchers:,} watchers"
        outcomes += [
            ratio(f"gateway / bare, {watchers:,} watchers", rates[over], rates[under], TARGET),
            ratio(f"processor time: gateway / bare, {watchers:,} watchers", costs[over], costs[under]),
        ]
    told = ", ".join(f"{messages:,} metrics to {watchers:,} watchers" for watchers, messages in sizes.items())
    return [
        Report(
            "Fan-out: gateway against a bare server",
            f"{told}, ten to a connection, all open and waiting when the first is told; until the last watcher has "
            "the last. To the gateway an agent tells them, from its spool, and the time that this and SQLite take is "
            "in; the bare server has the same encoded messages in memory and encodes nothing. Watchers are in "
            f"{processes} asyncio processes that do not decode. All share the processors; processor time is the "
            "server's alone.",
            [*rates.values(), *costs.values()],
            outcomes,
        )
    ]


def _gateway_source(gateway: GatewayProcess, folder: Path, open_: ExitStack, processes: int) -> Source:
    run = running_job(gateway.database_url)
    agent = open_.enter_context(
        Worker(
            "benchmarks.agent_process",
            str(folder / "run"),
            run.job_id,
            run.run_id,
            gateway.mesh_address,
            variables={RUN_TOKEN_VARIABLE: run_token(gateway.database_url, run.run_id)},
        )
    )
    agent.ask(do="follow")
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        told = agent.ask(do="fill", count=count)

    clients = _clients(gateway.address, run.job_id, gateway.token, open_, processes)
    return Source(clients, tell, lambda: told, psutil.Process(gateway.pid))


def _bare_source(messages: Path, open_: ExitStack, processes: int) -> Source:
    bare = open_.enter_context(Worker("benchmarks.bare_stream", str(messages)))
    clients = _clients(str(bare.answer()), "any", "", open_, processes)
    told = False

    def tell(count: int) -> None:
        nonlocal told
        told = not told
        if not told:  # the first of a stream is told unasked
            bare.ask()

    return Source(clients, tell, lambda: 0, psutil.Process(bare.pid))


def _clients(address: str, job_id: str, token: str, open_: ExitStack, processes: int) -> list[Worker]:
    variables = {TOKEN_VARIABLE: token}
    return [
        open_.enter_context(Worker("benchmarks.stream_clients", address, job_id, variables=variables))
        for _ in range(processes)
    ]


def _messages(source: Source, path: Path, messages: int) -> Path:
    """What a gateway streams, kept for the bare server."""
    after = source.last_sequence()
    source.tell(1 + messages)
    source.clients[0].ask(do="fetch", after=after, answers=1 + messages, file=str(path))
    return path


def _rate(source: Source, watchers: int, messages: int) -> tuple[float, float]:
    """Messages per second to all watchers, and seconds of the server's processor time per message."""
    share = watchers // len(source.clients)
    after = source.last_sequence()
    for clients in source.clients:
        clients.tell(do="open", watchers=share, after=after)
    source.tell(1)
    for clients in source.clients:
        clients.answer()
    for clients in source.clients:
        clients.tell(do="count", answers=messages)
    used, began = _processor_seconds(source.server), time.time()
    source.tell(messages)
    ended = max(clients.answer() for clients in source.clients)
    total = share * len(source.clients) * messages
    return total / (ended - began), (_processor_seconds(source.server) - used) / total


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main(__doc__ or "", measure, sizes={"clients": f"processes that the watchers are in [{CLIENTS}]"})
