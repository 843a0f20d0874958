"""TelemetryService: the stream of one run agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.telemetry.projection import SOURCES
from gateway.telemetry.service import ABANDON, STOP, Superseded, TelemetryService, unknown_first_message
from visionmesh.mesh.v1 import telemetry_pb2, telemetry_service_pb2_grpc

COMMANDS = {STOP: telemetry_pb2.RUN_COMMAND_STOP, ABANDON: telemetry_pb2.RUN_COMMAND_ABANDON}
_NUMBERS = {name: number for number, name in SOURCES.items()}
Response = telemetry_pb2.PublishEventsResponse


class TelemetryServicer(telemetry_service_pb2_grpc.TelemetryServiceServicer):
    """Acknowledgements and commands share one way down: a queue that the stream is answered from."""

    def __init__(self, service: TelemetryService) -> None:
        self._service = service

    async def PublishEvents(
        self, request_iterator: AsyncIterator[telemetry_pb2.PublishEventsRequest], context: Any
    ) -> AsyncIterator[Response]:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("message") != "hello":
            raise unknown_first_message()
        hello = first.hello
        commands: asyncio.Queue[str] = asyncio.Queue()
        answers: asyncio.Queue[Response | None] = asyncio.Queue()
        try:
            positions = await self._service.connect(hello.run_id, hello.job_id, commands)
        except Superseded:
            yield Response(command=telemetry_pb2.RUN_COMMAND_ABANDON)
            return
        answers.put_nowait(_acknowledgement(positions))
        reader = asyncio.create_task(self._read(request_iterator, hello, positions, answers))
        teller = asyncio.create_task(_tell(commands, answers))
        try:
            while (answer := await answers.get()) is not None:
                yield answer
            if reader.done():
                reader.result()
        finally:
            self._service.disconnect(hello.run_id, commands)
            reader.cancel()
            teller.cancel()
            await asyncio.gather(reader, teller, return_exceptions=True)

    async def _read(
        self,
        requests: AsyncIterator[telemetry_pb2.PublishEventsRequest],
        hello: telemetry_pb2.RunHello,
        positions: Mapping[str, int],
        answers: asyncio.Queue[Response | None],
    ) -> None:
        """Take what comes up until the stream ends; None in ``answers`` ends the way down too."""
        try:
            async for request in requests:
                if request.WhichOneof("message") == "batch":
                    positions = await self._service.receive(hello.run_id, hello.job_id, request.batch.events)
                else:
                    await self._service.heartbeat(hello.run_id, hello.job_id)
                answers.put_nowait(_acknowledgement(positions))
        except Superseded:
            answers.put_nowait(Response(command=telemetry_pb2.RUN_COMMAND_ABANDON))
        finally:
            answers.put_nowait(None)


async def _tell(commands: asyncio.Queue[str], answers: asyncio.Queue[Response | None]) -> None:
    while command := await commands.get():
        answers.put_nowait(Response(command=COMMANDS[command]))
    answers.put_nowait(None)


def _acknowledgement(positions: Mapping[str, int]) -> Response:
    durable = [
        telemetry_pb2.DurablePosition(source=_NUMBERS[source], source_sequence=position)
        for source, position in positions.items()
        if source in _NUMBERS
    ]
    return Response(acknowledgement=telemetry_pb2.PublishAcknowledgement(positions=durable))
