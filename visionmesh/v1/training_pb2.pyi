import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.v1 import checkpoint_pb2 as _checkpoint_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from visionmesh.v1 import dataset_pb2 as _dataset_pb2
from visionmesh.v1 import event_pb2 as _event_pb2
from visionmesh.v1 import inference_pb2 as _inference_pb2
from visionmesh.v1 import job_state_pb2 as _job_state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_MODE_UNSPECIFIED: _ClassVar[MetricMode]
    METRIC_MODE_MAX: _ClassVar[MetricMode]
    METRIC_MODE_MIN: _ClassVar[MetricMode]

class DatasetView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATASET_VIEW_UNSPECIFIED: _ClassVar[DatasetView]
    DATASET_VIEW_CROPS: _ClassVar[DatasetView]
    DATASET_VIEW_IMAGE_LABELS: _ClassVar[DatasetView]

class JobOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_ORDER_UNSPECIFIED: _ClassVar[JobOrder]
    JOB_ORDER_NEWEST_FIRST: _ClassVar[JobOrder]
    JOB_ORDER_OLDEST_FIRST: _ClassVar[JobOrder]

class ValidationImageOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALIDATION_IMAGE_ORDER_UNSPECIFIED: _ClassVar[ValidationImageOrder]
    VALIDATION_IMAGE_ORDER_PATH: _ClassVar[ValidationImageOrder]
    VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST: _ClassVar[ValidationImageOrder]
    VALIDATION_IMAGE_ORDER_SMALLEST_LOSS_FIRST: _ClassVar[ValidationImageOrder]

class ObjectOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_OUTCOME_UNSPECIFIED: _ClassVar[ObjectOutcome]
    OBJECT_OUTCOME_HIT: _ClassVar[ObjectOutcome]
    OBJECT_OUTCOME_MISS: _ClassVar[ObjectOutcome]
    OBJECT_OUTCOME_FALSE_ALARM: _ClassVar[ObjectOutcome]
    OBJECT_OUTCOME_WRONG_CLASS: _ClassVar[ObjectOutcome]
METRIC_MODE_UNSPECIFIED: MetricMode
METRIC_MODE_MAX: MetricMode
METRIC_MODE_MIN: MetricMode
DATASET_VIEW_UNSPECIFIED: DatasetView
DATASET_VIEW_CROPS: DatasetView
DATASET_VIEW_IMAGE_LABELS: DatasetView
JOB_ORDER_UNSPECIFIED: JobOrder
JOB_ORDER_NEWEST_FIRST: JobOrder
JOB_ORDER_OLDEST_FIRST: JobOrder
VALIDATION_IMAGE_ORDER_UNSPECIFIED: ValidationImageOrder
VALIDATION_IMAGE_ORDER_PATH: ValidationImageOrder
VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST: ValidationImageOrder
VALIDATION_IMAGE_ORDER_SMALLEST_LOSS_FIRST: ValidationImageOrder
OBJECT_OUTCOME_UNSPECIFIED: ObjectOutcome
OBJECT_OUTCOME_HIT: ObjectOutcome
OBJECT_OUTCOME_MISS: ObjectOutcome
OBJECT_OUTCOME_FALSE_ALARM: ObjectOutcome
OBJECT_OUTCOME_WRONG_CLASS: ObjectOutcome

class TrainingJobSpec(_message.Message):
    __slots__ = ("project_id", "session_id", "experiment_name", "tags", "notes", "framework", "model_name", "task_type", "dataset_id", "epochs", "batch_size", "learning_rate", "image_size", "pretrained", "seed", "advanced_config", "priority", "max_restarts", "primary_metric", "primary_metric_mode", "dataset_view", "checkpoint_retention", "no_progress_seconds")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ADVANCED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_MODE_FIELD_NUMBER: _ClassVar[int]
    DATASET_VIEW_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_RETENTION_FIELD_NUMBER: _ClassVar[int]
    NO_PROGRESS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    session_id: str
    experiment_name: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    notes: str
    framework: str
    model_name: str
    task_type: _common_pb2.TaskType
    dataset_id: str
    epochs: int
    batch_size: int
    learning_rate: float
    image_size: int
    pretrained: bool
    seed: int
    advanced_config: _struct_pb2.Struct
    priority: int
    max_restarts: int
    primary_metric: str
    primary_metric_mode: MetricMode
    dataset_view: DatasetView
    checkpoint_retention: _checkpoint_pb2.CheckpointRetention
    no_progress_seconds: int
    def __init__(self, project_id: _Optional[str] = ..., session_id: _Optional[str] = ..., experiment_name: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., notes: _Optional[str] = ..., framework: _Optional[str] = ..., model_name: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., dataset_id: _Optional[str] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., learning_rate: _Optional[float] = ..., image_size: _Optional[int] = ..., pretrained: _Optional[bool] = ..., seed: _Optional[int] = ..., advanced_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., max_restarts: _Optional[int] = ..., primary_metric: _Optional[str] = ..., primary_metric_mode: _Optional[_Union[MetricMode, str]] = ..., dataset_view: _Optional[_Union[DatasetView, str]] = ..., checkpoint_retention: _Optional[_Union[_checkpoint_pb2.CheckpointRetention, _Mapping]] = ..., no_progress_seconds: _Optional[int] = ...) -> None: ...

class TrainingJob(_message.Message):
    __slots__ = ("id", "user_id", "project_id", "session_id", "experiment_name", "tags", "notes", "framework", "model_name", "task_type", "dataset_id", "dataset_format", "manifest_digest", "num_classes", "epochs", "batch_size", "learning_rate", "image_size", "pretrained", "seed", "advanced_config", "priority", "max_restarts", "primary_metric", "primary_metric_mode", "state", "failure", "attempt", "current_run_id", "current_epoch", "progress", "best_metric", "best_checkpoint_id", "last_checkpoint_id", "last_sequence", "create_time", "update_time", "queue_time", "start_time", "end_time", "contact_lost_time", "dataset_view", "checkpoint_retention", "estimated_end_time", "restarts", "next_attempt_time", "no_progress_seconds", "queue_position")
    ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FORMAT_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ADVANCED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_MODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    BEST_METRIC_FIELD_NUMBER: _ClassVar[int]
    BEST_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CONTACT_LOST_TIME_FIELD_NUMBER: _ClassVar[int]
    DATASET_VIEW_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_RETENTION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    NO_PROGRESS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    id: str
    user_id: str
    project_id: str
    session_id: str
    experiment_name: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    notes: str
    framework: str
    model_name: str
    task_type: _common_pb2.TaskType
    dataset_id: str
    dataset_format: _dataset_pb2.DatasetFormat
    manifest_digest: str
    num_classes: int
    epochs: int
    batch_size: int
    learning_rate: float
    image_size: int
    pretrained: bool
    seed: int
    advanced_config: _struct_pb2.Struct
    priority: int
    max_restarts: int
    primary_metric: str
    primary_metric_mode: MetricMode
    state: _job_state_pb2.JobState
    failure: _common_pb2.Failure
    attempt: int
    current_run_id: str
    current_epoch: int
    progress: float
    best_metric: float
    best_checkpoint_id: str
    last_checkpoint_id: str
    last_sequence: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    queue_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    contact_lost_time: _timestamp_pb2.Timestamp
    dataset_view: DatasetView
    checkpoint_retention: _checkpoint_pb2.CheckpointRetention
    estimated_end_time: _timestamp_pb2.Timestamp
    restarts: int
    next_attempt_time: _timestamp_pb2.Timestamp
    no_progress_seconds: int
    queue_position: int
    def __init__(self, id: _Optional[str] = ..., user_id: _Optional[str] = ..., project_id: _Optional[str] = ..., session_id: _Optional[str] = ..., experiment_name: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., notes: _Optional[str] = ..., framework: _Optional[str] = ..., model_name: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., dataset_id: _Optional[str] = ..., dataset_format: _Optional[_Union[_dataset_pb2.DatasetFormat, str]] = ..., manifest_digest: _Optional[str] = ..., num_classes: _Optional[int] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., learning_rate: _Optional[float] = ..., image_size: _Optional[int] = ..., pretrained: _Optional[bool] = ..., seed: _Optional[int] = ..., advanced_config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., priority: _Optional[int] = ..., max_restarts: _Optional[int] = ..., primary_metric: _Optional[str] = ..., primary_metric_mode: _Optional[_Union[MetricMode, str]] = ..., state: _Optional[_Union[_job_state_pb2.JobState, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., attempt: _Optional[int] = ..., current_run_id: _Optional[str] = ..., current_epoch: _Optional[int] = ..., progress: _Optional[float] = ..., best_metric: _Optional[float] = ..., best_checkpoint_id: _Optional[str] = ..., last_checkpoint_id: _Optional[str] = ..., last_sequence: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., queue_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., contact_lost_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dataset_view: _Optional[_Union[DatasetView, str]] = ..., checkpoint_retention: _Optional[_Union[_checkpoint_pb2.CheckpointRetention, _Mapping]] = ..., estimated_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., restarts: _Optional[int] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., no_progress_seconds: _Optional[int] = ..., queue_position: _Optional[int] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ("job", "request_id", "validate_only")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJobSpec
    request_id: str
    validate_only: bool
    def __init__(self, job: _Optional[_Union[TrainingJobSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJob
    def __init__(self, job: _Optional[_Union[TrainingJob, _Mapping]] = ...) -> None: ...

class StartJobRequest(_message.Message):
    __slots__ = ("job_id", "resume", "checkpoint_id", "request_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    resume: bool
    checkpoint_id: str
    request_id: str
    def __init__(self, job_id: _Optional[str] = ..., resume: _Optional[bool] = ..., checkpoint_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StartJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJob
    def __init__(self, job: _Optional[_Union[TrainingJob, _Mapping]] = ...) -> None: ...

class StopJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class StopJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJob
    def __init__(self, job: _Optional[_Union[TrainingJob, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJob
    def __init__(self, job: _Optional[_Union[TrainingJob, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("project_id", "state", "framework", "tags", "text", "order", "page_size", "page_token")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    project_id: str
    state: _job_state_pb2.JobState
    framework: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    text: str
    order: JobOrder
    page_size: int
    page_token: str
    def __init__(self, project_id: _Optional[str] = ..., state: _Optional[_Union[_job_state_pb2.JobState, str]] = ..., framework: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ..., order: _Optional[_Union[JobOrder, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token", "total_size")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[TrainingJob]
    next_page_token: str
    total_size: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[TrainingJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class UpdateJobRequest(_message.Message):
    __slots__ = ("job_id", "job", "update_mask")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    job: TrainingJobSpec
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, job_id: _Optional[str] = ..., job: _Optional[_Union[TrainingJobSpec, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: TrainingJob
    def __init__(self, job: _Optional[_Union[TrainingJob, _Mapping]] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence", "kinds")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    kinds: _containers.RepeatedScalarFieldContainer[_event_pb2.EventKind]
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., kinds: _Optional[_Iterable[_Union[_event_pb2.EventKind, str]]] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("event", "heartbeat")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.JobEvent
    heartbeat: _event_pb2.Heartbeat
    def __init__(self, event: _Optional[_Union[_event_pb2.JobEvent, _Mapping]] = ..., heartbeat: _Optional[_Union[_event_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class WatchMetricsRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchMetricsResponse(_message.Message):
    __slots__ = ("metric", "heartbeat")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    metric: _event_pb2.MetricPoint
    heartbeat: _event_pb2.Heartbeat
    def __init__(self, metric: _Optional[_Union[_event_pb2.MetricPoint, _Mapping]] = ..., heartbeat: _Optional[_Union[_event_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class WatchLogsRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence", "minimum_level")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_LEVEL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    minimum_level: _event_pb2.LogLevel
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., minimum_level: _Optional[_Union[_event_pb2.LogLevel, str]] = ...) -> None: ...

class WatchLogsResponse(_message.Message):
    __slots__ = ("log", "heartbeat")
    LOG_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    log: _event_pb2.LogLine
    heartbeat: _event_pb2.Heartbeat
    def __init__(self, log: _Optional[_Union[_event_pb2.LogLine, _Mapping]] = ..., heartbeat: _Optional[_Union[_event_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class ListMetricsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token", "max_points")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    max_points: int
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., max_points: _Optional[int] = ...) -> None: ...

class ListMetricsResponse(_message.Message):
    __slots__ = ("metrics", "next_page_token", "total_size")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[_event_pb2.MetricPoint]
    next_page_token: str
    total_size: int
    def __init__(self, metrics: _Optional[_Iterable[_Union[_event_pb2.MetricPoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ListLogsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token", "minimum_level")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_LEVEL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    minimum_level: _event_pb2.LogLevel
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_level: _Optional[_Union[_event_pb2.LogLevel, str]] = ...) -> None: ...

class ListLogsResponse(_message.Message):
    __slots__ = ("lines", "next_page_token")
    LINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[_event_pb2.LogLine]
    next_page_token: str
    def __init__(self, lines: _Optional[_Iterable[_Union[_event_pb2.LogLine, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("attempt", "run_id", "trainer_address", "start_time", "end_time", "outcome", "failure", "first_epoch", "checkpoint_id", "warm_start")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TRAINER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FIRST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WARM_START_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    run_id: str
    trainer_address: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    outcome: _event_pb2.AttemptOutcome
    failure: _common_pb2.Failure
    first_epoch: int
    checkpoint_id: str
    warm_start: bool
    def __init__(self, attempt: _Optional[int] = ..., run_id: _Optional[str] = ..., trainer_address: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[_event_pb2.AttemptOutcome, str]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ..., first_epoch: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., warm_start: _Optional[bool] = ...) -> None: ...

class ListAttemptsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAttemptsResponse(_message.Message):
    __slots__ = ("attempts", "next_page_token", "total_size")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    next_page_token: str
    total_size: int
    def __init__(self, attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "next_page_token", "total_size")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[_checkpoint_pb2.Checkpoint]
    next_page_token: str
    total_size: int
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[_checkpoint_pb2.Checkpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class DownloadCheckpointRequest(_message.Message):
    __slots__ = ("job_id", "checkpoint_id", "file_name", "offset")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    checkpoint_id: str
    file_name: str
    offset: int
    def __init__(self, job_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., file_name: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadCheckpointResponse(_message.Message):
    __slots__ = ("chunk", "file", "checkpoint_id", "epoch")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    file: _checkpoint_pb2.CheckpointFile
    checkpoint_id: str
    epoch: int
    def __init__(self, chunk: _Optional[bytes] = ..., file: _Optional[_Union[_checkpoint_pb2.CheckpointFile, _Mapping]] = ..., checkpoint_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class ListValidationResultsRequest(_message.Message):
    __slots__ = ("job_id", "epoch", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListValidationResultsResponse(_message.Message):
    __slots__ = ("results", "class_names", "next_page_token", "total_size", "best_epoch")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_event_pb2.ValidationResult]
    class_names: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    total_size: int
    best_epoch: int
    def __init__(self, results: _Optional[_Iterable[_Union[_event_pb2.ValidationResult, _Mapping]]] = ..., class_names: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., best_epoch: _Optional[int] = ...) -> None: ...

class ListValidationImagesRequest(_message.Message):
    __slots__ = ("job_id", "checkpoint_id", "correct", "label", "page_size", "page_token", "predicted_label", "order")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_LABEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    checkpoint_id: str
    correct: bool
    label: str
    page_size: int
    page_token: str
    predicted_label: str
    order: ValidationImageOrder
    def __init__(self, job_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., correct: _Optional[bool] = ..., label: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., predicted_label: _Optional[str] = ..., order: _Optional[_Union[ValidationImageOrder, str]] = ...) -> None: ...

class LabelScore(_message.Message):
    __slots__ = ("label", "label_id", "confidence")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    label: str
    label_id: int
    confidence: float
    def __init__(self, label: _Optional[str] = ..., label_id: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class ObjectMatch(_message.Message):
    __slots__ = ("outcome", "label", "predicted_label", "confidence", "iou", "truth_box", "predicted_box", "truth_corners", "predicted_corners")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    IOU_FIELD_NUMBER: _ClassVar[int]
    TRUTH_BOX_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_BOX_FIELD_NUMBER: _ClassVar[int]
    TRUTH_CORNERS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CORNERS_FIELD_NUMBER: _ClassVar[int]
    outcome: ObjectOutcome
    label: str
    predicted_label: str
    confidence: float
    iou: float
    truth_box: _inference_pb2.Box
    predicted_box: _inference_pb2.Box
    truth_corners: _containers.RepeatedCompositeFieldContainer[_inference_pb2.Point]
    predicted_corners: _containers.RepeatedCompositeFieldContainer[_inference_pb2.Point]
    def __init__(self, outcome: _Optional[_Union[ObjectOutcome, str]] = ..., label: _Optional[str] = ..., predicted_label: _Optional[str] = ..., confidence: _Optional[float] = ..., iou: _Optional[float] = ..., truth_box: _Optional[_Union[_inference_pb2.Box, _Mapping]] = ..., predicted_box: _Optional[_Union[_inference_pb2.Box, _Mapping]] = ..., truth_corners: _Optional[_Iterable[_Union[_inference_pb2.Point, _Mapping]]] = ..., predicted_corners: _Optional[_Iterable[_Union[_inference_pb2.Point, _Mapping]]] = ...) -> None: ...

class ValidationImage(_message.Message):
    __slots__ = ("path", "label", "predictions", "correct", "loss", "objects", "width", "height")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    path: str
    label: str
    predictions: _containers.RepeatedCompositeFieldContainer[LabelScore]
    correct: bool
    loss: float
    objects: _containers.RepeatedCompositeFieldContainer[ObjectMatch]
    width: int
    height: int
    def __init__(self, path: _Optional[str] = ..., label: _Optional[str] = ..., predictions: _Optional[_Iterable[_Union[LabelScore, _Mapping]]] = ..., correct: _Optional[bool] = ..., loss: _Optional[float] = ..., objects: _Optional[_Iterable[_Union[ObjectMatch, _Mapping]]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListValidationImagesResponse(_message.Message):
    __slots__ = ("images", "next_page_token", "total_size", "checkpoint_id", "epoch")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ValidationImage]
    next_page_token: str
    total_size: int
    checkpoint_id: str
    epoch: int
    def __init__(self, images: _Optional[_Iterable[_Union[ValidationImage, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...
