"""Publishing a run's events to the gateway, however often the connection breaks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import structlog

from rpc.channel import open_mesh_channel
from trainer.runs.bell import Bell
from trainer.runs.pending import PendingEvents
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2
from visionmesh.mesh.v1.telemetry_service_pb2_grpc import TelemetryServiceStub

if TYPE_CHECKING:
    Call: TypeAlias = grpc.aio.StreamStreamCall[telemetry_pb2.PublishEventsRequest, telemetry_pb2.PublishEventsResponse]

FIRST_DELAY_SECONDS = 0.2
LAST_DELAY_SECONDS = 1.0
# How often the spools are looked into when nobody rings.
POLL_SECONDS = 0.1
EVENT_REFUSED = "EVENT_REFUSED"
SOURCES = {
    "training": run_pb2.EVENT_SOURCE_TRAINING,
    "log": run_pb2.EVENT_SOURCE_LOG,
    "agent": run_pb2.EVENT_SOURCE_AGENT,
}
# The gateway is there and does not want what it is sent.
REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
)
# Batches are not sent faster than this one after the other: events that are told one by one share transactions of the
# gateway then. The first after a while goes at once.
PACE_SECONDS = 0.01
# A gateway that is connected and yet silent for so long is given up for a new connection.
SILENCE_SECONDS = 30.0

logger = structlog.get_logger()


class EventPublisher:
    """Sends what is pending and obeys the gateway's commands. One batch is under way at a time. ``target`` names one
    gateway, or several between commas, of which it speaks to one at a time.

    ``bell`` is where writers of the spools ring. ``abandoned`` is set when the gateway says that the run no longer
    counts, ``refusal`` when it refused an event: what can still be published is, but the run is asked to stop.
    ``locked_out`` is set when nothing can be published. ``greeted`` says whether a gateway has answered its hello since
    the last connection was begun.
    """

    def __init__(
        self,
        spec: run_pb2.RunSpec,
        pending: PendingEvents,
        *,
        bell: Path,
        target: str,
        token: str,
        max_message_bytes: int,
        heartbeat_seconds: float,
        request_stop: Callable[[], None],
        refusal_seconds: float = 30.0,
    ) -> None:
        self.abandoned = asyncio.Event()
        self.locked_out = asyncio.Event()
        self.refusal: VisionMeshError | None = None
        self._hello = telemetry_pb2.RunHello(run_id=spec.run_id, job_id=spec.job_id)
        self._pending = pending
        self._targets = target.split(",")
        random.shuffle(self._targets)  # so that the agents of a mesh do not all go to one gateway
        self._token = token
        self._max_message_bytes = max_message_bytes
        self._heartbeat_seconds = heartbeat_seconds
        self._request_stop = request_stop
        self._refusal_seconds = refusal_seconds
        self._refused_since: float | None = None
        self._bell = bell
        self.greeted = False
        self._rung = asyncio.Event()
        self._answered = asyncio.Event()
        self._answer_time = 0.0

    async def run(self) -> None:
        """Publish until cancelled."""
        with closing(Bell(self._bell, self._rung.set)):
            await self._run()

    async def _run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                await self._session()
                logger.info("the gateway closed the stream")
            # A write to a call that has just failed is an InvalidStateError.
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
                if isinstance(error, grpc.aio.AioRpcError) and error.code() in REFUSALS:
                    self._take_refusal(from_rpc(error))
                else:
                    self._refused_since = None
                    detail = error.details() if isinstance(error, grpc.aio.AioRpcError) else repr(error)
                    if delay < LAST_DELAY_SECONDS:  # not without end, where it stays away
                        logger.warning("gateway away", target=self._targets[0], error=detail, retry_seconds=delay)
                    # The next time another gateway, if there is one: this one is away, shutting down or in trouble.
                    self._targets.append(self._targets.pop(0))
            if self.greeted:
                delay = FIRST_DELAY_SECONDS
            # Many agents lose one gateway at the same moment; they need not all come back at the same.
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            delay = min(2 * delay, LAST_DELAY_SECONDS)

    async def drained(self) -> None:
        """Wait until everything in the spools was acknowledged."""
        while True:
            if self._pending.settled():
                return
            await asyncio.sleep(POLL_SECONDS / 2)  # other processes write spools: nothing here can tell

    def _take_refusal(self, refused: VisionMeshError) -> None:
        """What another try may not help. A refused event is believed at once, anything else when it goes on."""
        logger.error("the gateway refused", target=self._targets[0], reason=refused.reason, message=refused.message)
        if refused.reason == EVENT_REFUSED:
            source = SOURCES.get(refused.metadata.get("source", ""), 0)
            sequence = int(refused.metadata.get("source_sequence", 0))
            if self._pending.refuse(source, sequence):
                self.refusal = refused
                self._request_stop()
            else:
                self.locked_out.set()
            return
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since >= self._refusal_seconds:
            self.locked_out.set()

    async def _session(self) -> None:
        """One connection, until it breaks or the gateway closes it."""
        self.greeted = False
        self._answered.clear()
        # A channel of its own: one that failed waits longer and longer before it tries again.
        async with open_mesh_channel(self._targets[0], self._token, self._max_message_bytes) as channel:
            call = TelemetryServiceStub(channel).PublishEvents()
            reading = asyncio.create_task(self._read(call))
            writing = asyncio.create_task(self._write(call))
            try:
                done, _ = await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
                # The status of the call is read; a failed write only says that there is one.
                for task in sorted(done, key=lambda task: task is writing):
                    task.result()
            finally:
                call.cancel()
                reading.cancel()
                writing.cancel()
                await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, call: Call) -> None:
        while isinstance(response := await call.read(), telemetry_pb2.PublishEventsResponse):
            self._answer_time = time.monotonic()
            if response.HasField("acknowledgement"):
                positions = {int(item.source): item.source_sequence for item in response.acknowledgement.positions}
                if self.greeted:
                    self._pending.acknowledge(positions)
                    self._refused_since = None
                else:
                    self._pending.rewind(positions)
                    self.greeted = True
                    logger.info("connected", target=self._targets[0], durable=positions)
                self._answered.set()
            elif response.command == telemetry_pb2.RUN_COMMAND_STOP:
                logger.info("asked to stop")
                self._request_stop()
            elif response.command == telemetry_pb2.RUN_COMMAND_ABANDON:
                logger.warning("told to abandon the run")
                self.abandoned.set()

    async def _write(self, call: Call) -> None:
        await self._send(call, telemetry_pb2.PublishEventsRequest(hello=self._hello))
        async with asyncio.timeout(SILENCE_SECONDS):
            await self._answered.wait()
        sent_time = batch_time = time.monotonic()
        while True:
            self._rung.clear()
            busy = self._pending.in_flight
            batch = [] if busy else self._pending.next_batch()
            now = time.monotonic()
            if batch:
                busy = True
                self._answered.clear()
                sent_time = batch_time = now
                message = telemetry_pb2.EventBatch(events=batch)
                await self._send(call, telemetry_pb2.PublishEventsRequest(batch=message))
            elif now - sent_time >= self._heartbeat_seconds:
                # Every heartbeat is answered, so that silence shows also where nothing is in flight.
                if now - self._answer_time > SILENCE_SECONDS + self._heartbeat_seconds:
                    raise TimeoutError("the gateway does not answer")
                sent_time = now
                await self._send(call, telemetry_pb2.PublishEventsRequest(heartbeat=telemetry_pb2.AgentHeartbeat()))
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await (self._answered if busy else self._rung).wait()
            except TimeoutError:
                continue  # time to look for new events
            pause = batch_time + PACE_SECONDS - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)

    async def _send(self, call: Call, request: telemetry_pb2.PublishEventsRequest) -> None:
        # A gateway that stopped reading holds writes up.
        async with asyncio.timeout(SILENCE_SECONDS):
            await call.write(request)
