import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.v1 import checkpoint_pb2 as _checkpoint_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from visionmesh.v1 import event_pb2 as _event_pb2
from visionmesh.v1 import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_SOURCE_UNSPECIFIED: _ClassVar[EventSource]
    EVENT_SOURCE_TRAINING: _ClassVar[EventSource]
    EVENT_SOURCE_LOG: _ClassVar[EventSource]
    EVENT_SOURCE_AGENT: _ClassVar[EventSource]
EVENT_SOURCE_UNSPECIFIED: EventSource
EVENT_SOURCE_TRAINING: EventSource
EVENT_SOURCE_LOG: EventSource
EVENT_SOURCE_AGENT: EventSource

class CheckpointRef(_message.Message):
    __slots__ = ("checkpoint_id", "job_id", "storage_path", "files", "digest", "epoch")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STORAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    job_id: str
    storage_path: str
    files: _containers.RepeatedCompositeFieldContainer[_checkpoint_pb2.CheckpointFile]
    digest: str
    epoch: int
    def __init__(self, checkpoint_id: _Optional[str] = ..., job_id: _Optional[str] = ..., storage_path: _Optional[str] = ..., files: _Optional[_Iterable[_Union[_checkpoint_pb2.CheckpointFile, _Mapping]]] = ..., digest: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class RunSpec(_message.Message):
    __slots__ = ("run_id", "job_id", "attempt", "project_id", "model_name", "task_type", "dataset_id", "manifest_digest", "epochs", "batch_size", "learning_rate", "image_size", "pretrained", "seed", "config", "primary_metric", "primary_metric_mode", "resume_from", "best_metric", "start_from", "dataset_view", "no_progress_seconds")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_MODE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FROM_FIELD_NUMBER: _ClassVar[int]
    BEST_METRIC_FIELD_NUMBER: _ClassVar[int]
    START_FROM_FIELD_NUMBER: _ClassVar[int]
    DATASET_VIEW_FIELD_NUMBER: _ClassVar[int]
    NO_PROGRESS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    job_id: str
    attempt: int
    project_id: str
    model_name: str
    task_type: _common_pb2.TaskType
    dataset_id: str
    manifest_digest: str
    epochs: int
    batch_size: int
    learning_rate: float
    image_size: int
    pretrained: bool
    seed: int
    config: _struct_pb2.Struct
    primary_metric: str
    primary_metric_mode: _training_pb2.MetricMode
    resume_from: CheckpointRef
    best_metric: float
    start_from: CheckpointRef
    dataset_view: _training_pb2.DatasetView
    no_progress_seconds: int
    def __init__(self, run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., project_id: _Optional[str] = ..., model_name: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., dataset_id: _Optional[str] = ..., manifest_digest: _Optional[str] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., learning_rate: _Optional[float] = ..., image_size: _Optional[int] = ..., pretrained: _Optional[bool] = ..., seed: _Optional[int] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., primary_metric: _Optional[str] = ..., primary_metric_mode: _Optional[_Union[_training_pb2.MetricMode, str]] = ..., resume_from: _Optional[_Union[CheckpointRef, _Mapping]] = ..., best_metric: _Optional[float] = ..., start_from: _Optional[_Union[CheckpointRef, _Mapping]] = ..., dataset_view: _Optional[_Union[_training_pb2.DatasetView, str]] = ..., no_progress_seconds: _Optional[int] = ...) -> None: ...

class RunEnd(_message.Message):
    __slots__ = ("outcome", "failure")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    outcome: _event_pb2.AttemptOutcome
    failure: _common_pb2.Failure
    def __init__(self, outcome: _Optional[_Union[_event_pb2.AttemptOutcome, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class LocalCheckpoint(_message.Message):
    __slots__ = ("epoch", "folder", "is_best", "metrics", "validation_images")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    IS_BEST_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_IMAGES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    folder: str
    is_best: bool
    metrics: _containers.ScalarMap[str, float]
    validation_images: str
    def __init__(self, epoch: _Optional[int] = ..., folder: _Optional[str] = ..., is_best: _Optional[bool] = ..., metrics: _Optional[_Mapping[str, float]] = ..., validation_images: _Optional[str] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("source", "source_sequence", "time", "preparation", "training_start", "progress", "metric", "log", "checkpoint", "validation", "end", "local_checkpoint", "resource_use")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PREPARATION_FIELD_NUMBER: _ClassVar[int]
    TRAINING_START_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LOCAL_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USE_FIELD_NUMBER: _ClassVar[int]
    source: EventSource
    source_sequence: int
    time: _timestamp_pb2.Timestamp
    preparation: _event_pb2.Preparation
    training_start: _event_pb2.TrainingStart
    progress: _event_pb2.TrainingProgress
    metric: _event_pb2.MetricPoint
    log: _event_pb2.LogLine
    checkpoint: _checkpoint_pb2.Checkpoint
    validation: _event_pb2.ValidationResult
    end: RunEnd
    local_checkpoint: LocalCheckpoint
    resource_use: _event_pb2.ResourceUse
    def __init__(self, source: _Optional[_Union[EventSource, str]] = ..., source_sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., preparation: _Optional[_Union[_event_pb2.Preparation, _Mapping]] = ..., training_start: _Optional[_Union[_event_pb2.TrainingStart, _Mapping]] = ..., progress: _Optional[_Union[_event_pb2.TrainingProgress, _Mapping]] = ..., metric: _Optional[_Union[_event_pb2.MetricPoint, _Mapping]] = ..., log: _Optional[_Union[_event_pb2.LogLine, _Mapping]] = ..., checkpoint: _Optional[_Union[_checkpoint_pb2.Checkpoint, _Mapping]] = ..., validation: _Optional[_Union[_event_pb2.ValidationResult, _Mapping]] = ..., end: _Optional[_Union[RunEnd, _Mapping]] = ..., local_checkpoint: _Optional[_Union[LocalCheckpoint, _Mapping]] = ..., resource_use: _Optional[_Union[_event_pb2.ResourceUse, _Mapping]] = ...) -> None: ...
