"""The receiving end of run agents, over real gRPC; it keeps events in memory where the gateway has a database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from gateway.telemetry.event_rules import RunFacts, check_batch, event_refused
from rpc.interceptors import ErrorInterceptor, MeshAuthInterceptor
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2
from visionmesh.mesh.v1.telemetry_service_pb2_grpc import (
    TelemetryServiceServicer,
    add_TelemetryServiceServicer_to_server,
)

RUN_TOKEN = "run-token-of-the-tests"
# The runs of these tests belong to it and have no more epochs than this.
PROJECT, MAX_EPOCHS = "project", 1000


class FakeGateway(TelemetryServiceServicer):
    """Keeps each event once. It may be stopped and started again on the same port, and then still knows them.

    ``refuses`` says of which events it wants nothing: their batches are refused as the gateway refuses them.
    """

    def __init__(self) -> None:
        self.events: dict[str, list[run_pb2.RunEvent]] = defaultdict(list)
        self.commands: dict[str, telemetry_pb2.RunCommand] = {}
        self.refuses: Callable[[run_pb2.RunEvent], bool] = lambda event: False
        self.hellos = 0
        self.heartbeats = 0
        self.largest_batch = 0
        self.gaps: list[str] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, token: str = RUN_TOKEN) -> None:
        """Serve the runs of one token; which belongs to which is for the tests of the gateway."""
        interceptors = [ErrorInterceptor(), MeshAuthInterceptor(token)]
        self._server = grpc.aio.server(interceptors=interceptors, options=[("grpc.so_reuseport", 0)])
        add_TelemetryServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def PublishEvents(
        self, request_iterator: AsyncIterator[telemetry_pb2.PublishEventsRequest], context: Any
    ) -> AsyncIterator[telemetry_pb2.PublishEventsResponse]:
        run_id = job_id = ""
        async for request in request_iterator:
            if request.HasField("hello"):
                run_id, job_id = request.hello.run_id, request.hello.job_id
                self.hellos += 1
            elif request.HasField("batch"):
                self.largest_batch = max(self.largest_batch, len(request.batch.events))
                # What agents and trainings tell passes the rules of the real one.
                check_batch(RunFacts(run_id, job_id, PROJECT, MAX_EPOCHS), request.batch.events)
                for event in filter(self.refuses, request.batch.events):
                    raise event_refused(event, [Violation("batch.events", "is not to this gateway's liking")])
                for event in request.batch.events:
                    self._keep(run_id, event)
            else:
                self.heartbeats += 1
            yield telemetry_pb2.PublishEventsResponse(acknowledgement=self._acknowledgement(run_id))
            if run_id in self.commands:
                yield telemetry_pb2.PublishEventsResponse(command=self.commands.pop(run_id))

    def position(self, run_id: str, source: int) -> int:
        return max((event.source_sequence for event in self.events[run_id] if event.source == source), default=0)

    def payloads(self, run_id: str, kind: str) -> list[Any]:
        return [getattr(event, kind) for event in self.events[run_id] if event.HasField(kind)]

    def end(self, run_id: str) -> run_pb2.RunEnd | None:
        ends: list[run_pb2.RunEnd] = self.payloads(run_id, "end")
        assert len(ends) <= 1
        return ends[0] if ends else None

    async def until(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def _keep(self, run_id: str, event: run_pb2.RunEvent) -> None:
        position = self.position(run_id, event.source)
        if event.source_sequence > position + 1:
            self.gaps.append(f"{run_id}: {event.source} jumps from {position} to {event.source_sequence}")
        if event.source_sequence == position + 1:
            self.events[run_id].append(event)

    def _acknowledgement(self, run_id: str) -> telemetry_pb2.PublishAcknowledgement:
        sources = {event.source for event in self.events[run_id]}
        return telemetry_pb2.PublishAcknowledgement(
            positions=[
                telemetry_pb2.DurablePosition(source=source, source_sequence=self.position(run_id, source))
                for source in sources
            ]
        )
