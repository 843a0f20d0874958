from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class TaskType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_TYPE_UNSPECIFIED: _ClassVar[TaskType]
    TASK_TYPE_IMAGE_CLASSIFICATION: _ClassVar[TaskType]
    TASK_TYPE_OBJECT_DETECTION: _ClassVar[TaskType]
    TASK_TYPE_INSTANCE_SEGMENTATION: _ClassVar[TaskType]
    TASK_TYPE_POSE_ESTIMATION: _ClassVar[TaskType]
    TASK_TYPE_ORIENTED_DETECTION: _ClassVar[TaskType]

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_MISSING: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_DATASET_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_JOB_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_CHECKPOINT_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_FRAMEWORK_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_FRAMEWORK_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_STATE_TRANSITION: _ClassVar[ErrorReason]
    ERROR_REASON_DATASET_NOT_READY: _ClassVar[ErrorReason]
    ERROR_REASON_DATASET_IN_USE: _ClassVar[ErrorReason]
    ERROR_REASON_DATASET_NOT_TRAINABLE: _ClassVar[ErrorReason]
    ERROR_REASON_FILE_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_FILE_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_IMAGE_UNREADABLE: _ClassVar[ErrorReason]
    ERROR_REASON_IMAGE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_NO_CHECKPOINT: _ClassVar[ErrorReason]
    ERROR_REASON_PRETRAINED_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_SEQUENCE_EXPIRED: _ClassVar[ErrorReason]
    ERROR_REASON_BUSY: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_SERVED_YET: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_TRAINING_PROCESS_KILLED: _ClassVar[ErrorReason]
    ERROR_REASON_TRAINING_ERROR: _ClassVar[ErrorReason]
    ERROR_REASON_TRAINING_DIVERGED: _ClassVar[ErrorReason]
    ERROR_REASON_BAD_TRAINING_DATA: _ClassVar[ErrorReason]
    ERROR_REASON_LEASE_EXPIRED: _ClassVar[ErrorReason]
    ERROR_REASON_START_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_MESSAGE_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_STORAGE_CORRUPT: _ClassVar[ErrorReason]
    ERROR_REASON_FILE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_SUPERSEDED: _ClassVar[ErrorReason]
    ERROR_REASON_JOB_IN_USE: _ClassVar[ErrorReason]
    ERROR_REASON_DATABASE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_OBJECT_STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_VALIDATION_IMAGES_NOT_KEPT: _ClassVar[ErrorReason]
    ERROR_REASON_BAD_ARCHIVE: _ClassVar[ErrorReason]
    ERROR_REASON_PRESIGNED_UPLOADS_UNSUPPORTED: _ClassVar[ErrorReason]
    ERROR_REASON_IMPORT_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_IMPORT_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_TRAINING_HUNG: _ClassVar[ErrorReason]
    ERROR_REASON_OUT_OF_MEMORY: _ClassVar[ErrorReason]
    ERROR_REASON_TRAINER_IO_ERROR: _ClassVar[ErrorReason]
    ERROR_REASON_DEVICE_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_RUN_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_EVENT_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_EVENTS_OUT_OF_ORDER: _ClassVar[ErrorReason]
    ERROR_REASON_UPLOAD_ELSEWHERE: _ClassVar[ErrorReason]
    ERROR_REASON_DISK_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_OBJECT_NOT_ALLOWED: _ClassVar[ErrorReason]
TASK_TYPE_UNSPECIFIED: TaskType
TASK_TYPE_IMAGE_CLASSIFICATION: TaskType
TASK_TYPE_OBJECT_DETECTION: TaskType
TASK_TYPE_INSTANCE_SEGMENTATION: TaskType
TASK_TYPE_POSE_ESTIMATION: TaskType
TASK_TYPE_ORIENTED_DETECTION: TaskType
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_TOKEN_MISSING: ErrorReason
ERROR_REASON_TOKEN_INVALID: ErrorReason
ERROR_REASON_DATASET_NOT_FOUND: ErrorReason
ERROR_REASON_JOB_NOT_FOUND: ErrorReason
ERROR_REASON_CHECKPOINT_NOT_FOUND: ErrorReason
ERROR_REASON_MODEL_NOT_FOUND: ErrorReason
ERROR_REASON_FRAMEWORK_NOT_FOUND: ErrorReason
ERROR_REASON_FRAMEWORK_UNAVAILABLE: ErrorReason
ERROR_REASON_INVALID_STATE_TRANSITION: ErrorReason
ERROR_REASON_DATASET_NOT_READY: ErrorReason
ERROR_REASON_DATASET_IN_USE: ErrorReason
ERROR_REASON_DATASET_NOT_TRAINABLE: ErrorReason
ERROR_REASON_FILE_EXISTS: ErrorReason
ERROR_REASON_FILE_MISMATCH: ErrorReason
ERROR_REASON_REQUEST_ID_REUSED: ErrorReason
ERROR_REASON_IMAGE_UNREADABLE: ErrorReason
ERROR_REASON_IMAGE_TOO_LARGE: ErrorReason
ERROR_REASON_NO_CHECKPOINT: ErrorReason
ERROR_REASON_PRETRAINED_UNAVAILABLE: ErrorReason
ERROR_REASON_SEQUENCE_EXPIRED: ErrorReason
ERROR_REASON_BUSY: ErrorReason
ERROR_REASON_NOT_SERVED_YET: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_TRAINING_PROCESS_KILLED: ErrorReason
ERROR_REASON_TRAINING_ERROR: ErrorReason
ERROR_REASON_TRAINING_DIVERGED: ErrorReason
ERROR_REASON_BAD_TRAINING_DATA: ErrorReason
ERROR_REASON_LEASE_EXPIRED: ErrorReason
ERROR_REASON_START_REFUSED: ErrorReason
ERROR_REASON_MESSAGE_TOO_LARGE: ErrorReason
ERROR_REASON_STORAGE_CORRUPT: ErrorReason
ERROR_REASON_FILE_NOT_FOUND: ErrorReason
ERROR_REASON_SUPERSEDED: ErrorReason
ERROR_REASON_JOB_IN_USE: ErrorReason
ERROR_REASON_DATABASE_UNAVAILABLE: ErrorReason
ERROR_REASON_OBJECT_STORE_UNAVAILABLE: ErrorReason
ERROR_REASON_VALIDATION_IMAGES_NOT_KEPT: ErrorReason
ERROR_REASON_BAD_ARCHIVE: ErrorReason
ERROR_REASON_PRESIGNED_UPLOADS_UNSUPPORTED: ErrorReason
ERROR_REASON_IMPORT_NOT_ALLOWED: ErrorReason
ERROR_REASON_IMPORT_FAILED: ErrorReason
ERROR_REASON_TRAINING_HUNG: ErrorReason
ERROR_REASON_OUT_OF_MEMORY: ErrorReason
ERROR_REASON_TRAINER_IO_ERROR: ErrorReason
ERROR_REASON_DEVICE_FAILED: ErrorReason
ERROR_REASON_RUN_NOT_ALLOWED: ErrorReason
ERROR_REASON_EVENT_REFUSED: ErrorReason
ERROR_REASON_EVENTS_OUT_OF_ORDER: ErrorReason
ERROR_REASON_UPLOAD_ELSEWHERE: ErrorReason
ERROR_REASON_DISK_FULL: ErrorReason
ERROR_REASON_OBJECT_NOT_ALLOWED: ErrorReason

class Failure(_message.Message):
    __slots__ = ("reason", "message", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class FrameworkProblem(_message.Message):
    __slots__ = ("framework", "address", "message")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    framework: str
    address: str
    message: str
    def __init__(self, framework: _Optional[str] = ..., address: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
