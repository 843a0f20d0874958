"""A stand-in for TrainingService, in memory. It can be told to break watches."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from google.rpc import code_pb2

from tests.cli.refusing import authenticate, refuse
from visionmesh.v1 import (
    checkpoint_pb2,
    common_pb2,
    event_pb2,
    job_state_pb2,
    training_pb2,
    training_service_pb2_grpc,
)

KILLED = common_pb2.Failure(reason="TRAINING_PROCESS_KILLED", message="The training process was ended by SIGKILL.")

WatchRequest: TypeAlias = (
    training_pb2.WatchJobRequest | training_pb2.WatchMetricsRequest | training_pb2.WatchLogsRequest
)


@dataclass
class Training(training_service_pb2_grpc.TrainingServiceServicer):
    """Keeps jobs and their events. A watch tells what is there and ends with the job; ``break_every`` breaks each
    connection after so many events, ``hang`` lets watches wait for more, ``get_job_breaks`` so many times an ended job
    cannot be had. ``removed_through`` refuses older places; with ``restarts`` a job is killed and goes on."""

    jobs: dict[str, training_pb2.TrainingJob] = field(default_factory=dict)
    events: dict[str, list[event_pb2.JobEvent]] = field(default_factory=dict)
    specs: list[training_pb2.TrainingJobSpec] = field(default_factory=list)
    outcome: job_state_pb2.JobState = job_state_pb2.JOB_STATE_COMPLETED
    break_every: int | None = None
    removed_through: int = 0
    hang: bool = False
    get_job_breaks: int = 0
    watches: list[int | None] = field(default_factory=list)
    image_requests: list[training_pb2.ListValidationImagesRequest] = field(default_factory=list)
    images: list[training_pb2.ValidationImage] | None = None
    starts: list[training_pb2.StartJobRequest] = field(default_factory=list)
    updates: list[training_pb2.UpdateJobRequest] = field(default_factory=list)
    checkpoint: bytes = b"weights " * 400_000
    downloads: list[training_pb2.DownloadCheckpointRequest] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)  # bytes after which a download breaks, each once
    tamper: bool = False
    restarts: bool = False
    # The places in the queue that GetJob gives a queued job, one after the other; until then nothing happens to it.
    places: list[int] = field(default_factory=list)

    def _find(self, job_id: str, context: grpc.ServicerContext) -> training_pb2.TrainingJob:
        authenticate(context)
        if job_id not in self.jobs:
            refuse(context, code_pb2.NOT_FOUND, "JOB_NOT_FOUND", f"No job {job_id!r}.", metadata={"job_id": job_id})
        return self.jobs[job_id]

    def CreateJob(
        self, request: training_pb2.CreateJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.CreateJobResponse:
        authenticate(context)
        spec = request.job
        if spec.model_name == "resnet":
            violations = {"job.model_name": "unknown; did you mean resnet18?"}
            refuse(context, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "1 field is wrong.", violations)
        self.specs.append(spec)
        job = training_pb2.TrainingJob(
            id=f"j{len(self.jobs) + 1}",
            framework=spec.framework,
            dataset_id=spec.dataset_id,
            model_name=spec.model_name,
            epochs=spec.epochs,
            dataset_view=spec.dataset_view,
            state=job_state_pb2.JOB_STATE_PENDING,
            primary_metric="accuracy",
            advanced_config=spec.advanced_config,
        )
        if request.validate_only:
            job.id = ""
        else:
            self.jobs[job.id] = job
        return training_pb2.CreateJobResponse(job=job)

    def StartJob(
        self, request: training_pb2.StartJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.StartJobResponse:
        job = self._find(request.job_id, context)
        if job.state == job_state_pb2.JOB_STATE_COMPLETED:
            detail = {"from": "COMPLETED", "to": "QUEUED"}
            refuse(
                context,
                code_pb2.FAILED_PRECONDITION,
                "INVALID_STATE_TRANSITION",
                "The job has completed.",
                metadata=detail,
            )
        self.starts.append(request)
        job.state = job_state_pb2.JOB_STATE_QUEUED
        self.events[job.id] = list(story(job.id, job.epochs, self.outcome, restarts=self.restarts))
        return training_pb2.StartJobResponse(job=job)

    def StopJob(
        self, request: training_pb2.StopJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.StopJobResponse:
        job = self._find(request.job_id, context)
        job.state = job_state_pb2.JOB_STATE_STOPPING
        return training_pb2.StopJobResponse(job=job)

    def GetJob(self, request: training_pb2.GetJobRequest, context: grpc.ServicerContext) -> training_pb2.GetJobResponse:
        job = self._find(request.job_id, context)
        if self.get_job_breaks and job.state == self.outcome:
            self.get_job_breaks -= 1
            refuse(context, code_pb2.UNAVAILABLE, "SHUTTING_DOWN", "The server is draining.")
        if self.places and job.state == job_state_pb2.JOB_STATE_QUEUED:
            job.queue_position = self.places.pop(0)
        return training_pb2.GetJobResponse(job=job)

    def ListJobs(
        self, request: training_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListJobsResponse:
        authenticate(context)
        return training_pb2.ListJobsResponse(jobs=self.jobs.values(), total_size=len(self.jobs))

    def _told(self, request: WatchRequest, context: grpc.ServicerContext) -> Iterator[event_pb2.JobEvent]:
        job = self._find(request.job_id, context)
        after = request.after_sequence if request.HasField("after_sequence") else None
        self.watches.append(after)
        if after is not None and after < self.removed_through:
            oldest = {"oldest_sequence": str(self.removed_through + 1)}
            refuse(context, code_pb2.OUT_OF_RANGE, "SEQUENCE_EXPIRED", "Some are no longer kept.", metadata=oldest)
        while self.places and context.is_active():
            time.sleep(0.01)
        for told, event in enumerate(event for event in self.events[job.id] if event.sequence > (after or 0)):
            if told == self.break_every:
                refuse(context, code_pb2.UNAVAILABLE, "SHUTTING_DOWN", "The server is draining.")
            yield event
        while self.hang and context.is_active():
            time.sleep(0.01)
        if not context.is_active():
            return  # the client, or this server, has gone
        job.state = self.outcome
        if self.outcome == job_state_pb2.JOB_STATE_FAILED:
            job.failure.CopyFrom(common_pb2.Failure(reason="TRAINING_DIVERGED", message="The loss became NaN."))
        job.best_metric = 0.975
        job.attempt, job.restarts, job.max_restarts = (2, 1, 2) if self.restarts else (1, 0, 2)

    def WatchJob(
        self, request: training_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.WatchJobResponse]:
        for event in self._told(request, context):
            yield training_pb2.WatchJobResponse(heartbeat=event_pb2.Heartbeat(last_sequence=99))
            yield training_pb2.WatchJobResponse(event=event)

    def WatchMetrics(
        self, request: training_pb2.WatchMetricsRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.WatchMetricsResponse]:
        for event in self._told(request, context):
            if event.HasField("metric"):
                yield training_pb2.WatchMetricsResponse(metric=event.metric)

    def WatchLogs(
        self, request: training_pb2.WatchLogsRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.WatchLogsResponse]:
        for event in self._told(request, context):
            if event.HasField("log") and event.log.level >= request.minimum_level:
                yield training_pb2.WatchLogsResponse(log=event.log)

    def ListMetrics(
        self, request: training_pb2.ListMetricsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListMetricsResponse:
        job = self._find(request.job_id, context)
        ended = job.state == self.outcome
        metrics = [event.metric for event in self.events.get(job.id, []) if event.HasField("metric")] if ended else []
        return training_pb2.ListMetricsResponse(metrics=metrics, total_size=len(metrics))

    def ListLogs(
        self, request: training_pb2.ListLogsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListLogsResponse:
        job = self._find(request.job_id, context)
        lines = [event.log for event in self.events.get(job.id, []) if event.HasField("log")]
        return training_pb2.ListLogsResponse(lines=[line for line in lines if line.level >= request.minimum_level])

    def UpdateJob(
        self, request: training_pb2.UpdateJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.UpdateJobResponse:
        job = self._find(request.job_id, context)
        self.updates.append(request)
        return training_pb2.UpdateJobResponse(job=job)

    def DeleteJob(
        self, request: training_pb2.DeleteJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.DeleteJobResponse:
        job = self._find(request.job_id, context)
        if job.state == job_state_pb2.JOB_STATE_QUEUED:
            detail = {"state": "QUEUED"}
            refuse(context, code_pb2.FAILED_PRECONDITION, "JOB_IN_USE", "Stop it first.", metadata=detail)
        del self.jobs[job.id]
        return training_pb2.DeleteJobResponse()

    def DownloadCheckpoint(
        self, request: training_pb2.DownloadCheckpointRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.DownloadCheckpointResponse]:
        self._find(request.job_id, context)
        self.downloads.append(request)
        file = checkpoint_pb2.CheckpointFile(
            name=request.file_name or "weights.safetensors",
            size_bytes=len(self.checkpoint),
            sha256=hashlib.sha256(self.checkpoint).hexdigest(),
        )
        yield training_pb2.DownloadCheckpointResponse(file=file, checkpoint_id=request.checkpoint_id or "c1", epoch=2)
        end = self.breaks.pop(0) if self.breaks else len(self.checkpoint)
        for start in range(request.offset, end, 1 << 20):
            chunk = self.checkpoint[start : min(start + (1 << 20), end)]
            yield training_pb2.DownloadCheckpointResponse(chunk=chunk[::-1] if self.tamper else chunk)
        if end < len(self.checkpoint):
            refuse(context, code_pb2.UNAVAILABLE, "SHUTTING_DOWN", "The server is draining.")

    def ListAttempts(
        self, request: training_pb2.ListAttemptsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListAttemptsResponse:
        """One attempt on each page."""
        job = self._find(request.job_id, context)
        first = training_pb2.Attempt(
            attempt=1,
            trainer_address="127.0.0.1:7",
            first_epoch=1,
            outcome=event_pb2.ATTEMPT_OUTCOME_FAILED,
            failure=KILLED,
        )
        second = training_pb2.Attempt(attempt=2, trainer_address="127.0.0.1:8", first_epoch=2)
        every = [first, second][: job.attempt]
        place = int(request.page_token or 0)
        return training_pb2.ListAttemptsResponse(
            attempts=every[place : place + 1],
            next_page_token=str(place + 1) if place + 1 < len(every) else "",
            total_size=len(every),
        )

    def ListCheckpoints(
        self, request: training_pb2.ListCheckpointsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListCheckpointsResponse:
        job = self._find(request.job_id, context)
        checkpoint = checkpoint_pb2.Checkpoint(
            id="c1",
            job_id=job.id,
            epoch=2,
            is_best=True,
            size_bytes=1 << 21,
            digest="ab" * 32,
            metrics={"accuracy": 0.9},
        )
        return training_pb2.ListCheckpointsResponse(checkpoints=[checkpoint], total_size=1)

    def ListValidationResults(
        self, request: training_pb2.ListValidationResultsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListValidationResultsResponse:
        job = self._find(request.job_id, context)
        results = [
            event_pb2.ValidationResult(
                epoch=epoch,
                classes=[
                    event_pb2.ClassScore(label=label, precision=epoch / 10, recall=0.5, f1=0.25, support=7)
                    for label in ("cat", "dog")
                ],
                confusion_matrix=[event_pb2.ConfusionRow(counts=counts) for counts in ([2, 5], [0, 7])],
                metrics={"accuracy": epoch / 10},
            )
            for epoch in range(1, job.epochs + 1)
            if request.epoch in (0, epoch)
        ]
        return training_pb2.ListValidationResultsResponse(
            results=results, class_names=["cat", "dog"], total_size=len(results), best_epoch=2
        )

    def ListValidationImages(
        self, request: training_pb2.ListValidationImagesRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListValidationImagesResponse:
        """Four images, every other one right, or ``images``; two on a page."""
        job = self._find(request.job_id, context)
        self.image_requests.append(request)
        if job.state == job_state_pb2.JOB_STATE_RUNNING:
            refuse(context, code_pb2.FAILED_PRECONDITION, "NO_CHECKPOINT", "Job j1 has no checkpoint yet.")
        every = [
            training_pb2.ValidationImage(
                path=f"val/cat/{number}.png",
                label="cat",
                predictions=[training_pb2.LabelScore(label="cat" if number % 2 else "dog", confidence=0.75)],
                correct=number % 2 == 1,
                loss=number / 4,
            )
            for number in range(4)
        ]
        if self.images is not None:
            every = self.images
        found = [image for image in every if not request.HasField("correct") or image.correct is request.correct]
        first = int(request.page_token or 0)
        return training_pb2.ListValidationImagesResponse(
            images=found[first : first + 2],
            next_page_token=str(first + 2) if first + 2 < len(found) else "",
            total_size=len(found),
        )


def story(
    job_id: str, epochs: int, outcome: job_state_pb2.JobState, *, restarts: bool = False
) -> Iterator[event_pb2.JobEvent]:
    """The events of a small job, from QUEUED to its end, numbered from 1.

    With ``restarts`` it is killed after its first epoch, and goes on.
    """
    payloads: list[event_pb2.JobEvent] = [
        _state(job_state_pb2.JOB_STATE_PREPARING),
        event_pb2.JobEvent(preparation=event_pb2.Preparation(message="fetching the dataset", done=1, total=2)),
        event_pb2.JobEvent(log=event_pb2.LogLine(message="cpu", level=event_pb2.LOG_LEVEL_INFO, source="training")),
        _state(job_state_pb2.JOB_STATE_RUNNING),
        event_pb2.JobEvent(training_start=event_pb2.TrainingStart(device="cpu", total_epochs=epochs, start_epoch=1)),
    ]
    for epoch in range(1, epochs + 1):
        if restarts and epoch == 2:
            payloads += _restart()
        payloads.append(event_pb2.JobEvent(progress=event_pb2.TrainingProgress(epoch=epoch, step=5, steps=10)))
        metric = event_pb2.MetricPoint(epoch=epoch, loss=1 / epoch, accuracy=0.9, learning_rate=0.004)
        metric.extra_metrics["val_loss"] = 0.5
        payloads.append(event_pb2.JobEvent(metric=metric))
    payloads.append(_state(outcome))
    for sequence, event in enumerate(payloads, start=1):
        event.sequence, event.job_id = sequence, job_id
        if event.HasField("metric"):
            event.metric.sequence = sequence
        if event.HasField("log"):
            event.log.sequence = sequence
        yield event


def _restart() -> list[event_pb2.JobEvent]:
    end = event_pb2.AttemptEnd(attempt=1, outcome=event_pb2.ATTEMPT_OUTCOME_FAILED, failure=KILLED, restarts_left=1)
    end.next_attempt_time.FromSeconds(1_800_000_000)
    return [
        event_pb2.JobEvent(attempt_end=end),
        _state(job_state_pb2.JOB_STATE_QUEUED),
        _state(job_state_pb2.JOB_STATE_PREPARING),
        event_pb2.JobEvent(attempt_start=event_pb2.AttemptStart(attempt=2, checkpoint_id="c1")),
        event_pb2.JobEvent(roll_back=event_pb2.RollBack(to_epoch=1)),
        _state(job_state_pb2.JOB_STATE_RUNNING),
    ]


def _state(state: job_state_pb2.JobState) -> event_pb2.JobEvent:
    return event_pb2.JobEvent(state_change=event_pb2.JobStateChange(to_state=state))
