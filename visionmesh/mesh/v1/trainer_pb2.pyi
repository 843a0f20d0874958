import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.mesh.v1 import run_pb2 as _run_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from visionmesh.v1 import inference_pb2 as _inference_pb2
from visionmesh.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("framework", "versions", "task_types", "slots", "free_slots", "instance_id")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    framework: str
    versions: _containers.ScalarMap[str, str]
    task_types: _containers.RepeatedScalarFieldContainer[_common_pb2.TaskType]
    slots: int
    free_slots: int
    instance_id: str
    def __init__(self, framework: _Optional[str] = ..., versions: _Optional[_Mapping[str, str]] = ..., task_types: _Optional[_Iterable[_Union[_common_pb2.TaskType, str]]] = ..., slots: _Optional[int] = ..., free_slots: _Optional[int] = ..., instance_id: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_registry_pb2.Model]
    def __init__(self, models: _Optional[_Iterable[_Union[_registry_pb2.Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model_name",)
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    def __init__(self, model_name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _registry_pb2.Model
    def __init__(self, model: _Optional[_Union[_registry_pb2.Model, _Mapping]] = ...) -> None: ...

class GetConfigSchemaRequest(_message.Message):
    __slots__ = ("task_type",)
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    task_type: _common_pb2.TaskType
    def __init__(self, task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ...) -> None: ...

class GetConfigSchemaResponse(_message.Message):
    __slots__ = ("task_type", "fields", "presets")
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    task_type: _common_pb2.TaskType
    fields: _containers.RepeatedCompositeFieldContainer[_registry_pb2.ConfigField]
    presets: _containers.RepeatedCompositeFieldContainer[_registry_pb2.ConfigPreset]
    def __init__(self, task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., fields: _Optional[_Iterable[_Union[_registry_pb2.ConfigField, _Mapping]]] = ..., presets: _Optional[_Iterable[_Union[_registry_pb2.ConfigPreset, _Mapping]]] = ...) -> None: ...

class ValidateConfigRequest(_message.Message):
    __slots__ = ("task_type", "model_name", "config", "pretrained", "epochs", "batch_size", "image_size", "num_classes", "learning_rate")
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_CLASSES_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    task_type: _common_pb2.TaskType
    model_name: str
    config: _struct_pb2.Struct
    pretrained: bool
    epochs: int
    batch_size: int
    image_size: int
    num_classes: int
    learning_rate: float
    def __init__(self, task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., model_name: _Optional[str] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., pretrained: _Optional[bool] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., image_size: _Optional[int] = ..., num_classes: _Optional[int] = ..., learning_rate: _Optional[float] = ...) -> None: ...

class ValidateConfigResponse(_message.Message):
    __slots__ = ("violations", "config", "task_type", "default_image_size", "primary_metric", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_METRIC_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldViolation]
    config: _struct_pb2.Struct
    task_type: _common_pb2.TaskType
    default_image_size: int
    primary_metric: str
    metrics: _containers.ScalarMap[str, bool]
    def __init__(self, violations: _Optional[_Iterable[_Union[_common_pb2.FieldViolation, _Mapping]]] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., default_image_size: _Optional[int] = ..., primary_metric: _Optional[str] = ..., metrics: _Optional[_Mapping[str, bool]] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ("run", "run_token")
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.RunSpec
    run_token: str
    def __init__(self, run: _Optional[_Union[_run_pb2.RunSpec, _Mapping]] = ..., run_token: _Optional[str] = ...) -> None: ...

class StartRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRunRequest(_message.Message):
    __slots__ = ("run_id", "kill")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    kill: bool
    def __init__(self, run_id: _Optional[str] = ..., kill: _Optional[bool] = ...) -> None: ...

class StopRunResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: _Optional[bool] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunStatus(_message.Message):
    __slots__ = ("run_id", "job_id", "alive", "start_time")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    job_id: str
    alive: bool
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., alive: _Optional[bool] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunStatus]
    def __init__(self, runs: _Optional[_Iterable[_Union[RunStatus, _Mapping]]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("checkpoint", "image_bytes", "confidence_threshold", "iou_threshold", "top_k", "max_detections", "labels", "mask_encoding")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    IOU_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MASK_ENCODING_FIELD_NUMBER: _ClassVar[int]
    checkpoint: _run_pb2.CheckpointRef
    image_bytes: bytes
    confidence_threshold: float
    iou_threshold: float
    top_k: int
    max_detections: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    mask_encoding: _inference_pb2.MaskEncoding
    def __init__(self, checkpoint: _Optional[_Union[_run_pb2.CheckpointRef, _Mapping]] = ..., image_bytes: _Optional[bytes] = ..., confidence_threshold: _Optional[float] = ..., iou_threshold: _Optional[float] = ..., top_k: _Optional[int] = ..., max_detections: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., mask_encoding: _Optional[_Union[_inference_pb2.MaskEncoding, str]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("prediction",)
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    prediction: _inference_pb2.PredictResponse
    def __init__(self, prediction: _Optional[_Union[_inference_pb2.PredictResponse, _Mapping]] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("prediction", "failure")
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    prediction: _inference_pb2.PredictResponse
    failure: _common_pb2.Failure
    def __init__(self, prediction: _Optional[_Union[_inference_pb2.PredictResponse, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class ListLoadedModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLoadedModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_inference_pb2.LoadedModel]
    def __init__(self, models: _Optional[_Iterable[_Union[_inference_pb2.LoadedModel, _Mapping]]] = ...) -> None: ...
