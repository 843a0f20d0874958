"""Channels inside the mesh: every call carries the mesh token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self, cast

import grpc

MAX_MESSAGE_BYTES = 64 << 20

# A dead peer is noticed within seconds, also where the network only falls silent.
KEEPALIVE = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
)


def size_options(max_message_bytes: int) -> list[tuple[str, int]]:
    """Channel or server options that allow messages up to this size both ways."""
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
    ]


class _TokenChannel:
    """A channel whose calls all carry a token.

    It is given with each call. Interceptors of grpc.aio would do that too, but put tasks and a queue between a stream
    and who writes into it, and leave them behind when it breaks.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._channel = channel
        self._header = ("authorization", f"Bearer {token}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._channel.close()

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return partial(self._call, self._channel.unary_unary(*arguments, **named))

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return partial(self._call, self._channel.stream_stream(*arguments, **named))

    def _call(self, call: Any, *arguments: Any, metadata: Sequence[tuple[str, str]] | None = None, **named: Any) -> Any:
        return call(*arguments, metadata=(*(metadata or ()), self._header), **named)


def open_mesh_channel(target: str, token: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> grpc.aio.Channel:
    """Open a channel to another part of the mesh; unary and bidirectional calls carry the token."""
    channel = grpc.aio.insecure_channel(target, options=[*size_options(max_message_bytes), *KEEPALIVE])
    return cast(grpc.aio.Channel, _TokenChannel(channel, token))
