"""Metric events per second that a gateway makes durable, on SQLite and on PostgreSQL: from the spools of several runs,
by their agents' own publisher, to the last acknowledgement; in an empty database and after a million events.

With ``--mlflow-python`` the same values are also logged by MLflow's ``log_batch``, into a database of the same kind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.agent_process import TOKEN_VARIABLE
from benchmarks.databases import database_urls
from benchmarks.gateway_process import GatewayProcess
from benchmarks.history import add_metrics
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio, stage
from benchmarks.records import run_token, running_job
from benchmarks.worker import Worker

TARGET = 5_000
JOBS = 4
HISTORY = 1_000_000
# SQLite lets one write at a time, and MLflow's processes give up waiting for one another.
MLFLOW_PROCESSES = {"SQLite": 1, "PostgreSQL": JOBS}


def measure(options: Options) -> Sequence[Report]:
    events = 500 if options.quick else 5_000
    history = options.sizes.get("history") or (20_000 if options.quick else HISTORY)
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        sides: dict[str, Callable[[], float]] = {}
        for name, new_url in open_.enter_context(database_urls()).items():
            for before in (0, history):
                agents = _agents(Path(root) / f"{name}-{before}", new_url(), before, open_)
                sides[_side(name, before)] = partial(_rate, agents, events)
            if python := options.texts.get("mlflow-python"):
                mlflow = _mlflow(python, Path(root) / f"mlflow-{name}.db", new_url(), MLFLOW_PROCESSES[name], open_)
                sides[f"MLflow, {name}"] = partial(_mlflow_rate, mlflow, events)
        found = in_turns(options.runs, sides)
    series = {
        name: Series(name, "events/s", values, 0 if name.startswith("MLflow") else TARGET)
        for name, values in found.items()
    }
    outcomes = []
    for name in MLFLOW_PROCESSES:
        empty, full = series[_side(name, 0)], series[_side(name, history)]
        outcomes.append(ratio(f"{name}: after {history:,} events / empty", full, empty))
        if f"MLflow, {name}" in series:
            outcomes.append(ratio(f"{name}: gateway / MLflow", empty, series[f"MLflow, {name}"]))
    return [
        Report(
            "Durable metric events",
            f"{JOBS} jobs at once, each with {events:,} metrics (loss, accuracy, learning rate, four more) waiting in "
            "its spool, published by an agent process each in batches, one under way at a time; from the first hello "
            "to the last acknowledgement. SQLite writes with WAL and synchronous=FULL, PostgreSQL as it comes, fsync "
            f"on; agents, gateway and database share the processors. Events before lie in the logs of the same {JOBS} "
            "jobs. MLflow logs the same seven values an event with log_batch, 142 events a call, straight into its "
            "database, without a server and without spools: on SQLite from one process, on PostgreSQL from "
            f"{MLFLOW_PROCESSES['PostgreSQL']}.",
            [*series.values()],
            outcomes,
        )
    ]


def _side(name: str, before: int) -> str:
    return f"{name}, after {before:,} events" if before else name


def _agents(folder: Path, url: str, before: int, open_: ExitStack) -> list[Worker]:
    """Agents of jobs that have ``before`` events behind them together, at a gateway of their own."""
    gateway = open_.enter_context(GatewayProcess(folder, url))
    agents = []
    for number in range(JOBS):
        run = running_job(gateway.database_url)
        if before:
            with stage(f"{before // JOBS:,} events before those of job {number + 1} of {JOBS}"):
                add_metrics(gateway.database_url, run.job_id, before // JOBS)
        worker = Worker(
            "benchmarks.agent_process",
            str(folder / f"run-{number}"),
            run.job_id,
            run.run_id,
            gateway.mesh_address,
            str(before // JOBS),
            variables={TOKEN_VARIABLE: run_token(gateway.database_url, run.run_id)},
        )
        agents.append(open_.enter_context(worker))
    return agents


def _rate(agents: Sequence[Worker], events: int) -> float:
    for agent in agents:
        agent.ask(do="fill", count=events)
    return _together(agents, events, {"do": "publish"})


def _mlflow(python: str, file: Path, url: str, processes: int, open_: ExitStack) -> list[Worker]:
    # The driver by its name: which one is taken without it depends on MLflow's SQLAlchemy.
    uri = url.replace("postgresql://", "postgresql+psycopg2://") or f"sqlite:///{file}"
    workers = [open_.enter_context(Worker("benchmarks.mlflow_process", uri, python=python)) for _ in range(processes)]
    for worker in workers:  # one after the other: the first makes the tables
        worker.ask(do="begin")
    return workers


def _mlflow_rate(workers: Sequence[Worker], events: int) -> float:
    return _together(workers, events, {"do": "log", "events": events})


def _together(workers: Sequence[Worker], events: int, command: Mapping[str, Any]) -> float:
    """Events per second of all workers, each of which is busy with ``events``."""
    for worker in workers:
        worker.tell(**command)
    times: list[tuple[float, float]] = [worker.answer() for worker in workers]
    return len(workers) * events / (max(ended for _, ended in times) - min(began for began, _ in times))


if __name__ == "__main__":
    main(
        __doc__ or "",
        measure,
        sizes={"history": f"events that the fuller database holds before [{HISTORY:,}]"},
        texts={"mlflow-python": "a Python that has MLflow (and psycopg2), to measure its log_batch too"},
    )
