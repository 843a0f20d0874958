"""Channels inside the mesh: every call carries the mesh token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from grpc.aio import (
    ClientCallDetails,
    ClientInterceptor,
    StreamStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
)

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


class _WithToken:
    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _details(self, details: ClientCallDetails) -> ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), self._header)
        return ClientCallDetails(details.method, details.timeout, metadata, details.credentials, details.wait_for_ready)


class _UnaryWithToken(_WithToken, UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._details(client_call_details), request)


class _StreamsWithToken(_WithToken, StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request_iterator: Any
    ) -> Any:
        return await continuation(self._details(client_call_details), request_iterator)


def open_mesh_channel(target: str, token: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> grpc.aio.Channel:
    """Open a channel to another part of the mesh; unary and bidirectional calls carry the token."""
    interceptors: list[ClientInterceptor] = [_UnaryWithToken(token), _StreamsWithToken(token)]
    options = [*size_options(max_message_bytes), *KEEPALIVE]
    return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
