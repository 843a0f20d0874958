from visionmesh.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObjectMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_METHOD_UNSPECIFIED: _ClassVar[ObjectMethod]
    OBJECT_METHOD_GET: _ClassVar[ObjectMethod]
    OBJECT_METHOD_HEAD: _ClassVar[ObjectMethod]
    OBJECT_METHOD_PUT: _ClassVar[ObjectMethod]
    OBJECT_METHOD_CREATE_UPLOAD: _ClassVar[ObjectMethod]
    OBJECT_METHOD_PUT_PART: _ClassVar[ObjectMethod]
    OBJECT_METHOD_COMPLETE_UPLOAD: _ClassVar[ObjectMethod]
    OBJECT_METHOD_ABORT_UPLOAD: _ClassVar[ObjectMethod]
OBJECT_METHOD_UNSPECIFIED: ObjectMethod
OBJECT_METHOD_GET: ObjectMethod
OBJECT_METHOD_HEAD: ObjectMethod
OBJECT_METHOD_PUT: ObjectMethod
OBJECT_METHOD_CREATE_UPLOAD: ObjectMethod
OBJECT_METHOD_PUT_PART: ObjectMethod
OBJECT_METHOD_COMPLETE_UPLOAD: ObjectMethod
OBJECT_METHOD_ABORT_UPLOAD: ObjectMethod

class ObjectCall(_message.Message):
    __slots__ = ("method", "key", "upload_id", "part_number", "content_md5", "sha256")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_MD5_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    method: ObjectMethod
    key: str
    upload_id: str
    part_number: int
    content_md5: str
    sha256: str
    def __init__(self, method: _Optional[_Union[ObjectMethod, str]] = ..., key: _Optional[str] = ..., upload_id: _Optional[str] = ..., part_number: _Optional[int] = ..., content_md5: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class SignObjectCallsRequest(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[ObjectCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[ObjectCall, _Mapping]]] = ...) -> None: ...

class SignedObjectCall(_message.Message):
    __slots__ = ("url", "refusal")
    URL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    url: str
    refusal: _common_pb2.Failure
    def __init__(self, url: _Optional[str] = ..., refusal: _Optional[_Union[_common_pb2.Failure, _Mapping]] = ...) -> None: ...

class SignObjectCallsResponse(_message.Message):
    __slots__ = ("calls", "seconds")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[SignedObjectCall]
    seconds: int
    def __init__(self, calls: _Optional[_Iterable[_Union[SignedObjectCall, _Mapping]]] = ..., seconds: _Optional[int] = ...) -> None: ...
