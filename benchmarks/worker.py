"""A side of a measurement in a process of its own, told what to do by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HOME = Path(__file__).resolve().parents[1]
_END_SECONDS = 20.0


def thread_variables(threads: int) -> dict[str, str]:
    """What keeps the libraries that compute to so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, with the modules of this checkout first."""
    path = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **(more or {})}


class Worker:
    """``python -m module arguments``, which calls ``serve``; ended at the end of the block."""

    def __init__(
        self, module: str, *arguments: str, variables: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HOME,
            env=environment(variables),
        )
        self._module = module

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **command: Any) -> Any:
        """Have a command done and return its answer. Raises RuntimeError when the worker ended instead."""
        self.tell(**command)
        return self.answer()

    def tell(self, **command: Any) -> None:
        """Give a command without waiting; ``answer`` waits."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with exit code {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(handle: Callable[[dict[str, Any]], Any]) -> None:
    """Answer commands until there are no more."""
    for line in sys.stdin:
        answer(handle(json.loads(line)))


async def serve_async(handle: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
    """What ``serve`` does, beside others on an event loop."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer(await handle(json.loads(line)))


def timed(command: Mapping[str, Any], work: Callable[[], Any]) -> Any:
    """Do ``answer``, ``times`` (``count`` of them, one after the other) or ``rate`` (for ``seconds``) of some work.

    Gives what the work gave, the seconds of each time, or how often per second.
    """
    if command["do"] == "answer":
        return work()
    if command["do"] == "times":
        times = []
        for _ in range(command["count"]):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return times
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < command["seconds"]:
        work()
        count += 1
    return count / (time.perf_counter() - began)


def answer(message: Any) -> None:
    """Send an answer."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
