import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MaskEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MASK_ENCODING_UNSPECIFIED: _ClassVar[MaskEncoding]
    MASK_ENCODING_POLYGONS: _ClassVar[MaskEncoding]
    MASK_ENCODING_RLE: _ClassVar[MaskEncoding]
MASK_ENCODING_UNSPECIFIED: MaskEncoding
MASK_ENCODING_POLYGONS: MaskEncoding
MASK_ENCODING_RLE: MaskEncoding

class DatasetFileRef(_message.Message):
    __slots__ = ("dataset_id", "path")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    path: str
    def __init__(self, dataset_id: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("job_id", "checkpoint_id", "image_bytes", "dataset_file", "confidence_threshold", "iou_threshold", "top_k", "max_detections", "labels", "mask_encoding")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATASET_FILE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    IOU_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MASK_ENCODING_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    checkpoint_id: str
    image_bytes: bytes
    dataset_file: DatasetFileRef
    confidence_threshold: float
    iou_threshold: float
    top_k: int
    max_detections: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    mask_encoding: MaskEncoding
    def __init__(self, job_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., image_bytes: _Optional[bytes] = ..., dataset_file: _Optional[_Union[DatasetFileRef, _Mapping]] = ..., confidence_threshold: _Optional[float] = ..., iou_threshold: _Optional[float] = ..., top_k: _Optional[int] = ..., max_detections: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., mask_encoding: _Optional[_Union[MaskEncoding, str]] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("label", "label_id", "confidence")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    label: str
    label_id: int
    confidence: float
    def __init__(self, label: _Optional[str] = ..., label_id: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("x_min", "y_min", "x_max", "y_max")
    X_MIN_FIELD_NUMBER: _ClassVar[int]
    Y_MIN_FIELD_NUMBER: _ClassVar[int]
    X_MAX_FIELD_NUMBER: _ClassVar[int]
    Y_MAX_FIELD_NUMBER: _ClassVar[int]
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    def __init__(self, x_min: _Optional[float] = ..., y_min: _Optional[float] = ..., x_max: _Optional[float] = ..., y_max: _Optional[float] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class RunLengthMask(_message.Message):
    __slots__ = ("height", "width", "counts")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class Polygon(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Keypoint(_message.Message):
    __slots__ = ("point", "confidence")
    POINT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    point: Point
    confidence: float
    def __init__(self, point: _Optional[_Union[Point, _Mapping]] = ..., confidence: _Optional[float] = ...) -> None: ...

class RotatedBox(_message.Message):
    __slots__ = ("center", "width", "height", "angle", "corners")
    CENTER_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ANGLE_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    center: Point
    width: float
    height: float
    angle: float
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, center: _Optional[_Union[Point, _Mapping]] = ..., width: _Optional[float] = ..., height: _Optional[float] = ..., angle: _Optional[float] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Detection(_message.Message):
    __slots__ = ("label", "label_id", "confidence", "box", "mask", "keypoints", "rotated_box", "mask_rle")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    KEYPOINTS_FIELD_NUMBER: _ClassVar[int]
    ROTATED_BOX_FIELD_NUMBER: _ClassVar[int]
    MASK_RLE_FIELD_NUMBER: _ClassVar[int]
    label: str
    label_id: int
    confidence: float
    box: Box
    mask: _containers.RepeatedCompositeFieldContainer[Polygon]
    keypoints: _containers.RepeatedCompositeFieldContainer[Keypoint]
    rotated_box: RotatedBox
    mask_rle: RunLengthMask
    def __init__(self, label: _Optional[str] = ..., label_id: _Optional[int] = ..., confidence: _Optional[float] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., mask: _Optional[_Iterable[_Union[Polygon, _Mapping]]] = ..., keypoints: _Optional[_Iterable[_Union[Keypoint, _Mapping]]] = ..., rotated_box: _Optional[_Union[RotatedBox, _Mapping]] = ..., mask_rle: _Optional[_Union[RunLengthMask, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("task_type", "model_name", "checkpoint_id", "job_id", "classifications", "detections", "image_width", "image_height", "inference_time_ms")
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    task_type: _common_pb2.TaskType
    model_name: str
    checkpoint_id: str
    job_id: str
    classifications: _containers.RepeatedCompositeFieldContainer[Classification]
    detections: _containers.RepeatedCompositeFieldContainer[Detection]
    image_width: int
    image_height: int
    inference_time_ms: float
    def __init__(self, task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., model_name: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., job_id: _Optional[str] = ..., classifications: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., detections: _Optional[_Iterable[_Union[Detection, _Mapping]]] = ..., image_width: _Optional[int] = ..., image_height: _Optional[int] = ..., inference_time_ms: _Optional[float] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("request", "tag")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    tag: str
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ..., tag: _Optional[str] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("tag", "response", "failure")
    TAG_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    tag: str
    response: PredictResponse
    failure: _common_pb2.Failure
    def __init__(self, tag: _Optional[str] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., failure: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class LoadedModel(_message.Message):
    __slots__ = ("framework", "model_name", "checkpoint_id", "job_id", "memory_bytes", "last_used_time", "trainer_address", "runtime")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_TIME_FIELD_NUMBER: _ClassVar[int]
    TRAINER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    framework: str
    model_name: str
    checkpoint_id: str
    job_id: str
    memory_bytes: int
    last_used_time: _timestamp_pb2.Timestamp
    trainer_address: str
    runtime: str
    def __init__(self, framework: _Optional[str] = ..., model_name: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., job_id: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., last_used_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trainer_address: _Optional[str] = ..., runtime: _Optional[str] = ...) -> None: ...

class ListLoadedModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLoadedModelsResponse(_message.Message):
    __slots__ = ("models", "problems")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[LoadedModel]
    problems: _containers.RepeatedCompositeFieldContainer[_common_pb2.FrameworkProblem]
    def __init__(self, models: _Optional[_Iterable[_Union[LoadedModel, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[_common_pb2.FrameworkProblem, _Mapping]]] = ...) -> None: ...
