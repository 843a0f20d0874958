"""A network that is not this machine's: ``python -m benchmarks.slow_network PORT MILLISECONDS`` listens on a free port,
which it prints, and passes on what it is sent to ``PORT`` and back. Half the milliseconds later in each direction, so
that an answer comes as much later as the round trip to a distant server takes; the rate is not limited.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import TracebackType
from typing import Self

from benchmarks.worker import HOME, environment


class SlowNetwork:
    """The same in a process of its own, for the length of the block; ``port`` is where it listens."""

    def __init__(self, port: int, round_trip_ms: float) -> None:
        self._command = [sys.executable, "-m", "benchmarks.slow_network", str(port), str(round_trip_ms)]
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=HOME, env=environment())
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


class _End(asyncio.Protocol):
    """One end of a connection; what it hears, the other end says after ``delay`` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.other: _End
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        for data in self._early:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._delay, self.other.say, data)

    def say(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._loop.call_later(self._delay, self.other.close)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


async def _serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    connecting: set[asyncio.Task[None]] = set()

    async def connect(near: _End, far: _End) -> None:
        try:
            await loop.create_connection(lambda: far, "127.0.0.1", port)
        except OSError:
            near.close()

    def accept() -> _End:
        near, far = _End(delay), _End(delay)
        near.other, far.other = far, near
        task = loop.create_task(connect(near, far))
        connecting.add(task)
        task.add_done_callback(connecting.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 2000))
