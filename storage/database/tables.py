"""The tables, typed. Times are UTC; ids are opaque strings made by the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time zone aware UTC datetime on every database (SQLite keeps none of its own)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")  # it would be taken for local time
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value as text. PostgreSQL's own type refuses the NaN that a diverging run reports; text keeps it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return json.dumps(value) if value is not None else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return json.loads(value) if value is not None else None


class Base(DeclarativeBase):
    """Root of the typed tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        list[Any]: Json,
        int: BigInteger,
    }
    # Every constraint has a name, so that a later migration can change it.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table_of(rows: type[Base]) -> Table:
    """The table that rows of this class are in: for statements that go past the ORM."""
    return cast(Table, rows.__table__)


class User(Base):
    """Someone who may call the public services."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    create_time: Mapped[datetime] = mapped_column(default=now)


class ApiToken(Base):
    """A Bearer token: only its SHA-256 is kept."""

    __tablename__ = "api_tokens"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    label: Mapped[str] = mapped_column(String(200), default="")
    create_time: Mapped[datetime] = mapped_column(default=now)


class Dataset(Base):
    """A dataset and what its analysis found. ``state`` holds the enum's short name (READY)."""

    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_list", "user_id", "create_time", "id"),)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[str] = mapped_column(String(200), index=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(default="")
    format: Mapped[str] = mapped_column(String(40))  # empty until it is detected
    format_detected_from: Mapped[str] = mapped_column(String(1000), default="")
    visibility: Mapped[str] = mapped_column(String(20), default="PRIVATE")
    tags: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(String(20), index=True)
    failure: Mapped[dict[str, Any] | None] = mapped_column(default=None)  # reason, message, metadata
    val_fraction: Mapped[float] = mapped_column(default=0.0)
    split_seed: Mapped[int] = mapped_column(default=0)
    file_count: Mapped[int] = mapped_column(default=0)
    total_size_bytes: Mapped[int] = mapped_column(default=0)
    class_names: Mapped[list[Any]] = mapped_column(default=list)
    class_distribution: Mapped[dict[str, Any]] = mapped_column(default=dict)  # split -> class -> images
    task_types: Mapped[list[Any]] = mapped_column(default=list)
    object_count: Mapped[int] = mapped_column(default=0)
    # As DatasetStatistics of the contract; only for those who ask for it by ``DatasetRepository.statistics``.
    statistics: Mapped[dict[str, Any] | None] = mapped_column(default=None, deferred=True)
    manifest_digest: Mapped[str] = mapped_column(String(64), default="")
    analyzed_files: Mapped[int] = mapped_column(default=0)
    import_source: Mapped[str] = mapped_column(String(2048), default="")
    importing: Mapped[bool] = mapped_column(default=False)  # its files are still being copied
    create_time: Mapped[datetime] = mapped_column(default=now)
    update_time: Mapped[datetime] = mapped_column(default=now)


class DatasetFile(Base):
    """A file that arrived whole. ``split`` and ``label`` are filled by the analysis."""

    __tablename__ = "dataset_files"
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    split: Mapped[str] = mapped_column(String(20), default="")
    label: Mapped[str] = mapped_column(String(1024), default="")
    create_time: Mapped[datetime] = mapped_column(default=now)


class PreparedUpload(Base):
    """A file that a client may send past the gateway; it becomes a file of the dataset once it was verified."""

    __tablename__ = "prepared_uploads"
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    expire_time: Mapped[datetime]  # when its last URL ends


class DatasetProblem(Base):
    """Something the analysis found wrong."""

    __tablename__ = "dataset_problems"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    path: Mapped[str] = mapped_column(String(1024), default="")
    kind: Mapped[str] = mapped_column(String(60))
    severity: Mapped[str] = mapped_column(String(20))
    message: Mapped[str]


class TrainingJob(Base):
    """A training job: what was asked for, and the projection of its event log."""

    __tablename__ = "training_jobs"
    __table_args__ = (Index("ix_training_jobs_list", "user_id", "create_time", "id"),)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[str] = mapped_column(String(200), index=True)
    session_id: Mapped[str] = mapped_column(String(200), default="")
    experiment_name: Mapped[str] = mapped_column(String(200), default="")
    tags: Mapped[list[Any]] = mapped_column(default=list)
    notes: Mapped[str] = mapped_column(default="")
    framework: Mapped[str] = mapped_column(String(60))
    model_name: Mapped[str] = mapped_column(String(200))
    task_type: Mapped[str] = mapped_column(String(60))
    dataset_id: Mapped[str] = mapped_column(String(40), index=True)
    dataset_format: Mapped[str] = mapped_column(String(40))
    manifest_digest: Mapped[str] = mapped_column(String(64))
    dataset_view: Mapped[str] = mapped_column(String(20), default="")
    num_classes: Mapped[int]
    epochs: Mapped[int]
    batch_size: Mapped[int]
    learning_rate: Mapped[float]
    image_size: Mapped[int]
    pretrained: Mapped[bool] = mapped_column(default=False)
    seed: Mapped[int] = mapped_column(default=0)
    advanced_config: Mapped[dict[str, Any]] = mapped_column(default=dict)  # complete, dotted names
    priority: Mapped[int] = mapped_column(default=0)
    max_restarts: Mapped[int] = mapped_column(default=0)
    # Checkpoints kept beside the best and the last one: of every n-th epoch (0: none), and so many of the newest.
    retain_every_n_epochs: Mapped[int] = mapped_column(default=0)
    retain_last: Mapped[int] = mapped_column(default=1)
    no_progress_seconds: Mapped[int] = mapped_column(default=0)  # 0: an attempt may take its time
    primary_metric: Mapped[str] = mapped_column(String(100))
    primary_metric_mode: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(20), index=True)
    failure: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    attempt: Mapped[int] = mapped_column(default=0)
    started_after_attempt: Mapped[int] = mapped_column(default=0)  # the last attempt before a caller's last start
    restarts: Mapped[int] = mapped_column(default=0)  # since a caller's last start
    next_attempt_time: Mapped[datetime | None] = mapped_column(default=None)  # not before it, while QUEUED
    current_run_id: Mapped[str] = mapped_column(String(40), default="")
    # What the last start goes on from, or takes its first weights from: one of them at most.
    resume_checkpoint_id: Mapped[str] = mapped_column(String(40), default="")
    start_checkpoint_id: Mapped[str] = mapped_column(String(40), default="")
    current_epoch: Mapped[int] = mapped_column(default=0)
    progress: Mapped[float] = mapped_column(default=0.0)
    best_metric: Mapped[float | None] = mapped_column(default=None)
    best_checkpoint_id: Mapped[str] = mapped_column(String(40), default="")
    last_checkpoint_id: Mapped[str] = mapped_column(String(40), default="")
    last_sequence: Mapped[int] = mapped_column(default=0)
    create_time: Mapped[datetime] = mapped_column(default=now)
    update_time: Mapped[datetime] = mapped_column(default=now)
    queue_time: Mapped[datetime | None] = mapped_column(default=None)
    start_time: Mapped[datetime | None] = mapped_column(default=None)
    estimated_end_time: Mapped[datetime | None] = mapped_column(default=None)
    end_time: Mapped[datetime | None] = mapped_column(default=None)
    contact_time: Mapped[datetime | None] = mapped_column(default=None)
    contact_lost_time: Mapped[datetime | None] = mapped_column(default=None)
    # No column: the place in the queue, 1 first, where the one who read the job asked for it; else 0.
    queue_position = 0


class Run(Base):
    """One attempt of a job. ``end_kind`` is empty while it goes on, and so are ``outcome`` and ``failure``.

    ``checkpoint_id`` is what it goes on from, or takes its first weights from when ``warm_start``; it goes on with the
    training of ``source_run_id``, whose epochs before ``first_epoch`` are its own too.
    """

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    trainer_address: Mapped[str] = mapped_column(String(300), default="")
    checkpoint_id: Mapped[str] = mapped_column(String(40), default="")
    warm_start: Mapped[bool] = mapped_column(default=False)
    source_run_id: Mapped[str] = mapped_column(String(40), default="")
    first_epoch: Mapped[int] = mapped_column(default=1)
    started: Mapped[bool] = mapped_column(default=False)  # its trainer has said that it has the run
    end_kind: Mapped[str] = mapped_column(String(40), default="")
    outcome: Mapped[str] = mapped_column(String(20), default="")
    failure: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    create_time: Mapped[datetime] = mapped_column(default=now)
    end_time: Mapped[datetime | None] = mapped_column(default=None)


class RunToken(Base):
    """A token of a run's agent: only its SHA-256 is kept. A run has one for each time that its start was sent."""

    __tablename__ = "run_tokens"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    create_time: Mapped[datetime] = mapped_column(default=now)


class SourcePosition(Base):
    """The last durable sequence of each source of a run: what an agent is told at hello."""

    __tablename__ = "source_positions"
    run_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    source: Mapped[str] = mapped_column(String(20), primary_key=True)
    source_sequence: Mapped[int]


class Event(Base):
    """One event of a job's append-only log. ``payload`` is an encoded ``visionmesh.v1.JobEvent``."""

    __tablename__ = "events"
    __table_args__ = (Index("ux_events_source", "run_id", "source", "source_sequence", unique=True),)
    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(String(40))
    source: Mapped[str] = mapped_column(String(20))
    source_sequence: Mapped[int]
    kind: Mapped[str] = mapped_column(String(30))
    time: Mapped[datetime]
    payload: Mapped[bytes] = mapped_column(LargeBinary)


class EventCompaction(Base):
    """What was removed of a job's log, by kind, and how far compaction has looked. No row: nothing was removed.

    ``through`` is the last sequence that was looked at; the kept numbers count what is left up to there. All up to
    ``mark_sequence`` was in the log at ``mark_time``.
    """

    __tablename__ = "event_compactions"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True)
    mark_sequence: Mapped[int]
    mark_time: Mapped[datetime]
    through: Mapped[int] = mapped_column(default=0)
    log_removed_through: Mapped[int] = mapped_column(default=0)
    progress_removed_through: Mapped[int] = mapped_column(default=0)
    metric_removed_through: Mapped[int] = mapped_column(default=0)
    log_kept: Mapped[int] = mapped_column(default=0)
    progress_kept: Mapped[int] = mapped_column(default=0)
    metric_kept: Mapped[int] = mapped_column(default=0)


class Metric(Base):
    """Metrics of one step of one epoch; a repeated epoch replaces them."""

    __tablename__ = "metrics"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    learning_rate: Mapped[float | None]
    extra_metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    time: Mapped[datetime]


class Checkpoint(Base):
    """A published checkpoint: the record is written after its bytes were verified in the store."""

    __tablename__ = "checkpoints"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"), index=True)
    run_id: Mapped[str] = mapped_column(String(40))
    epoch: Mapped[int]
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    files: Mapped[list[Any]] = mapped_column(default=list)  # name, size_bytes, sha256
    storage_path: Mapped[str] = mapped_column(String(1024))
    size_bytes: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    is_best: Mapped[bool] = mapped_column(default=False)
    resumable: Mapped[bool] = mapped_column(default=False)
    # Its epoch was told again: it is listed no more.
    superseded: Mapped[bool] = mapped_column(default=False)
    # No longer kept, but a job that has not ended takes from it: it goes when that one has.
    held: Mapped[bool] = mapped_column(default=False)
    # Best or last of what was trained before a caller started again from elsewhere: stays as long as its job.
    left_behind: Mapped[bool] = mapped_column(default=False)
    # storage_path, size_bytes, sha256; None when there are none or they are no longer kept.
    validation_images: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    create_time: Mapped[datetime] = mapped_column(default=now)


class ValidationResult(Base):
    """What a validation found at one epoch; a repeated epoch replaces it."""

    __tablename__ = "validation_results"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)


class DeletedJob(Base):
    """A job that was deleted: what its agent still says or stores is for nothing."""

    __tablename__ = "deleted_jobs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    delete_time: Mapped[datetime] = mapped_column(default=now)


class Garbage(Base):
    """Something that no record names any more and that is still to be removed. See ``storage.database.garbage``."""

    __tablename__ = "garbage"
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str] = mapped_column(String(1024), primary_key=True)
    time: Mapped[datetime] = mapped_column(default=now)  # when it was last known to be of use to anyone


class RequestRecord(Base):
    """The first answer to a request_id, kept so that a repeated call gets it again."""

    __tablename__ = "request_records"
    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    method: Mapped[str] = mapped_column(String(100), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(40))
    create_time: Mapped[datetime] = mapped_column(default=now)
