"""Training jobs between the protos and the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format

from gateway.enums import ATTEMPT_OUTCOMES, DATASET_FORMATS, DATASET_VIEWS, JOB_STATES, METRIC_MODES, TASK_TYPES
from gateway.training.changes import JobChange
from gateway.training.restarts import DEFAULT_MAX_RESTARTS
from rpc.times import to_timestamp
from storage.database.tables import Checkpoint, Metric, Run, TrainingJob, ValidationResult
from visionmesh.v1 import checkpoint_pb2, common_pb2, event_pb2, training_pb2

DEFAULT_BATCH_SIZE = 32
DEFAULT_LEARNING_RATE = 1e-3


def draft_job(spec: training_pb2.TrainingJobSpec, user_id: str, no_progress_seconds: int) -> TrainingJob:
    """The job that a checked spec asks for, before dataset and trainer have filled in the rest. Not stored yet.

    ``no_progress_seconds`` is for one that does not say.
    """
    return TrainingJob(
        user_id=user_id,
        project_id=spec.project_id or "default",
        session_id=spec.session_id,
        experiment_name=spec.experiment_name,
        tags=list(spec.tags),
        notes=spec.notes,
        framework=spec.framework,
        model_name=spec.model_name,
        task_type=TASK_TYPES.name(spec.task_type) or "",
        dataset_id=spec.dataset_id,
        dataset_view=DATASET_VIEWS.name(spec.dataset_view) or "",
        epochs=spec.epochs,
        batch_size=spec.batch_size or DEFAULT_BATCH_SIZE,
        learning_rate=spec.learning_rate if spec.HasField("learning_rate") else DEFAULT_LEARNING_RATE,
        image_size=spec.image_size,
        pretrained=spec.pretrained,
        seed=spec.seed,
        priority=spec.priority,
        max_restarts=spec.max_restarts if spec.HasField("max_restarts") else DEFAULT_MAX_RESTARTS,
        no_progress_seconds=spec.no_progress_seconds if spec.HasField("no_progress_seconds") else no_progress_seconds,
        retain_every_n_epochs=_retained(spec, "every_n_epochs"),
        retain_last=_retained(spec, "keep_last"),
        primary_metric=spec.primary_metric,
        primary_metric_mode=METRIC_MODES.name(spec.primary_metric_mode) or "",
        state="PENDING",
    )


def _retained(spec: training_pb2.TrainingJobSpec, field: str) -> int | None:
    retention = spec.checkpoint_retention
    return getattr(retention, field) if retention.HasField(field) else None


def job_change(request: training_pb2.UpdateJobRequest) -> JobChange:
    """The change that is asked for; without a mask it names the fields that are set. Not checked yet."""
    spec = request.job
    paths = tuple(request.update_mask.paths) or tuple(_set_fields(spec))
    return JobChange(
        paths=paths,
        experiment_name=spec.experiment_name,
        tags=tuple(spec.tags),
        notes=spec.notes,
        priority=spec.priority,
        retain_every_n_epochs=_retained(spec, "every_n_epochs"),
        retain_last=_retained(spec, "keep_last"),
    )


def _set_fields(spec: training_pb2.TrainingJobSpec) -> Iterator[str]:
    """Paths of the fields that are set; of retention, which has parts, those of its parts."""
    for field, _ in spec.ListFields():
        if field.name != "checkpoint_retention":
            yield field.name
            continue
        parts = [f"checkpoint_retention.{part.name}" for part, _ in spec.checkpoint_retention.ListFields()]
        yield from parts or [field.name]


def job_message(job: TrainingJob) -> training_pb2.TrainingJob:
    """A job as clients see it."""
    message = training_pb2.TrainingJob(
        id=job.id or "",
        user_id=job.user_id,
        project_id=job.project_id,
        session_id=job.session_id,
        experiment_name=job.experiment_name,
        tags=job.tags,
        notes=job.notes,
        framework=job.framework,
        model_name=job.model_name,
        task_type=TASK_TYPES.number(job.task_type),  # type: ignore[arg-type]
        dataset_id=job.dataset_id,
        dataset_format=DATASET_FORMATS.number(job.dataset_format),  # type: ignore[arg-type]
        dataset_view=DATASET_VIEWS.number(job.dataset_view),  # type: ignore[arg-type]
        manifest_digest=job.manifest_digest,
        num_classes=job.num_classes,
        epochs=job.epochs,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        image_size=job.image_size,
        pretrained=job.pretrained,
        seed=job.seed,
        priority=job.priority,
        max_restarts=job.max_restarts,
        no_progress_seconds=job.no_progress_seconds,
        primary_metric=job.primary_metric,
        primary_metric_mode=METRIC_MODES.number(job.primary_metric_mode),  # type: ignore[arg-type]
        state=JOB_STATES.number(job.state),  # type: ignore[arg-type]
        failure=failure_message(job.failure),
        # A job that is only being validated has not been stored, so its columns have no defaults yet.
        attempt=job.attempt or 0,
        restarts=job.restarts or 0,
        next_attempt_time=to_timestamp(job.next_attempt_time),
        current_run_id=job.current_run_id or "",
        current_epoch=job.current_epoch or 0,
        progress=job.progress or 0.0,
        best_metric=job.best_metric,
        best_checkpoint_id=job.best_checkpoint_id or "",
        last_checkpoint_id=job.last_checkpoint_id or "",
        last_sequence=job.last_sequence or 0,
        create_time=to_timestamp(job.create_time),
        update_time=to_timestamp(job.update_time),
        queue_time=to_timestamp(job.queue_time),
        start_time=to_timestamp(job.start_time),
        # What is left of a training that stops or has ended is not told.
        estimated_end_time=to_timestamp(job.estimated_end_time if job.state == "RUNNING" else None),
        end_time=to_timestamp(job.end_time),
        contact_lost_time=to_timestamp(job.contact_lost_time),
        checkpoint_retention=checkpoint_pb2.CheckpointRetention(
            every_n_epochs=job.retain_every_n_epochs, keep_last=job.retain_last
        ),
        queue_position=job.queue_position,
    )
    message.advanced_config.update(job.advanced_config)
    return message


def failure_message(failure: dict[str, Any] | None) -> common_pb2.Failure | None:
    """A failure as clients see it."""
    return common_pb2.Failure(**failure) if failure else None


def attempt_message(run: Run) -> training_pb2.Attempt:
    """An attempt as clients see it."""
    return training_pb2.Attempt(
        attempt=run.attempt,
        run_id=run.id,
        trainer_address=run.trainer_address,
        start_time=to_timestamp(run.create_time),
        end_time=to_timestamp(run.end_time),
        outcome=ATTEMPT_OUTCOMES.number(run.outcome),  # type: ignore[arg-type]
        failure=failure_message(run.failure),
        first_epoch=run.first_epoch,
        checkpoint_id=run.checkpoint_id,
        warm_start=run.warm_start,
    )


def metric_message(metric: Metric) -> event_pb2.MetricPoint:
    """Metrics of an epoch as clients see them."""
    return event_pb2.MetricPoint(
        epoch=metric.epoch,
        step=metric.step,
        loss=metric.loss,
        accuracy=metric.accuracy,
        learning_rate=metric.learning_rate,
        extra_metrics=metric.extra_metrics,
        time=to_timestamp(metric.time),
        sequence=metric.sequence,
    )


def result_message(result: ValidationResult) -> event_pb2.ValidationResult:
    """What a validation found as clients see it."""
    message = json_format.ParseDict(result.summary, event_pb2.ValidationResult())
    message.sequence = result.sequence
    return message


def checkpoint_message(checkpoint: Checkpoint) -> checkpoint_pb2.Checkpoint:
    """A checkpoint as clients see it."""
    return checkpoint_pb2.Checkpoint(
        id=checkpoint.id,
        job_id=checkpoint.job_id,
        run_id=checkpoint.run_id,
        epoch=checkpoint.epoch,
        metrics=checkpoint.metrics,
        files=[checkpoint_pb2.CheckpointFile(**file) for file in checkpoint.files],
        storage_path=checkpoint.storage_path,
        size_bytes=checkpoint.size_bytes,
        digest=checkpoint.digest,
        is_best=checkpoint.is_best,
        resumable=checkpoint.resumable,
        validation_images=checkpoint_pb2.StoredObject(**checkpoint.validation_images)
        if checkpoint.validation_images
        else None,
        create_time=to_timestamp(checkpoint.create_time),
    )
