"""Answers a stream of requests in their order, while a bounded part of them is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rpc.errors import DomainError

Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass(frozen=True)
class Window:
    """How much of a stream may be on its way: this many requests of this many bytes together, and always one."""

    requests: int
    size_bytes: int


class _Room:
    """What of a window is taken. Requests wait here unread, so that gRPC's flow control holds their sender back."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._requests = 0
        self._size_bytes = 0
        self._given_back = asyncio.Event()

    async def take(self, size_bytes: int) -> None:
        while self._requests and (
            self._requests >= self._window.requests or self._size_bytes + size_bytes > self._window.size_bytes
        ):
            self._given_back.clear()
            await self._given_back.wait()
        self._requests += 1
        self._size_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._requests -= 1
        self._size_bytes -= size_bytes
        self._given_back.set()


async def answer_in_order(
    requests: AsyncIterator[Request],
    begin: Callable[[Request], Awaitable[asyncio.Future[Response]]],
    *,
    window: Window,
    size_bytes: Callable[[Request], int],
    stopping: asyncio.Event,
) -> AsyncGenerator[Response, None]:
    """Yield the answer to each request, in the order of the requests.

    ``begin`` is called with one request after the other and gives the future of its answer; what it or such a future
    raises ends the stream, once what came before is answered. An answer leaves the window when its receiver has
    taken it. When ``stopping`` is set no more is read, what was read is answered, and DomainError SHUTTING_DOWN ends
    the stream. Closing the generator cancels everything that is on its way: close it with ``aclosing``.
    """
    room = _Room(window)
    begun: asyncio.Queue[tuple[asyncio.Future[Response], int] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for request in requests:
                size = size_bytes(request)
                await room.take(size)
                begins = await begin(request)
                begins.add_done_callback(_seen)
                begun.put_nowait((begins, size))
        finally:
            begun.put_nowait(None)

    async def stop(reader: asyncio.Task[None]) -> None:
        await stopping.wait()
        reader.cancel()

    reader = asyncio.create_task(read())
    stopper = asyncio.create_task(stop(reader))
    answer: asyncio.Future[Response] | None = None
    try:
        while (following := await begun.get()) is not None:
            answer, size = following
            yield await answer
            room.give_back(size)
        if stopping.is_set():
            raise DomainError(
                "SHUTTING_DOWN",
                "The server is shutting down and reads no more of this stream. Send what is unanswered again.",
                retry_seconds=1.0,
            )
        await reader
    finally:
        for task in (stopper, reader):
            task.cancel()
        if answer is not None:
            answer.cancel()
        # A reader that is between two awaits may still begin one more: it is waited for.
        await asyncio.wait({stopper, reader})
        _seen(reader)
        while not begun.empty():
            left = begun.get_nowait()
            if left is not None:
                left[0].cancel()


def _seen(future: asyncio.Future[Response] | asyncio.Task[None]) -> None:
    """Of several errors one ends the stream, and asyncio need not complain of the others."""
    if not future.cancelled():
        future.exception()
