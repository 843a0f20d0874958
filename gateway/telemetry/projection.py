"""From events of a run to the job's log and to what is made from it: state, metrics, checkpoints, results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format

from gateway.enums import ATTEMPT_OUTCOMES
from gateway.events.encoding import KINDS, encoder
from gateway.events.log import JobTransaction
from gateway.telemetry.event_rules import SOURCES, event_refused
from gateway.training.attempts import end_attempt, is_better
from gateway.training.retention import enforce
from rpc.times import from_timestamp
from storage.database.events import NewEvent
from storage.database.garbage import OBJECT, GarbageItem
from storage.database.projections import (
    CheckpointRepository,
    MetricRepository,
    MetricRow,
    ValidationRepository,
)
from storage.database.tables import Checkpoint, ValidationResult, now
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, common_pb2, event_pb2


def ingest(
    transaction: JobTransaction, run_id: str, events: Sequence[run_pb2.RunEvent], contact_time: datetime
) -> None:
    """Append the events that are new and apply them, in order. Raises SequenceGap, EVENT_REFUSED: then nothing is kept.

    Where that changes the job, ``contact_time`` is written with it. The log is written in stretches that end where an
    event changes the job's state, so that the change follows its cause. A stretch costs the same however many events
    came before.
    """
    stretch: list[run_pb2.RunEvent] = []
    for event in events:
        stretch.append(event)
        if event.WhichOneof("payload") in ("training_start", "end"):
            _ingest_stretch(transaction, run_id, stretch, contact_time)
            stretch = []
    _ingest_stretch(transaction, run_id, stretch, contact_time)


def _ingest_stretch(
    transaction: JobTransaction, run_id: str, events: Sequence[run_pb2.RunEvent], contact_time: datetime
) -> None:
    if not events:
        return
    by_key = {(SOURCES[event.source], event.source_sequence): event for event in events}
    first = len(transaction.events)
    fresh = transaction.append([_new_event(transaction.job.id, run_id, event) for event in events])
    stored = transaction.events[first:]
    run = transaction.jobs.get_run(run_id)
    if transaction.job.current_run_id != run_id or run is None or run.end_kind:
        return  # it is over, or a newer run has taken its place: the log keeps what it still says, the job stays
    projection = _Projection(transaction, run_id, contact_time)
    for new, log_entry in zip(fresh, stored, strict=True):
        projection.apply(by_key[new.source, new.source_sequence], log_entry.sequence)
    projection.finish()


def _new_event(job_id: str, run_id: str, event: run_pb2.RunEvent) -> NewEvent:
    field = event.WhichOneof("payload") or ""
    time = from_timestamp(event.time)
    if field == "end":
        # The log has it as the end of an attempt, which `end_attempt` writes: this one only says that the agent spoke.
        field = "log"
        said = event_pb2.LogLine(level=event_pb2.LOG_LEVEL_INFO, message=_end_line(event.end), source="agent")
        encode = encoder(job_id, run_id, time, field, said)
    else:
        encode = encoder(job_id, run_id, time, field, getattr(event, field))
    return NewEvent(run_id, SOURCES[event.source], event.source_sequence, KINDS[field], time, encode)


def _end_line(end: run_pb2.RunEnd) -> str:
    outcome = (ATTEMPT_OUTCOMES.name(end.outcome) or "").lower()
    return f"run {outcome}: {end.failure.message}" if end.HasField("failure") else f"run {outcome}"


class _Projection:
    """Applies a stretch of events; metrics and changes of the job's columns are gathered and written once."""

    def __init__(self, transaction: JobTransaction, run_id: str, contact_time: datetime) -> None:
        self._transaction = transaction
        self._run_id = run_id
        self._contact_time = contact_time
        self._changes: dict[str, Any] = {}
        self._metrics: list[MetricRow] = []

    def apply(self, event: run_pb2.RunEvent, sequence: int) -> None:
        """Apply one event that was stored under ``sequence``."""
        field = event.WhichOneof("payload")
        if field is not None:
            handler = getattr(self, f"_{field}", None)
            if handler is not None:
                handler(event, sequence)

    def finish(self) -> None:
        """Write what was gathered."""
        # A statement for each metric would be most of what a batch costs.
        MetricRepository(self._transaction.session).put_all(self._transaction.job.id, self._metrics)
        self._metrics = []
        if self._changes:
            # Contact too, which would take a statement of its own.
            self._transaction.update(**self._changes, contact_time=self._contact_time, contact_lost_time=None)
            self._changes = {}

    def _share(self, epochs: float) -> float:
        """How much of the job so many epochs are, in [0, 1]."""
        return min(max(epochs / self._transaction.job.epochs, 0.0), 1.0)

    def _training_start(self, event: run_pb2.RunEvent, sequence: int) -> None:
        if self._transaction.job.state == "PREPARING":
            start_time = from_timestamp(event.time)
            self._transaction.change_state("RUNNING", start_time=start_time, estimated_end_time=None)

    def _progress(self, event: run_pb2.RunEvent, sequence: int) -> None:
        done = event.progress.epoch - 1 + event.progress.step / max(event.progress.steps, 1)
        self._changes["progress"] = self._share(done)
        if event.progress.HasField("seconds_left"):
            self._changes["estimated_end_time"] = _after(from_timestamp(event.time), event.progress.seconds_left)

    def _metric(self, event: run_pb2.RunEvent, sequence: int) -> None:
        point = event.metric
        job = self._transaction.job
        self._metrics.append(
            MetricRow(
                job_id=job.id,
                epoch=point.epoch,
                step=point.step,
                sequence=sequence,
                loss=point.loss if point.HasField("loss") else None,
                accuracy=point.accuracy if point.HasField("accuracy") else None,
                learning_rate=point.learning_rate if point.HasField("learning_rate") else None,
                # JSON has no NaN; a metric that is none is left out.
                extra_metrics={name: value for name, value in point.extra_metrics.items() if math.isfinite(value)},
                time=from_timestamp(event.time),
            )
        )
        self._changes["current_epoch"] = point.epoch
        self._changes["progress"] = self._share(point.epoch)

    def _checkpoint(self, event: run_pb2.RunEvent, sequence: int) -> None:
        told = event.checkpoint
        job = self._transaction.job
        checkpoints = CheckpointRepository(self._transaction.session)
        metrics = {name: value for name, value in told.metrics.items() if math.isfinite(value)}
        new = checkpoints.put(
            Checkpoint(
                id=told.id,
                job_id=job.id,
                run_id=self._run_id,
                epoch=told.epoch,
                metrics=metrics,
                files=[{"name": f.name, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in told.files],
                storage_path=told.storage_path,
                size_bytes=told.size_bytes,
                digest=told.digest,
                resumable=told.resumable,
                validation_images=_images(told),
                create_time=from_timestamp(told.create_time) if told.HasField("create_time") else now(),
            )
        )
        if not new:
            raise event_refused(event, [Violation("checkpoint.id", "is the id of another checkpoint")])
        self._changes["last_checkpoint_id"] = told.id
        value = metrics.get(job.primary_metric)
        best = self._changes.get("best_metric", job.best_metric)
        if value is not None and (best is None or is_better(value, best, job.primary_metric_mode)):
            self._changes.update(best_metric=value, best_checkpoint_id=told.id)
            checkpoints.mark_best(job.id, told.id)
        kept = [self._changes.get("best_checkpoint_id", job.best_checkpoint_id), told.id]
        images = checkpoints.keep_validation_images(job.id, kept)
        self._transaction.discard(*(GarbageItem(OBJECT, path) for path in images))
        self.finish()  # best and last are looked up in the job
        enforce(self._transaction)

    def _validation(self, event: run_pb2.RunEvent, sequence: int) -> None:
        summary = json_format.MessageToDict(event.validation, preserving_proto_field_name=True)
        ValidationRepository(self._transaction.session).put(
            ValidationResult(
                job_id=self._transaction.job.id, epoch=event.validation.epoch, sequence=sequence, summary=summary
            )
        )

    def _end(self, event: run_pb2.RunEvent, sequence: int) -> None:
        self.finish()
        outcome = ATTEMPT_OUTCOMES.name(event.end.outcome) or "FAILED"
        failure = event.end.failure if event.end.HasField("failure") else None
        if outcome == "FAILED" and failure is None:
            failure = common_pb2.Failure(
                reason="TRAINING_ERROR", message="The run failed and its agent did not say why."
            )
        end_attempt(self._transaction, self._run_id, outcome, failure, end_kind=outcome)
        enforce(self._transaction)  # what the run went on from may go now


def _after(time: datetime, seconds: float) -> datetime | None:
    """The time so many seconds later; None where an agent tells of none."""
    if not seconds >= 0:
        return None
    try:
        return time + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _images(told: checkpoint_pb2.Checkpoint) -> dict[str, Any] | None:
    """The validation images of a checkpoint as the database keeps them."""
    if not told.HasField("validation_images"):
        return None
    images = told.validation_images
    return {"storage_path": images.storage_path, "size_bytes": images.size_bytes, "sha256": images.sha256}
