"""A proxy on the way to a gateway that cuts its connections in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """``cuts`` are bytes towards the client after which a connection ends, one for each connection; then none ends."""

    target: str
    cuts: list[int] = field(default_factory=list)
    address: str = ""
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        left = self.cuts.pop(0) if self.cuts else None
        host, _, port = self.target.rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        up = asyncio.create_task(_pass_on(reader, up_writer, None))
        down = asyncio.create_task(_pass_on(up_reader, writer, left))
        self._tasks |= {up, down}
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for stream in (writer, up_writer):
            stream.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 14):
            if left is not None:
                data, left = data[:left], left - len(data)
            writer.write(data)
            await writer.drain()
            if left is not None and left <= 0:
                return


@asynccontextmanager
async def cutting(target: str) -> AsyncIterator[CuttingProxy]:
    """A proxy to ``target`` on a free port."""
    proxy = CuttingProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()
    for task in proxy._tasks:
        task.cancel()
