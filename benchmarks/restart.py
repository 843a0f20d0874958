"""A gateway that is started again over 10,000 jobs, 50 of them running: the time until it serves, and until every agent
of those has said hello to it and was answered.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.databases import database_urls
from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, stage
from benchmarks.records import add_ended_jobs, run_token, running_jobs
from benchmarks.worker import Worker
from visionmesh.client import Client
from visionmesh.v1 import job_state_pb2

JOBS, RUNNING = 10_000, 50
MOST_SECONDS = 3.0


def measure(options: Options) -> Sequence[Report]:
    jobs, running = (200, 5) if options.quick else (JOBS, RUNNING)
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        sides = {}
        for name, new_url in open_.enter_context(database_urls()).items():
            # Agents and clients find it again where it was, as behind any name.
            addresses = {
                "VISIONMESH_PUBLIC_ADDRESS": f"127.0.0.1:{_free_port()}",
                "VISIONMESH_MESH_ADDRESS": f"127.0.0.1:{_free_port()}",
            }
            gateway = GatewayProcess(Path(root) / name, new_url(), **addresses)
            gateway.__enter__()
            open_.callback(gateway.__exit__, None, None, None)
            with stage(f"{jobs:,} jobs on {name}"):
                add_ended_jobs(gateway.database_url, jobs - running)
                runs = running_jobs(gateway.database_url, running)
                tokens = [run_token(gateway.database_url, run.run_id) for run in runs]
            agents = open_.enter_context(Worker("benchmarks.many_agents", gateway.mesh_address))
            greetings = [[run.job_id, run.run_id, token] for run, token in zip(runs, tokens, strict=True)]
            agents.ask(do="follow", runs=greetings)
            sides[name] = partial(_restart, gateway, agents, running)
        found = in_turns(options.runs, sides)
    serving = [Series(f"{name}: serving", "s", [first for first, _ in values]) for name, values in found.items()]
    known = [
        Series(f"{name}: every agent known", "s", [last for _, last in values], MOST_SECONDS, at_most=True)
        for name, values in found.items()
    ]
    return [
        Report(
            "Restart of a gateway",
            f"A gateway over {jobs:,} jobs, {running} of them RUNNING, is killed (SIGKILL) and started again as "
            "`python -m gateway`, migration check included. Seconds from the start of the process until its public "
            f"port answers ListJobs, and until the agents of all {running} runs, which try again by themselves as "
            "run agents do, were answered their hello. The agents are streams of one process.",
            serving,
            known,
        )
    ]


def _restart(gateway: GatewayProcess, agents: Worker, running: int) -> tuple[float, float]:
    gateway.kill()
    agents.ask(do="forget")
    began = time.time()
    gateway.__enter__()
    with Client(gateway.address, gateway.token) as client:
        found = list(client.jobs(state=job_state_pb2.JOB_STATE_RUNNING))
    served = time.time()
    if len(found) != running:
        raise RuntimeError(f"{len(found)} jobs are RUNNING")
    return served - began, float(agents.ask(do="greeted")) - began


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main(__doc__ or "", measure)
