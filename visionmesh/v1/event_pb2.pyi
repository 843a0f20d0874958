import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.v1 import checkpoint_pb2 as _checkpoint_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from visionmesh.v1 import job_state_pb2 as _job_state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_STATE: _ClassVar[EventKind]
    EVENT_KIND_ATTEMPT: _ClassVar[EventKind]
    EVENT_KIND_PREPARATION: _ClassVar[EventKind]
    EVENT_KIND_BEGAN: _ClassVar[EventKind]
    EVENT_KIND_PROGRESS: _ClassVar[EventKind]
    EVENT_KIND_METRIC: _ClassVar[EventKind]
    EVENT_KIND_LOG: _ClassVar[EventKind]
    EVENT_KIND_CHECKPOINT: _ClassVar[EventKind]
    EVENT_KIND_VALIDATION: _ClassVar[EventKind]
    EVENT_KIND_ROLLED_BACK: _ClassVar[EventKind]
    EVENT_KIND_RESOURCES: _ClassVar[EventKind]

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_COMPLETED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_STOPPED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_STATE: EventKind
EVENT_KIND_ATTEMPT: EventKind
EVENT_KIND_PREPARATION: EventKind
EVENT_KIND_BEGAN: EventKind
EVENT_KIND_PROGRESS: EventKind
EVENT_KIND_METRIC: EventKind
EVENT_KIND_LOG: EventKind
EVENT_KIND_CHECKPOINT: EventKind
EVENT_KIND_VALIDATION: EventKind
EVENT_KIND_ROLLED_BACK: EventKind
EVENT_KIND_RESOURCES: EventKind
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_COMPLETED: AttemptOutcome
ATTEMPT_OUTCOME_STOPPED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class JobEvent(_message.Message):
    __slots__ = ("sequence", "job_id", "run_id", "time", "state_change", "attempt_start", "attempt_end", "preparation", "training_start", "progress", "metric", "log", "checkpoint", "validation", "roll_back", "resource_use")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_START_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_END_FIELD_NUMBER: _ClassVar[int]
    PREPARATION_FIELD_NUMBER: _ClassVar[int]
    TRAINING_START_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    ROLL_BACK_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    job_id: str
    run_id: str
    time: _timestamp_pb2.Timestamp
    state_change: JobStateChange
    attempt_start: AttemptStart
    attempt_end: AttemptEnd
    preparation: Preparation
    training_start: TrainingStart
    progress: TrainingProgress
    metric: MetricPoint
    log: LogLine
    checkpoint: _checkpoint_pb2.Checkpoint
    validation: ValidationResult
    roll_back: RollBack
    resource_use: ResourceUse
    def __init__(self, sequence: _Optional[int] = ..., job_id: _Optional[str] = ..., run_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_change: _Optional[_Union[JobStateChange, _Mapping]] = ..., attempt_start: _Optional[_Union[AttemptStart, _Mapping]] = ..., attempt_end: _Optional[_Union[AttemptEnd, _Mapping]] = ..., preparation: _Optional[_Union[Preparation, _Mapping]] = ..., training_start: _Optional[_Union[TrainingStart, _Mapping]] = ..., progress: _Optional[_Union[TrainingProgress, _Mapping]] = ..., metric: _Optional[_Union[MetricPoint, _Mapping]] = ..., log: _Optional[_Union[LogLine, _Mapping]] = ..., checkpoint: _Optional[_Union[_checkpoint_pb2.Checkpoint, _Mapping]] = ..., validation: _Optional[_Union[ValidationResult, _Mapping]] = ..., roll_back: _Optional[_Union[RollBack, _Mapping]] = ..., resource_use: _Optional[_Union[ResourceUse, _Mapping]] = ...) -> None: ...

class JobStateChange(_message.Message):
    __slots__ = ("from_state", "to_state", "failure")
    FROM_STATE_FIELD_NUMBER: _ClassVar[int]
    TO_STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    from_state: _job_state_pb2.JobState
    to_state: _job_state_pb2.JobState
    failure: _common_pb2.Failure
    def __init__(self, from_state: _Optional[_Union[_job_state_pb2.JobState, str]] = ..., to_state: _Optional[_Union[_job_state_pb2.JobState, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class AttemptStart(_message.Message):
    __slots__ = ("attempt", "checkpoint_id", "warm_start")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WARM_START_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    checkpoint_id: str
    warm_start: bool
    def __init__(self, attempt: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., warm_start: _Optional[bool] = ...) -> None: ...

class AttemptEnd(_message.Message):
    __slots__ = ("attempt", "outcome", "failure", "restarts_left", "next_attempt_time")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_LEFT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    outcome: AttemptOutcome
    failure: _common_pb2.Failure
    restarts_left: int
    next_attempt_time: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[int] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., restarts_left: _Optional[int] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Preparation(_message.Message):
    __slots__ = ("message", "done", "total")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    message: str
    done: int
    total: int
    def __init__(self, message: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class TrainingStart(_message.Message):
    __slots__ = ("device", "total_epochs", "start_epoch", "steps_per_epoch")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    START_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEPS_PER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    device: str
    total_epochs: int
    start_epoch: int
    steps_per_epoch: int
    def __init__(self, device: _Optional[str] = ..., total_epochs: _Optional[int] = ..., start_epoch: _Optional[int] = ..., steps_per_epoch: _Optional[int] = ...) -> None: ...

class TrainingProgress(_message.Message):
    __slots__ = ("epoch", "step", "steps", "loss", "images_per_second", "seconds_left", "elapsed_seconds", "epoch_seconds_left")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    seconds_left: float
    elapsed_seconds: float
    epoch_seconds_left: float
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., loss: _Optional[float] = ..., images_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ..., elapsed_seconds: _Optional[float] = ..., epoch_seconds_left: _Optional[float] = ...) -> None: ...

class MetricPoint(_message.Message):
    __slots__ = ("epoch", "step", "loss", "accuracy", "learning_rate", "extra_metrics", "time", "sequence")
    class ExtraMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_METRICS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    loss: float
    accuracy: float
    learning_rate: float
    extra_metrics: _containers.ScalarMap[str, float]
    time: _timestamp_pb2.Timestamp
    sequence: int
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., loss: _Optional[float] = ..., accuracy: _Optional[float] = ..., learning_rate: _Optional[float] = ..., extra_metrics: _Optional[_Mapping[str, float]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("level", "message", "source", "time", "sequence")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    level: LogLevel
    message: str
    source: str
    time: _timestamp_pb2.Timestamp
    sequence: int
    def __init__(self, level: _Optional[_Union[LogLevel, str]] = ..., message: _Optional[str] = ..., source: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class ClassScore(_message.Message):
    __slots__ = ("label", "precision", "recall", "f1", "support", "ap50", "ap50_95")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    AP50_FIELD_NUMBER: _ClassVar[int]
    AP50_95_FIELD_NUMBER: _ClassVar[int]
    label: str
    precision: float
    recall: float
    f1: float
    support: int
    ap50: float
    ap50_95: float
    def __init__(self, label: _Optional[str] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., f1: _Optional[float] = ..., support: _Optional[int] = ..., ap50: _Optional[float] = ..., ap50_95: _Optional[float] = ...) -> None: ...

class ConfusionRow(_message.Message):
    __slots__ = ("counts",)
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, counts: _Optional[_Iterable[int]] = ...) -> None: ...

class ValidationResult(_message.Message):
    __slots__ = ("epoch", "classes", "confusion_matrix", "metrics", "sequence")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CONFUSION_MATRIX_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    classes: _containers.RepeatedCompositeFieldContainer[ClassScore]
    confusion_matrix: _containers.RepeatedCompositeFieldContainer[ConfusionRow]
    metrics: _containers.ScalarMap[str, float]
    sequence: int
    def __init__(self, epoch: _Optional[int] = ..., classes: _Optional[_Iterable[_Union[ClassScore, _Mapping]]] = ..., confusion_matrix: _Optional[_Iterable[_Union[ConfusionRow, _Mapping]]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., sequence: _Optional[int] = ...) -> None: ...

class RollBack(_message.Message):
    __slots__ = ("to_epoch",)
    TO_EPOCH_FIELD_NUMBER: _ClassVar[int]
    to_epoch: int
    def __init__(self, to_epoch: _Optional[int] = ...) -> None: ...

class ResourceUse(_message.Message):
    __slots__ = ("cpu_percent", "cpu_count", "memory_bytes", "machine_memory_used_bytes", "machine_memory_total_bytes", "process_count", "gpus")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    CPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MACHINE_MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MACHINE_MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESS_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    cpu_count: int
    memory_bytes: int
    machine_memory_used_bytes: int
    machine_memory_total_bytes: int
    process_count: int
    gpus: _containers.RepeatedCompositeFieldContainer[GpuUse]
    def __init__(self, cpu_percent: _Optional[float] = ..., cpu_count: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., machine_memory_used_bytes: _Optional[int] = ..., machine_memory_total_bytes: _Optional[int] = ..., process_count: _Optional[int] = ..., gpus: _Optional[_Iterable[_Union[GpuUse, _Mapping]]] = ...) -> None: ...

class GpuUse(_message.Message):
    __slots__ = ("index", "name", "utilization_percent", "memory_used_bytes", "memory_total_bytes", "temperature_celsius")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    utilization_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    temperature_celsius: float
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., utilization_percent: _Optional[float] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., temperature_celsius: _Optional[float] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("last_sequence", "time")
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    last_sequence: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, last_sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
