"""Metric events per second that a gateway makes durable, on SQLite and on PostgreSQL: from the spools of several runs,
by their agents' own publisher, to the last acknowledgement.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.agent_process import TOKEN_VARIABLE
from benchmarks.databases import database_urls
from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio
from benchmarks.records import run_token, running_job
from benchmarks.worker import Worker

JOBS = 4


def measure(options: Options) -> Sequence[Report]:
    events = 500 if options.quick else 5_000
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, database_urls() as urls, ExitStack() as open_:
        agents: dict[str, list[Worker]] = {}
        for name, url in urls.items():
            gateway = open_.enter_context(GatewayProcess(Path(root) / name, url))
            agents[name] = []
            for number in range(JOBS):
                run = running_job(gateway.database_url)
                worker = Worker(
                    "benchmarks.agent_process",
                    str(Path(root) / name / f"run-{number}"),
                    run.job_id,
                    run.run_id,
                    gateway.mesh_address,
                    variables={TOKEN_VARIABLE: run_token(gateway.database_url, run.run_id)},
                )
                agents[name].append(open_.enter_context(worker))
        sides_of = {name: partial(_rate, workers, events) for name, workers in agents.items()}
        found = in_turns(options.runs, sides_of)
    sides = {name: Series(name, "events/s", values) for name, values in found.items()}
    return [
        Report(
            "Durable metric events",
            f"{JOBS} jobs at once, each with {events:,} metrics (loss, accuracy, learning rate, four more) waiting in "
            "its spool, published by an agent process each in batches of at most 500, one under way at a time; from "
            "the first hello to the last acknowledgement. SQLite writes with WAL and synchronous=FULL, PostgreSQL as "
            "it comes, fsync on; agents, gateway and database share the processors.",
            [*sides.values()],
            [ratio("SQLite / PostgreSQL", sides["SQLite"], sides["PostgreSQL"])],
        )
    ]


def _rate(agents: Sequence[Worker], events: int) -> float:
    for agent in agents:
        agent.ask(do="fill", count=events)
    for agent in agents:
        agent.tell(do="publish")
    times: list[tuple[float, float]] = [agent.answer() for agent in agents]
    return len(agents) * events / (max(ended for _, ended in times) - min(began for began, _ in times))


if __name__ == "__main__":
    main(__doc__ or "", measure)
