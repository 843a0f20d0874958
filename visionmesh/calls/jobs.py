"""Training jobs: create, start, stop, look at, follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from visionmesh.calls.connection import PAGE_SIZE, Connection, pages
from visionmesh.calls.following import STREAM_SECONDS, Patience, Stream, follow
from visionmesh.v1 import checkpoint_pb2, event_pb2, job_state_pb2, training_pb2, training_service_pb2_grpc

ENDED = frozenset({job_state_pb2.JOB_STATE_COMPLETED, job_state_pb2.JOB_STATE_STOPPED, job_state_pb2.JOB_STATE_FAILED})


class JobCalls(Connection):
    """Calls of ``TrainingService``."""

    def create_job(
        self, spec: training_pb2.TrainingJobSpec, *, request_id: str = "", validate_only: bool = False
    ) -> training_pb2.TrainingJob:
        """Create a job, PENDING; with ``validate_only`` only check it (the answer has no id)."""
        request = training_pb2.CreateJobRequest(job=spec, request_id=request_id, validate_only=validate_only)
        return self._unary(self._training.CreateJob, request).job

    def start_job(
        self, job_id: str, *, resume: bool = False, checkpoint_id: str = "", request_id: str = ""
    ) -> training_pb2.TrainingJob:
        """Queue a job: afresh, with ``resume`` from its last checkpoint or the one named, or as a warm start.

        ``checkpoint_id`` without ``resume`` is the warm start: a fresh training with the weights of that checkpoint, of
        this or any other job of yours with the same model.
        """
        request = training_pb2.StartJobRequest(
            job_id=job_id, resume=resume, checkpoint_id=checkpoint_id, request_id=request_id
        )
        return self._unary(self._training.StartJob, request).job

    def stop_job(self, job_id: str) -> training_pb2.TrainingJob:
        """Ask a job to stop at its next batch."""
        return self._unary(self._training.StopJob, training_pb2.StopJobRequest(job_id=job_id)).job

    def update_job(
        self,
        job_id: str,
        *,
        experiment_name: str | None = None,
        notes: str | None = None,
        tags: Sequence[str] | None = None,
        priority: int | None = None,
        every_n_epochs: int | None = None,
        keep_last: int | None = None,
    ) -> training_pb2.TrainingJob:
        """Change what is given; the rest stays. Gives the job as it is now.

        ``every_n_epochs`` and ``keep_last`` are its ``checkpoint_retention``: what is no longer kept is removed.
        """
        request = training_pb2.UpdateJobRequest(
            job_id=job_id,
            job=training_pb2.TrainingJobSpec(
                experiment_name=experiment_name,
                notes=notes,
                tags=tags,
                priority=priority,
            ),
        )
        if every_n_epochs is not None or keep_last is not None:
            kept = checkpoint_pb2.CheckpointRetention(every_n_epochs=every_n_epochs, keep_last=keep_last)
            request.job.checkpoint_retention.CopyFrom(kept)
        given = {
            "experiment_name": experiment_name,
            "notes": notes,
            "tags": tags,
            "priority": priority,
            "checkpoint_retention.every_n_epochs": every_n_epochs,
            "checkpoint_retention.keep_last": keep_last,
        }
        request.update_mask.paths.extend(path for path, value in given.items() if value is not None)
        return self._unary(self._training.UpdateJob, request).job

    def delete_job(self, job_id: str) -> None:
        """Delete a job that waits for its start or has ended, with its log, metrics and checkpoints."""
        self._unary(self._training.DeleteJob, training_pb2.DeleteJobRequest(job_id=job_id))

    def get_job(self, job_id: str) -> training_pb2.TrainingJob:
        """One job."""
        return self._unary(self._training.GetJob, training_pb2.GetJobRequest(job_id=job_id)).job

    def jobs(
        self,
        *,
        project: str = "",
        state: job_state_pb2.JobState = job_state_pb2.JOB_STATE_UNSPECIFIED,
        framework: str = "",
        tags: Sequence[str] = (),
        text: str = "",
        order: training_pb2.JobOrder = training_pb2.JOB_ORDER_UNSPECIFIED,
    ) -> Iterator[training_pb2.TrainingJob]:
        """Iterate the jobs of all pages, newest first unless ``order`` says otherwise."""

        def fetch(token: str) -> tuple[Iterable[training_pb2.TrainingJob], str]:
            request = training_pb2.ListJobsRequest(
                project_id=project,
                state=state,
                framework=framework,
                tags=tags,
                text=text,
                order=order,
                page_size=PAGE_SIZE,
                page_token=token,
            )
            answer = self._unary(self._training.ListJobs, request)
            return answer.jobs, answer.next_page_token

        return pages(fetch)

    def watch_job(
        self,
        job_id: str,
        *,
        after_sequence: int | None = None,
        kinds: Sequence[event_pb2.EventKind] = (),
        patience: Patience | None = None,
    ) -> Iterator[event_pb2.JobEvent]:
        """Iterate a job's events from the oldest kept, or after ``after_sequence``, until the job ends.

        A connection that breaks is opened again after the last event seen: no gap, no repeat.
        """

        def open_stream(after: int | None) -> Stream[training_pb2.WatchJobResponse]:
            request = training_pb2.WatchJobRequest(job_id=job_id, after_sequence=after, kinds=kinds)
            return self._training.WatchJob(request, timeout=STREAM_SECONDS, metadata=self._metadata)

        for item in follow(open_stream, _event_sequence, after_sequence, patience or Patience()):
            yield item.event

    def watch_metrics(
        self, job_id: str, *, after_sequence: int | None = None, patience: Patience | None = None
    ) -> Iterator[event_pb2.MetricPoint]:
        """Iterate a job's metrics, those kept first, then as they come; see ``watch_job``."""

        def open_stream(after: int | None) -> Stream[training_pb2.WatchMetricsResponse]:
            request = training_pb2.WatchMetricsRequest(job_id=job_id, after_sequence=after)
            return self._training.WatchMetrics(request, timeout=STREAM_SECONDS, metadata=self._metadata)

        for item in follow(open_stream, _metric_sequence, after_sequence, patience or Patience()):
            yield item.metric

    def watch_logs(
        self,
        job_id: str,
        *,
        after_sequence: int | None = None,
        minimum_level: event_pb2.LogLevel = event_pb2.LOG_LEVEL_UNSPECIFIED,
        patience: Patience | None = None,
    ) -> Iterator[event_pb2.LogLine]:
        """Iterate a job's log from ``minimum_level`` on, what is kept first, then as it comes; see ``watch_job``."""

        def open_stream(after: int | None) -> Stream[training_pb2.WatchLogsResponse]:
            request = training_pb2.WatchLogsRequest(job_id=job_id, after_sequence=after, minimum_level=minimum_level)
            return self._training.WatchLogs(request, timeout=STREAM_SECONDS, metadata=self._metadata)

        for item in follow(open_stream, _log_sequence, after_sequence, patience or Patience()):
            yield item.log

    def metrics(self, job_id: str, *, max_points: int = 0) -> Iterator[event_pb2.MetricPoint]:
        """Iterate a job's metrics by epoch; with ``max_points`` the whole run thinned to at most that many."""

        def fetch(token: str) -> tuple[Iterable[event_pb2.MetricPoint], str]:
            request = training_pb2.ListMetricsRequest(
                job_id=job_id, page_size=0 if max_points else PAGE_SIZE, page_token=token, max_points=max_points
            )
            answer = self._unary(self._training.ListMetrics, request)
            return answer.metrics, answer.next_page_token

        return pages(fetch)

    def logs(
        self, job_id: str, *, minimum_level: event_pb2.LogLevel = event_pb2.LOG_LEVEL_UNSPECIFIED
    ) -> Iterator[event_pb2.LogLine]:
        """Iterate the lines of a job's log so far from ``minimum_level`` on, oldest first."""

        def fetch(token: str) -> tuple[Iterable[event_pb2.LogLine], str]:
            request = training_pb2.ListLogsRequest(
                job_id=job_id, page_size=PAGE_SIZE, page_token=token, minimum_level=minimum_level
            )
            answer = self._unary(self._training.ListLogs, request)
            return answer.lines, answer.next_page_token

        return pages(fetch)

    def attempts(self, job_id: str) -> Iterator[training_pb2.Attempt]:
        """Iterate a job's attempts, first to last."""

        def fetch(token: str) -> tuple[Iterable[training_pb2.Attempt], str]:
            request = training_pb2.ListAttemptsRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=token)
            answer = self._unary(self._training.ListAttempts, request)
            return answer.attempts, answer.next_page_token

        return pages(fetch)

    def checkpoints(self, job_id: str) -> Iterator[checkpoint_pb2.Checkpoint]:
        """Iterate a job's checkpoints by epoch."""

        def fetch(token: str) -> tuple[Iterable[checkpoint_pb2.Checkpoint], str]:
            request = training_pb2.ListCheckpointsRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=token)
            answer = self._unary(self._training.ListCheckpoints, request)
            return answer.checkpoints, answer.next_page_token

        return pages(fetch)

    def validation_results(self, job_id: str, *, epoch: int = 0) -> Iterator[event_pb2.ValidationResult]:
        """Iterate what validations found, by epoch; with ``epoch`` only of that one."""

        def fetch(token: str) -> tuple[Iterable[event_pb2.ValidationResult], str]:
            request = training_pb2.ListValidationResultsRequest(
                job_id=job_id, epoch=epoch, page_size=PAGE_SIZE, page_token=token
            )
            answer = self._unary(self._training.ListValidationResults, request)
            return answer.results, answer.next_page_token

        return pages(fetch)

    def best_epoch(self, job_id: str) -> int:
        """Epoch of a job's best checkpoint; 0 before the first."""
        request = training_pb2.ListValidationResultsRequest(job_id=job_id, page_size=1)
        return self._unary(self._training.ListValidationResults, request).best_epoch

    def validation_images(
        self,
        job_id: str,
        *,
        checkpoint_id: str = "",
        correct: bool | None = None,
        label: str = "",
        predicted_label: str = "",
        order: training_pb2.ValidationImageOrder = training_pb2.VALIDATION_IMAGE_ORDER_UNSPECIFIED,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[training_pb2.ValidationImage]:
        """Iterate what the best checkpoint, or the one named, said of the validation images that meet every filter."""

        def fetch(token: str) -> tuple[Iterable[training_pb2.ValidationImage], str]:
            request = training_pb2.ListValidationImagesRequest(
                job_id=job_id,
                checkpoint_id=checkpoint_id,
                correct=correct,
                label=label,
                predicted_label=predicted_label,
                order=order,
                page_size=page_size,
                page_token=token,
            )
            answer = self._unary(self._training.ListValidationImages, request)
            return answer.images, answer.next_page_token

        return pages(fetch)

    @cached_property
    def _training(self) -> training_service_pb2_grpc.TrainingServiceStub:
        return training_service_pb2_grpc.TrainingServiceStub(self._channel)


def _event_sequence(item: training_pb2.WatchJobResponse) -> int | None:
    return item.event.sequence if item.HasField("event") else None


def _metric_sequence(item: training_pb2.WatchMetricsResponse) -> int | None:
    return item.metric.sequence if item.HasField("metric") else None


def _log_sequence(item: training_pb2.WatchLogsResponse) -> int | None:
    return item.log.sequence if item.HasField("log") else None
