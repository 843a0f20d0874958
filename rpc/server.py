"""A ``grpc.aio`` server with health per service and reflection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
from google.protobuf.descriptor import FileDescriptor

# Importing the details' protos lets reflection serve them, and grpcurl then prints them as JSON.
from google.rpc import error_details_pb2  # noqa: F401
from grpc.aio import ServerInterceptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rpc.channel import size_options

MESSAGE_SLACK_BYTES = 1 << 20

SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass
class HealthyServer:
    """A server, its health, and the names of its services."""

    server: grpc.aio.Server
    names: tuple[str, ...]
    health: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)

    async def serve(self) -> None:
        """Start, then say SERVING for the server and each of its services."""
        await self.server.start()
        for name in ("", *self.names):
            await self.health.set(name, SERVING)

    async def drain(self, seconds: float) -> None:
        """Say NOT_SERVING first, then take no new calls and give those in progress ``seconds`` to end."""
        await self.health.enter_graceful_shutdown()
        await self.server.stop(seconds)


def service_name(descriptor: FileDescriptor) -> str:
    """Full name of the one service of a proto. Taking it from there loads the proto, without which reflection would
    not know the service: the generated servicers do not import it."""
    [service] = descriptor.services_by_name.values()
    return str(service.full_name)


def create_server(
    services: Sequence[tuple[str, Callable[[grpc.aio.Server], None]]],
    *,
    interceptors: Sequence[ServerInterceptor],
    max_message_bytes: int,
) -> HealthyServer:
    """Build a server of (full service name, function that adds its servicer) pairs. Nothing is bound yet."""
    options = [
        # With room above the limit, so that a request at it is refused by its service, which says why.
        *size_options(max_message_bytes + MESSAGE_SLACK_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Uploads wait with their senders: a window that grows by itself may hold hundreds of megabytes.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 1 << 20),
        # A client that vanished without a word holds what its call holds, for example paths of an upload, no longer.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
    server = grpc.aio.server(interceptors=list(interceptors), options=options)
    names = tuple(name for name, _ in services)
    for _, add in services:
        add(server)
    served = HealthyServer(server, names)
    health_pb2_grpc.add_HealthServicer_to_server(served.health, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return served
