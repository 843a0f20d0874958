"""TelemetryService: the stream of one run agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from gateway.telemetry.access import agent_run
from gateway.telemetry.event_rules import SOURCES
from gateway.telemetry.service import ABANDON, STOP, Greeting, Superseded, TelemetryService
from rpc.errors import DomainError, invalid_request
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import telemetry_pb2, telemetry_service_pb2_grpc

COMMANDS = {STOP: telemetry_pb2.RUN_COMMAND_STOP, ABANDON: telemetry_pb2.RUN_COMMAND_ABANDON}
# How long a stream may stay without its hello.
HELLO_SECONDS = 30.0
_NUMBERS = {name: number for number, name in SOURCES.items()}
Request = telemetry_pb2.PublishEventsRequest
Response = telemetry_pb2.PublishEventsResponse

logger = structlog.get_logger()


class TelemetryServicer(telemetry_service_pb2_grpc.TelemetryServiceServicer):
    """Acknowledgements and commands share one way down: a queue that the stream is answered from."""

    def __init__(self, service: TelemetryService) -> None:
        self._service = service

    async def PublishEvents(self, request_iterator: AsyncIterator[Request], context: Any) -> AsyncIterator[Response]:
        try:
            async with aclosing(self._answers(aiter(request_iterator))) as answers:
                async for answer in answers:
                    yield answer
        except DomainError as error:
            # The call's log line has neither run nor job, and this is no everyday refusal.
            own = agent_run()
            logger.warning(
                "agent refused",
                run_id=own.run_id,
                job_id=own.job_id,
                reason=error.reason,
                message=error.message,
                details=error.metadata,
            )
            raise

    async def _answers(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Response, None]:
        hello = await _hello(requests)
        commands: asyncio.Queue[str] = asyncio.Queue()
        try:
            greeting = await self._service.connect(agent_run(), hello.run_id, hello.job_id, commands)
        except Superseded as error:
            _log_superseded(error)
            yield _command(ABANDON)
            return
        if greeting.facts is None:
            # Its end is durable: the agent may have missed that, and then this is all it waits for.
            yield _acknowledgement(greeting.positions)
            yield _command(ABANDON)
            return
        answers: asyncio.Queue[Response | None] = asyncio.Queue()
        answers.put_nowait(_acknowledgement(greeting.positions))
        reader = asyncio.create_task(self._read(requests, greeting, answers))
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
        self, requests: AsyncIterator[Request], greeting: Greeting, answers: asyncio.Queue[Response | None]
    ) -> None:
        """Take what comes up until the stream or the run ends; None in ``answers`` ends the way down too."""
        try:
            async for request in requests:
                facts = greeting.facts
                assert facts is not None  # the loop is left where it becomes None
                match request.WhichOneof("message"):
                    case "batch":
                        greeting = await self._service.receive(facts, request.batch.events)
                    case "heartbeat":
                        await self._service.heartbeat(facts.run_id, facts.job_id)
                    case other:
                        raise _out_of_place(other or "")
                answers.put_nowait(_acknowledgement(greeting.positions))
                if greeting.facts is None:
                    return
        except Superseded as error:
            _log_superseded(error)
            answers.put_nowait(_command(ABANDON))
        finally:
            answers.put_nowait(None)


async def _hello(requests: AsyncIterator[Request]) -> telemetry_pb2.RunHello:
    """The first message. Raises INVALID_REQUEST when it is another one or does not come."""
    first: Request | None = None
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await anext(requests, None)
    except TimeoutError:
        logger.warning("an agent's stream stayed silent", seconds=HELLO_SECONDS)
    if first is None or first.WhichOneof("message") != "hello":
        raise invalid_request([Violation("hello", "must be the first message of the stream")])
    return first.hello


def _out_of_place(field: str) -> DomainError:
    if field == "hello":
        return invalid_request([Violation("hello", "was said before; a stream speaks for one run")])
    return invalid_request([Violation("message", "is missing or unknown to this gateway")])


def _log_superseded(error: Superseded) -> None:
    own = agent_run()
    logger.warning("agent told to abandon its run", run_id=own.run_id, job_id=own.job_id, because=str(error))


async def _tell(commands: asyncio.Queue[str], answers: asyncio.Queue[Response | None]) -> None:
    while command := await commands.get():
        answers.put_nowait(_command(command))
    answers.put_nowait(None)


def _command(command: str) -> Response:
    return Response(command=COMMANDS[command])


def _acknowledgement(positions: Mapping[str, int]) -> Response:
    durable = [
        telemetry_pb2.DurablePosition(source=_NUMBERS[source], source_sequence=position)
        for source, position in positions.items()
        if source in _NUMBERS
    ]
    return Response(acknowledgement=telemetry_pb2.PublishAcknowledgement(positions=durable))
