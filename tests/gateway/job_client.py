"""One account's calls of TrainingService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from storage.database.engine import Database
from storage.database.events import EventRepository
from tests.gateway.conftest import Account
from tests.gateway.job_gateway import open_channel
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2, training_service_pb2_grpc

PATIENCE_SECONDS = 20.0


class HasAddress(Protocol):
    """A gateway, in this process or another."""

    @property
    def address(self) -> str:
        """Where its public services are."""
        ...


def short(state: int) -> str:
    """A state without its prefix."""
    return job_state_pb2.JobState.Name(state).removeprefix("JOB_STATE_")


class JobClient:
    """Calls in the name of one account; ``dataset_id`` is what its jobs train on unless told otherwise."""

    def __init__(self, gateway: HasAddress, account: Account, dataset_id: str) -> None:
        self.dataset_id = dataset_id
        self.metadata = account.metadata
        self.channel = open_channel(gateway.address)
        self.stub: training_service_pb2_grpc.TrainingServiceAsyncStub = training_service_pb2_grpc.TrainingServiceStub(
            self.channel
        )

    def spec(self, **fields: Any) -> training_pb2.TrainingJobSpec:
        """A spec that is good but for ``fields``."""
        good = {"framework": "counters", "model_name": "count_a", "dataset_id": self.dataset_id, "epochs": 100}
        return training_pb2.TrainingJobSpec(**{**good, **fields})

    async def create(
        self, spec: training_pb2.TrainingJobSpec | None = None, *, request_id: str = "", validate_only: bool = False
    ) -> training_pb2.TrainingJob:
        request = training_pb2.CreateJobRequest(
            job=spec or self.spec(), request_id=request_id, validate_only=validate_only
        )
        return (await self.stub.CreateJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)).job

    async def start(self, job_id: str, **fields: Any) -> training_pb2.TrainingJob:
        request = training_pb2.StartJobRequest(job_id=job_id, **fields)
        return (await self.stub.StartJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)).job

    async def stop(self, job_id: str) -> training_pb2.TrainingJob:
        request = training_pb2.StopJobRequest(job_id=job_id)
        return (await self.stub.StopJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)).job

    async def get(self, job_id: str) -> training_pb2.TrainingJob:
        request = training_pb2.GetJobRequest(job_id=job_id)
        return (await self.stub.GetJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)).job

    async def state(self, job_id: str) -> str:
        return short((await self.get(job_id)).state)

    async def until(self, job_id: str, holds: Callable[[training_pb2.TrainingJob], bool]) -> training_pb2.TrainingJob:
        """The job as soon as ``holds``. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds(job := await self.get(job_id)):  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.02)
        return job

    async def until_state(self, job_id: str, state: str) -> training_pb2.TrainingJob:
        return await self.until(job_id, lambda job: short(job.state) == state)

    async def jobs(self, **fields: Any) -> training_pb2.ListJobsResponse:
        request = training_pb2.ListJobsRequest(**fields)
        return await self.stub.ListJobs(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    async def update(self, job_id: str, *paths: str, **fields: Any) -> training_pb2.TrainingJob:
        """What the mask names is taken from ``fields`` of the spec."""
        request = training_pb2.UpdateJobRequest(
            job_id=job_id, job=training_pb2.TrainingJobSpec(**fields), update_mask=FieldMask(paths=paths)
        )
        return (await self.stub.UpdateJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)).job

    async def delete(self, job_id: str) -> None:
        request = training_pb2.DeleteJobRequest(job_id=job_id)
        await self.stub.DeleteJob(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    async def download(self, job_id: str, **fields: Any) -> tuple[training_pb2.DownloadCheckpointResponse, bytes]:
        """The first message of a download, and the bytes behind it."""
        request = training_pb2.DownloadCheckpointRequest(job_id=job_id, **fields)
        call = self.stub.DownloadCheckpoint(request, metadata=self.metadata, timeout=60)
        first, *rest = [answer async for answer in answers_of(call)]
        assert not first.chunk and all(0 < len(answer.chunk) <= 1 << 20 for answer in rest)
        return first, b"".join(answer.chunk for answer in rest)

    async def metrics(self, job_id: str, **fields: Any) -> training_pb2.ListMetricsResponse:
        request = training_pb2.ListMetricsRequest(job_id=job_id, **fields)
        return await self.stub.ListMetrics(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    async def logs(self, job_id: str, **fields: Any) -> training_pb2.ListLogsResponse:
        request = training_pb2.ListLogsRequest(job_id=job_id, **fields)
        return await self.stub.ListLogs(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    async def attempts(self, job_id: str, **fields: Any) -> training_pb2.ListAttemptsResponse:
        request = training_pb2.ListAttemptsRequest(job_id=job_id, **fields)
        return await self.stub.ListAttempts(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    async def checkpoints(self, job_id: str, **fields: Any) -> training_pb2.ListCheckpointsResponse:
        request = training_pb2.ListCheckpointsRequest(job_id=job_id, **fields)
        return await self.stub.ListCheckpoints(request, metadata=self.metadata, timeout=PATIENCE_SECONDS)

    def watch(self, job_id: str, **fields: Any) -> Any:
        """A running call of WatchJob."""
        request = training_pb2.WatchJobRequest(job_id=job_id, **fields)
        return self.stub.WatchJob(request, metadata=self.metadata, timeout=60)

    async def events(self, job_id: str, **fields: Any) -> list[event_pb2.JobEvent]:
        """All events that a watch gives until it ends by itself."""
        return [event async for event in events_of(self.watch(job_id, **fields))]


async def answers_of(call: Any) -> AsyncIterator[Any]:
    """What a stream answers from here on until it ends; a test may have read from it before."""
    while (answer := await call.read()) is not grpc.aio.EOF:
        yield answer


async def events_of(call: Any) -> AsyncIterator[event_pb2.JobEvent]:
    """The events of a watch until it ends, without its heartbeats."""
    while isinstance(answer := await call.read(), training_pb2.WatchJobResponse):
        if answer.HasField("event"):
            yield answer.event


async def take(call: Any, count: int) -> list[event_pb2.JobEvent]:
    """The next ``count`` events of a watch that goes on."""
    taken: list[event_pb2.JobEvent] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(taken) < count:
            answer = await call.read()
            if answer.HasField("event"):
                taken.append(answer.event)
    return taken


async def log_of(database: Database, job_id: str) -> list[event_pb2.JobEvent]:
    """The whole log as the database has it."""
    stored = await database.read(lambda session: EventRepository(session).page(job_id, 0, 100_000))
    return [event_pb2.JobEvent.FromString(event.payload) for event in stored]


def transitions(events: list[event_pb2.JobEvent]) -> list[tuple[str, str]]:
    """The changes of state in a log, in order."""
    changes = [event.state_change for event in events if event.HasField("state_change")]
    return [(short(change.from_state), short(change.to_state)) for change in changes]


def kinds(events: list[event_pb2.JobEvent]) -> list[str]:
    """Names of the events' payloads."""
    return [event.WhichOneof("payload") or "" for event in events]
