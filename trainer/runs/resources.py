"""What a training takes of its machine, looked at now and then by its agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import partial

import psutil
import structlog

from trainer.runs.agent_events import AgentEvents
from trainer.runs.daemon import in_daemon_thread
from trainer.runs.folder import RunFolder
from trainer.runs.gpus import Gpus
from trainer.runs.processes import ProcessIdentity
from visionmesh.v1 import event_pb2

logger = structlog.get_logger()


class ResourceMeter:
    """Looks at one training process and its workers. For one thread at a time."""

    def __init__(self, gpus: Gpus) -> None:
        self._gpus = gpus
        self._looked_time: float | None = None
        self._cpu_seconds: dict[psutil.Process, float] = {}
        self._environment: Mapping[str, str] = {}
        self._process: ProcessIdentity | None = None

    def look(self, training: ProcessIdentity) -> event_pb2.ResourceUse | None:
        """What is taken now; None when the process is gone. Processor time is told from the second look on."""
        if not training.is_alive():
            return None
        if training != self._process:
            self._process, self._environment = training, _environment(training)
            self._looked_time, self._cpu_seconds = None, {}
        now = time.monotonic()
        cpu_seconds: dict[psutil.Process, float] = {}
        memory_bytes = 0
        for process in _family(training.pid):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory_bytes += process.memory_info().rss
                cpu_seconds[process] = times.user + times.system
            except psutil.Error:
                continue  # it has just ended
        if not cpu_seconds:
            return None
        machine = psutil.virtual_memory()
        use = event_pb2.ResourceUse(
            cpu_count=psutil.cpu_count(),
            memory_bytes=memory_bytes,
            machine_memory_used_bytes=machine.total - machine.available,
            machine_memory_total_bytes=machine.total,
            process_count=len(cpu_seconds),
            gpus=self._gpus.use(self._environment),
        )
        if self._looked_time is not None and now > self._looked_time:
            # Of a worker that is new all counts; what one spent that has ended meanwhile is lost.
            spent = sum(seconds - self._cpu_seconds.get(process, 0.0) for process, seconds in cpu_seconds.items())
            use.cpu_percent = max(100 * spent / (now - self._looked_time), 0.0)
        self._looked_time, self._cpu_seconds = now, cpu_seconds
        return use


async def tell_resources(folder: RunFolder, events: AgentEvents, seconds: float) -> None:
    """Tell what the run's training takes every so many seconds until cancelled; never when ``seconds`` is 0."""
    if not seconds:
        return
    meter = ResourceMeter(Gpus())
    first_look_at: ProcessIdentity | None = None
    while True:
        training = folder.training_process()
        if training is not None:
            # A driver that hangs must not hold up the agent.
            use = await in_daemon_thread(partial(meter.look, training))
            # The first look is taken while libraries are still loaded: it only begins the count of processor time.
            if use is not None and training == first_look_at:
                try:
                    events.resources(use)
                except OSError as error:
                    logger.warning("the use of resources cannot be told", error=str(error))
            first_look_at = training
        await asyncio.sleep(seconds)


def _family(pid: int) -> Iterator[psutil.Process]:
    try:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)
    except psutil.Error:
        return


def _environment(process: ProcessIdentity) -> Mapping[str, str]:
    """The environment that a process was started with; empty where it cannot be read."""
    try:
        environment: Mapping[str, str] = psutil.Process(process.pid).environ()
    except (psutil.Error, OSError):
        return {}
    return environment
