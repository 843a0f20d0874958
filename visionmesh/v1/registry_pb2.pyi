from google.protobuf import struct_pb2 as _struct_pb2
from visionmesh.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConfigFieldType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_FIELD_TYPE_UNSPECIFIED: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_SELECT: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_NUMBER: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_INTEGER: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_BOOLEAN: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_TEXT: _ClassVar[ConfigFieldType]
    CONFIG_FIELD_TYPE_NUMBER_LIST: _ClassVar[ConfigFieldType]
CONFIG_FIELD_TYPE_UNSPECIFIED: ConfigFieldType
CONFIG_FIELD_TYPE_SELECT: ConfigFieldType
CONFIG_FIELD_TYPE_NUMBER: ConfigFieldType
CONFIG_FIELD_TYPE_INTEGER: ConfigFieldType
CONFIG_FIELD_TYPE_BOOLEAN: ConfigFieldType
CONFIG_FIELD_TYPE_TEXT: ConfigFieldType
CONFIG_FIELD_TYPE_NUMBER_LIST: ConfigFieldType

class Framework(_message.Message):
    __slots__ = ("framework", "versions", "task_types", "healthy_trainers", "free_slots", "unavailable_reason")
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
    HEALTHY_TRAINERS_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    framework: str
    versions: _containers.ScalarMap[str, str]
    task_types: _containers.RepeatedScalarFieldContainer[_common_pb2.TaskType]
    healthy_trainers: int
    free_slots: int
    unavailable_reason: str
    def __init__(self, framework: _Optional[str] = ..., versions: _Optional[_Mapping[str, str]] = ..., task_types: _Optional[_Iterable[_Union[_common_pb2.TaskType, str]]] = ..., healthy_trainers: _Optional[int] = ..., free_slots: _Optional[int] = ..., unavailable_reason: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("model_name", "framework", "task_types", "parameters", "default_image_size", "mean", "std", "pretrained_tags", "description", "license", "interpolation")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_TAGS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    INTERPOLATION_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    framework: str
    task_types: _containers.RepeatedScalarFieldContainer[_common_pb2.TaskType]
    parameters: int
    default_image_size: int
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    pretrained_tags: _containers.RepeatedScalarFieldContainer[str]
    description: str
    license: str
    interpolation: str
    def __init__(self, model_name: _Optional[str] = ..., framework: _Optional[str] = ..., task_types: _Optional[_Iterable[_Union[_common_pb2.TaskType, str]]] = ..., parameters: _Optional[int] = ..., default_image_size: _Optional[int] = ..., mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ..., pretrained_tags: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., license: _Optional[str] = ..., interpolation: _Optional[str] = ...) -> None: ...

class ConfigOption(_message.Message):
    __slots__ = ("value", "label", "description")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    value: str
    label: str
    description: str
    def __init__(self, value: _Optional[str] = ..., label: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class ConfigCondition(_message.Message):
    __slots__ = ("field", "values")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    field: str
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, field: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...

class ConfigField(_message.Message):
    __slots__ = ("name", "type", "label", "description", "default_value", "minimum", "maximum", "step", "options", "condition", "group", "advanced")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ADVANCED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ConfigFieldType
    label: str
    description: str
    default_value: _struct_pb2.Value
    minimum: float
    maximum: float
    step: float
    options: _containers.RepeatedCompositeFieldContainer[ConfigOption]
    condition: ConfigCondition
    group: str
    advanced: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ConfigFieldType, str]] = ..., label: _Optional[str] = ..., description: _Optional[str] = ..., default_value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., step: _Optional[float] = ..., options: _Optional[_Iterable[_Union[ConfigOption, _Mapping]]] = ..., condition: _Optional[_Union[ConfigCondition, _Mapping]] = ..., group: _Optional[str] = ..., advanced: _Optional[bool] = ...) -> None: ...

class ConfigPreset(_message.Message):
    __slots__ = ("name", "label", "description", "config")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    description: str
    config: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., description: _Optional[str] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ListFrameworksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFrameworksResponse(_message.Message):
    __slots__ = ("frameworks", "problems")
    FRAMEWORKS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    frameworks: _containers.RepeatedCompositeFieldContainer[Framework]
    problems: _containers.RepeatedCompositeFieldContainer[_common_pb2.FrameworkProblem]
    def __init__(self, frameworks: _Optional[_Iterable[_Union[Framework, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[_common_pb2.FrameworkProblem, _Mapping]]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("task_type", "framework", "text", "pretrained", "page_size", "page_token")
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_type: _common_pb2.TaskType
    framework: str
    text: str
    pretrained: bool
    page_size: int
    page_token: str
    def __init__(self, task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., framework: _Optional[str] = ..., text: _Optional[str] = ..., pretrained: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token", "total_size", "problems")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    total_size: int
    problems: _containers.RepeatedCompositeFieldContainer[_common_pb2.FrameworkProblem]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[_common_pb2.FrameworkProblem, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("framework", "model_name")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    framework: str
    model_name: str
    def __init__(self, framework: _Optional[str] = ..., model_name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class GetConfigSchemaRequest(_message.Message):
    __slots__ = ("framework", "task_type")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    framework: str
    task_type: _common_pb2.TaskType
    def __init__(self, framework: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ...) -> None: ...

class GetConfigSchemaResponse(_message.Message):
    __slots__ = ("framework", "task_type", "fields", "presets")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    framework: str
    task_type: _common_pb2.TaskType
    fields: _containers.RepeatedCompositeFieldContainer[ConfigField]
    presets: _containers.RepeatedCompositeFieldContainer[ConfigPreset]
    def __init__(self, framework: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., fields: _Optional[_Iterable[_Union[ConfigField, _Mapping]]] = ..., presets: _Optional[_Iterable[_Union[ConfigPreset, _Mapping]]] = ...) -> None: ...

class ValidateConfigRequest(_message.Message):
    __slots__ = ("framework", "task_type", "model_name", "config")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    framework: str
    task_type: _common_pb2.TaskType
    model_name: str
    config: _struct_pb2.Struct
    def __init__(self, framework: _Optional[str] = ..., task_type: _Optional[_Union[_common_pb2.TaskType, str]] = ..., model_name: _Optional[str] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ValidateConfigResponse(_message.Message):
    __slots__ = ("violations", "config")
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldViolation]
    config: _struct_pb2.Struct
    def __init__(self, violations: _Optional[_Iterable[_Union[_common_pb2.FieldViolation, _Mapping]]] = ..., config: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...
