"""The channel to a gateway: token, deadlines, errors and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import grpc

from visionmesh.errors import from_rpc

Request = TypeVar("Request")
Response = TypeVar("Response")
Item = TypeVar("Item")

PAGE_SIZE = 500
MIB = 1 << 20


class Connection:
    """One channel with a Bearer token; every failed call is raised as ``VisionMeshError``."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        secure: bool = False,
        root_certificates: bytes | None = None,
        timeout: float = 60.0,
        keepalive_seconds: float = 20.0,
        max_message_bytes: int = 64 * MIB,
    ) -> None:
        """Open a channel to ``address`` (``host:port``); nothing is sent before the first call.

        ``token`` may be what a token file holds, line break included.
        ``secure`` speaks TLS, trusting ``root_certificates`` (PEM) or, without them, what the machine trusts.
        ``timeout`` is the deadline of a single call in seconds; uploads and watches have none. A connection that died
        without a word is noticed within one and a half times ``keepalive_seconds`` (6 or more, or a gateway objects).
        """
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            # A gateway that restarts is found again within seconds, not after minutes of backoff.
            ("grpc.max_reconnect_backoff_ms", 2000),
            # A connection that died without a word is noticed while a call waits for it.
            ("grpc.keepalive_time_ms", round(keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", round(keepalive_seconds * 500)),
            # Pings that measure the connection are sent too, and hold back those that look whether it lives.
            ("grpc.http2.ping_timeout_ms", round(keepalive_seconds * 500)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        if secure:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._timeout = timeout
        self._metadata: tuple[tuple[str, str | bytes], ...] = (("authorization", f"Bearer {token.strip()}"),)

    def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        self._channel.close()

    def _unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float | None = None,
    ) -> Response:
        try:
            return method(request, timeout=timeout or self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from error


def pages(fetch: Callable[[str], tuple[Iterable[Item], str]]) -> Iterator[Item]:
    """Iterate the items of all pages; ``fetch`` takes a page token and gives the items and the next token."""
    token = ""
    while True:
        items, token = fetch(token)
        yield from items
        if not token:
            return
