"""TrainingService: parses, calls, converts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from operator import attrgetter
from typing import Any

import grpc

from gateway.access import caller
from gateway.enums import EVENT_KINDS, JOB_STATES, VALIDATION_IMAGE_ORDERS
from gateway.events.live import LiveEvent
from gateway.events.watching import Watcher
from gateway.paging import DEFAULT_PAGE_SIZE, page_size, page_size_violations
from gateway.training.changes import JobChanges, mask_violations
from gateway.training.checkpoint_downloads import CheckpointDownloads
from gateway.training.checks import check_spec, check_update
from gateway.training.converters import (
    attempt_message,
    checkpoint_message,
    draft_job,
    job_change,
    job_message,
    metric_message,
)
from gateway.training.reports import JobReports
from gateway.training.service import JobService
from gateway.training.validation import PATH, ImageFilter, ValidationReports
from rpc.errors import invalid_request
from rpc.server import service_name
from rpc.times import now_timestamp
from storage.database.compaction import LOG, METRIC
from storage.database.errors import InvalidPageToken
from storage.database.jobs import JobFilter
from visionmesh.errors import Violation
from visionmesh.v1 import checkpoint_pb2, event_pb2, training_pb2, training_service_pb2, training_service_pb2_grpc

REQUEST_ID_LENGTH = 200


class TrainingServicer(training_service_pb2_grpc.TrainingServiceServicer):
    """Jobs, their events, metrics, logs and checkpoints. The watches answer with encoded bytes: see ``add_to``.

    ``no_progress_seconds`` is for jobs that do not say.
    """

    def __init__(
        self,
        jobs: JobService,
        changes: JobChanges,
        reports: JobReports,
        validations: ValidationReports,
        downloads: CheckpointDownloads,
        watcher: Watcher,
        no_progress_seconds: int,
    ) -> None:
        self._no_progress_seconds = no_progress_seconds
        self._jobs = jobs
        self._changes = changes
        self._downloads = downloads
        self._reports = reports
        self._validations = validations
        self._watcher = watcher

    def add_to(self, server: grpc.aio.Server) -> None:
        """Add the service. Its watches and GetJob are registered with a serializer that passes bytes on: an event is
        encoded once for all who watch, a job once for all who ask until it changes."""
        watches: dict[str, tuple[Any, Any]] = {
            "WatchJob": (self.WatchJob, training_pb2.WatchJobRequest),
            "WatchMetrics": (self.WatchMetrics, training_pb2.WatchMetricsRequest),
            "WatchLogs": (self.WatchLogs, training_pb2.WatchLogsRequest),
        }
        handlers: dict[str, Any] = {
            name: grpc.unary_stream_rpc_method_handler(
                behaviour, request_deserializer=request.FromString, response_serializer=_pass_on
            )
            for name, (behaviour, request) in watches.items()
        }
        handlers["GetJob"] = grpc.unary_unary_rpc_method_handler(
            self.GetJob, request_deserializer=training_pb2.GetJobRequest.FromString, response_serializer=_pass_on
        )
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(self, server)
        # Of two handlers of a method the last one registered serves it.
        server.add_registered_method_handlers(service_name(training_service_pb2.DESCRIPTOR), handlers)

    async def CreateJob(self, request: training_pb2.CreateJobRequest, context: Any) -> training_pb2.CreateJobResponse:
        violations = check_spec(request.job) + _request_id_violations(request.request_id)
        job = await self._jobs.create(
            caller(),
            draft_job(request.job, caller().user_id, self._no_progress_seconds),
            request.job.advanced_config,
            violations,
            request=request,
            validate_only=request.validate_only,
        )
        return training_pb2.CreateJobResponse(job=job_message(job))

    async def StartJob(self, request: training_pb2.StartJobRequest, context: Any) -> training_pb2.StartJobResponse:
        if violations := _request_id_violations(request.request_id):
            raise invalid_request(violations)
        job = await self._jobs.start(caller(), request.job_id, request.resume, request.checkpoint_id, request)
        return training_pb2.StartJobResponse(job=job_message(job))

    async def StopJob(self, request: training_pb2.StopJobRequest, context: Any) -> training_pb2.StopJobResponse:
        return training_pb2.StopJobResponse(job=job_message(await self._jobs.stop(caller(), request.job_id)))

    async def GetJob(self, request: training_pb2.GetJobRequest, context: Any) -> bytes:  # type: ignore[override]
        user = caller()

        async def read() -> bytes:
            job = await self._jobs.get(user, request.job_id)
            if job.state == "QUEUED":
                self._jobs.encoded.forget(job.id)  # not kept: its place changes with other jobs
            return training_pb2.GetJobResponse(job=job_message(job)).SerializeToString()

        return await self._jobs.encoded.get(request.job_id, user.user_id, read)

    async def ListJobs(self, request: training_pb2.ListJobsRequest, context: Any) -> training_pb2.ListJobsResponse:
        violations = page_size_violations(request.page_size)
        state = JOB_STATES.name(request.state)
        if state is None:
            violations.append(Violation("state", f"{request.state} is not a state of a job"))
        if request.order not in training_pb2.JobOrder.values():
            violations.append(Violation("order", f"{request.order} is not an order"))
        if violations:
            raise invalid_request(violations)
        filters = JobFilter(request.project_id, state or "", request.framework, tuple(request.tags), request.text)
        newest_first = request.order != training_pb2.JOB_ORDER_OLDEST_FIRST
        with _page_token_errors():
            size = request.page_size or DEFAULT_PAGE_SIZE
            page = await self._jobs.list(caller(), filters, newest_first, size, request.page_token)
        return training_pb2.ListJobsResponse(
            jobs=[job_message(job) for job in page.items],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    async def WatchJob(self, request: training_pb2.WatchJobRequest, context: Any) -> None:  # type: ignore[override]
        kinds = {EVENT_KINDS.name(kind) for kind in request.kinds} - {""}
        if None in kinds:
            raise invalid_request([Violation("kinds", "holds a number that is not an EventKind")])
        known = {kind for kind in kinds if kind is not None}
        await self._tell(request, known, context, attrgetter("watch_job"), training_pb2.WatchJobResponse)

    async def WatchMetrics(self, request: training_pb2.WatchMetricsRequest, context: Any) -> None:  # type: ignore[override]
        await self._tell(request, {METRIC}, context, attrgetter("watch_metrics"), training_pb2.WatchMetricsResponse)

    async def WatchLogs(self, request: training_pb2.WatchLogsRequest, context: Any) -> None:  # type: ignore[override]
        level = request.minimum_level
        if violations := _level_violations(level):
            raise invalid_request(violations)
        wanted = (lambda event: event.log_level >= level) if level else None
        tell, response = attrgetter("watch_logs"), training_pb2.WatchLogsResponse
        await self._tell(request, {LOG}, context, tell, response, wanted)

    async def ListMetrics(
        self, request: training_pb2.ListMetricsRequest, context: Any
    ) -> training_pb2.ListMetricsResponse:
        violations = page_size_violations(request.page_size)
        if request.max_points and (request.page_size or request.page_token):
            violations.append(Violation("max_points", "does not go together with page_size or page_token"))
        if request.max_points and request.max_points < 2:
            violations.append(Violation("max_points", f"must be 2 or more (or 0), not {request.max_points}"))
        if violations:
            raise invalid_request(violations)
        with _page_token_errors():
            if request.max_points:
                page = await self._reports.thinned_metrics(caller(), request.job_id, request.max_points)
            else:
                size = request.page_size or DEFAULT_PAGE_SIZE
                page = await self._reports.metrics(caller(), request.job_id, size, request.page_token)
        return training_pb2.ListMetricsResponse(
            metrics=[metric_message(metric) for metric in page.items],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    async def ListLogs(self, request: training_pb2.ListLogsRequest, context: Any) -> training_pb2.ListLogsResponse:
        if violations := page_size_violations(request.page_size) + _level_violations(request.minimum_level):
            raise invalid_request(violations)
        size = request.page_size or DEFAULT_PAGE_SIZE
        with _page_token_errors():
            page = await self._reports.logs(caller(), request.job_id, request.minimum_level, size, request.page_token)
        return training_pb2.ListLogsResponse(lines=page.items, next_page_token=page.next_page_token)

    async def ListAttempts(
        self, request: training_pb2.ListAttemptsRequest, context: Any
    ) -> training_pb2.ListAttemptsResponse:
        size = page_size(request.page_size)
        with _page_token_errors():
            page = await self._reports.attempts(caller(), request.job_id, size, request.page_token)
        return training_pb2.ListAttemptsResponse(
            attempts=[attempt_message(run) for run in page.items],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    async def ListCheckpoints(
        self, request: training_pb2.ListCheckpointsRequest, context: Any
    ) -> training_pb2.ListCheckpointsResponse:
        size = page_size(request.page_size)
        with _page_token_errors():
            page = await self._reports.checkpoints(caller(), request.job_id, size, request.page_token)
        return training_pb2.ListCheckpointsResponse(
            checkpoints=[checkpoint_message(checkpoint) for checkpoint in page.items],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    async def UpdateJob(self, request: training_pb2.UpdateJobRequest, context: Any) -> training_pb2.UpdateJobResponse:
        change = job_change(request)
        fields = [field.name for field in request.job.DESCRIPTOR.fields]
        violations = mask_violations(change.paths, fields, masked=bool(request.update_mask.paths))
        violations += check_update(request.job, change.paths)
        job = await self._changes.update(caller(), request.job_id, change, violations)
        return training_pb2.UpdateJobResponse(job=job_message(job))

    async def DeleteJob(self, request: training_pb2.DeleteJobRequest, context: Any) -> training_pb2.DeleteJobResponse:
        await self._changes.delete(caller(), request.job_id)
        return training_pb2.DeleteJobResponse()

    async def DownloadCheckpoint(
        self, request: training_pb2.DownloadCheckpointRequest, context: Any
    ) -> AsyncIterator[training_pb2.DownloadCheckpointResponse]:
        file = await self._downloads.file(
            caller(), request.job_id, request.checkpoint_id, request.file_name, request.offset
        )
        yield training_pb2.DownloadCheckpointResponse(
            file=checkpoint_pb2.CheckpointFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256),
            checkpoint_id=file.checkpoint.id,
            epoch=file.checkpoint.epoch,
        )
        async with aclosing(self._downloads.chunks(caller(), file, request.offset)) as chunks:
            async for chunk in chunks:
                yield training_pb2.DownloadCheckpointResponse(chunk=chunk)

    async def ListValidationResults(
        self, request: training_pb2.ListValidationResultsRequest, context: Any
    ) -> training_pb2.ListValidationResultsResponse:
        violations = page_size_violations(request.page_size)
        if request.epoch < 0:
            violations.append(Violation("epoch", f"must be 1 or more (or 0 for all), not {request.epoch}"))
        if violations:
            raise invalid_request(violations)
        size = request.page_size or DEFAULT_PAGE_SIZE
        with _page_token_errors():
            found = await self._validations.results(caller(), request.job_id, request.epoch, size, request.page_token)
        return training_pb2.ListValidationResultsResponse(
            results=found.results.items,
            class_names=found.class_names,
            next_page_token=found.results.next_page_token,
            total_size=found.results.total_size,
            best_epoch=found.best_epoch,
        )

    async def ListValidationImages(
        self, request: training_pb2.ListValidationImagesRequest, context: Any
    ) -> training_pb2.ListValidationImagesResponse:
        violations = page_size_violations(request.page_size)
        order = VALIDATION_IMAGE_ORDERS.name(request.order)
        if order is None:
            violations.append(Violation("order", f"{request.order} is not an order"))
        if violations:
            raise invalid_request(violations)
        filters = ImageFilter(
            correct=request.correct if request.HasField("correct") else None,
            label=request.label,
            predicted_label=request.predicted_label,
            order=order or PATH,
        )
        size = request.page_size or DEFAULT_PAGE_SIZE
        with _page_token_errors():
            found = await self._validations.images(
                caller(), request.job_id, request.checkpoint_id, filters, size, request.page_token
            )
        return training_pb2.ListValidationImagesResponse(
            images=found.images.items,
            next_page_token=found.images.next_page_token,
            total_size=found.images.total_size,
            checkpoint_id=found.checkpoint_id,
            epoch=found.epoch,
        )

    async def _tell(
        self,
        request: Any,
        kinds: set[str],
        context: Any,
        encoded: Callable[[LiveEvent], bytes],
        response: Any,
        wanted: Callable[[LiveEvent], bool] | None = None,
    ) -> None:
        """Write a watch to its end. Not as a generator, and in a task of its own: each coroutine that a message passes
        through, and that of every interceptor is one, costs some of what it takes to send one."""
        after = request.after_sequence if request.HasField("after_sequence") else None

        async def write_all(write: Callable[[bytes], Awaitable[None]]) -> None:
            async with aclosing(self._watcher.watch(request.job_id, caller().user_id, after, kinds, wanted)) as watch:
                async for told in watch:
                    if isinstance(told, int):
                        await write(response(heartbeat=_heartbeat(told)).SerializeToString())
                        continue
                    for event in told:
                        await write(encoded(event))

        await asyncio.create_task(write_all(context.write))


def _pass_on(encoded: bytes) -> bytes:
    return encoded


def _heartbeat(last_sequence: int) -> event_pb2.Heartbeat:
    return event_pb2.Heartbeat(last_sequence=last_sequence, time=now_timestamp())


def _level_violations(level: int) -> list[Violation]:
    if level in event_pb2.LogLevel.values():
        return []
    return [Violation("minimum_level", f"{level} is not a level of a log line")]


def _request_id_violations(request_id: str) -> list[Violation]:
    if len(request_id) <= REQUEST_ID_LENGTH:
        return []
    return [Violation("request_id", f"must have at most {REQUEST_ID_LENGTH} characters, not {len(request_id)}")]


@contextmanager
def _page_token_errors() -> Iterator[None]:
    """Turns InvalidPageToken into the violation that names the field."""
    try:
        yield
    except InvalidPageToken as error:
        raise invalid_request([Violation("page_token", str(error))]) from error
