"""A run's agent that does what a test says: a small real client of TelemetryService."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import grpc

from rpc.channel import open_mesh_channel
from rpc.times import now_timestamp
from storage.objects import keys
from storage.objects.digest import files_digest
from visionmesh.mesh.v1 import run_pb2, telemetry_pb2, telemetry_service_pb2_grpc
from visionmesh.v1 import checkpoint_pb2, common_pb2, event_pb2

TRAINING = run_pb2.EVENT_SOURCE_TRAINING
LOG = run_pb2.EVENT_SOURCE_LOG
AGENT = run_pb2.EVENT_SOURCE_AGENT
STOP = telemetry_pb2.RUN_COMMAND_STOP
ABANDON = telemetry_pb2.RUN_COMMAND_ABANDON
PATIENCE_SECONDS = 20.0
# Of the one file of every checkpoint, and of the checkpoint.
WEIGHTS = "ab" * 32
DIGEST = files_digest([("weights.safetensors", WEIGHTS)])

Positions = dict[int, int]


class Script:
    """What happens in a run: each method gives the next event of its source."""

    def __init__(self, run: run_pb2.RunSpec) -> None:
        self.run = run
        self._numbers: Counter[int] = Counter()

    def event(self, source: run_pb2.EventSource, **payload: Any) -> run_pb2.RunEvent:
        """Any event; ``payload`` is a field of RunEvent."""
        self._numbers[source] += 1
        return run_pb2.RunEvent(source=source, source_sequence=self._numbers[source], time=now_timestamp(), **payload)

    def preparation(self, message: str = "fetching the dataset") -> run_pb2.RunEvent:
        return self.event(AGENT, preparation=event_pb2.Preparation(message=message, done=1, total=2))

    def start(self) -> run_pb2.RunEvent:
        start = event_pb2.TrainingStart(device="cpu", total_epochs=self.run.epochs, start_epoch=1, steps_per_epoch=4)
        return self.event(TRAINING, training_start=start)

    def progress(self, epoch: int, step: int, steps: int = 4, **more: float) -> run_pb2.RunEvent:
        progress = event_pb2.TrainingProgress(
            epoch=epoch, step=step, steps=steps, loss=0.5, images_per_second=10, **more
        )
        return self.event(TRAINING, progress=progress)

    def metric(self, epoch: int, accuracy: float = 0.5, **extra: float) -> run_pb2.RunEvent:
        point = event_pb2.MetricPoint(epoch=epoch, step=4 * epoch, loss=1 / 8, accuracy=accuracy, extra_metrics=extra)
        return self.event(TRAINING, metric=point)

    def validation(self, epoch: int) -> run_pb2.RunEvent:
        score = event_pb2.ClassScore(label="cat", precision=0.5, recall=1, f1=2 / 3, support=3)
        found = event_pb2.ValidationResult(epoch=epoch, classes=[score], metrics={"accuracy": 0.5})
        return self.event(TRAINING, validation=found)

    def checkpoint(self, epoch: int, accuracy: float = 0.5, *, resumable: bool = True) -> run_pb2.RunEvent:
        """A checkpoint whose id is ``{run}-{epoch}``."""
        identity = f"{self.run.run_id[-12:]}-{epoch}"
        file = checkpoint_pb2.CheckpointFile(name="weights.safetensors", size_bytes=10, sha256=WEIGHTS)
        checkpoint = checkpoint_pb2.Checkpoint(
            id=identity,
            job_id=self.run.job_id,
            run_id=self.run.run_id,
            epoch=epoch,
            metrics={"accuracy": accuracy},
            files=[file],
            storage_path=keys.checkpoint_prefix(self.run.project_id, self.run.job_id, identity),
            size_bytes=10,
            digest=DIGEST,
            resumable=resumable,
            create_time=now_timestamp(),
        )
        return self.event(AGENT, checkpoint=checkpoint)

    def line(self, message: str, level: event_pb2.LogLevel = event_pb2.LOG_LEVEL_INFO) -> run_pb2.RunEvent:
        return self.event(LOG, log=event_pb2.LogLine(level=level, message=message, source="stdout"))

    def resources(self, **use: Any) -> run_pb2.RunEvent:
        return self.event(AGENT, resource_use=event_pb2.ResourceUse(**use))

    def end(self, outcome: str = "COMPLETED", reason: str = "", **metadata: str) -> run_pb2.RunEvent:
        failure = common_pb2.Failure(reason=reason, message=f"it was {reason}", metadata=metadata) if reason else None
        return self.event(AGENT, end=run_pb2.RunEnd(outcome=f"ATTEMPT_OUTCOME_{outcome}", failure=failure))


class Connection:
    """One stream of an agent. ``commands`` collects what it was told while it waited for something else."""

    def __init__(self, mesh_address: str, run: run_pb2.RunSpec, token: str) -> None:
        self.run = run
        self.commands: list[int] = []
        self._channel = open_mesh_channel(mesh_address, token)
        self._call = telemetry_service_pb2_grpc.TelemetryServiceStub(self._channel).PublishEvents()

    async def hello(self) -> Positions:
        """What is durable, once the gateway has greeted back."""
        await self.say_hello()
        return await self.acknowledged()

    async def say_hello(self) -> None:
        hello = telemetry_pb2.RunHello(run_id=self.run.run_id, job_id=self.run.job_id)
        await self.write(telemetry_pb2.PublishEventsRequest(hello=hello))

    async def send(self, *events: run_pb2.RunEvent) -> Positions:
        """What is durable after these events."""
        await self.post(*events)
        return await self.acknowledged()

    async def post(self, *events: run_pb2.RunEvent) -> None:
        """Send events and wait for nothing."""
        await self.write(telemetry_pb2.PublishEventsRequest(batch=telemetry_pb2.EventBatch(events=events)))

    async def heartbeat(self) -> Positions:
        await self.beat()
        return await self.acknowledged()

    async def beat(self) -> None:
        """Give a sign of life and wait for nothing."""
        await self.write(telemetry_pb2.PublishEventsRequest(heartbeat=telemetry_pb2.AgentHeartbeat()))

    async def write(self, request: telemetry_pb2.PublishEventsRequest) -> None:
        """Send a message. Into a stream that the gateway has ended it falls silently: reading tells why it ended."""
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # ended before it, or while it is written
            await self._call.write(request)

    async def acknowledged(self) -> Positions:
        """The next acknowledgement."""
        while True:
            answer = await self.read()
            if answer.HasField("acknowledgement"):
                return {item.source: item.source_sequence for item in answer.acknowledgement.positions}
            self.commands.append(answer.command)

    async def told(self) -> int:
        """The next command."""
        while not self.commands:
            answer = await self.read()
            if not answer.HasField("acknowledgement"):
                self.commands.append(answer.command)
        return self.commands.pop(0)

    async def read(self) -> telemetry_pb2.PublishEventsResponse:
        """The next answer. Raises the call's error when it fails, EOFError when it ends well."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await self._call.read()
        if not isinstance(answer, telemetry_pb2.PublishEventsResponse):
            raise EOFError("the gateway closed the stream")
        return answer

    async def refusal(self) -> grpc.aio.AioRpcError:
        """The error that the stream ends with."""
        try:
            while True:
                await self.read()
        except grpc.aio.AioRpcError as error:
            return error

    async def cut(self) -> None:
        """Break off, as a machine that loses its network does."""
        self._call.cancel()
        await self._channel.close()
