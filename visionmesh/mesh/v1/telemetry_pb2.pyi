from visionmesh.mesh.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunCommand(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_COMMAND_UNSPECIFIED: _ClassVar[RunCommand]
    RUN_COMMAND_STOP: _ClassVar[RunCommand]
    RUN_COMMAND_ABANDON: _ClassVar[RunCommand]
RUN_COMMAND_UNSPECIFIED: RunCommand
RUN_COMMAND_STOP: RunCommand
RUN_COMMAND_ABANDON: RunCommand

class RunHello(_message.Message):
    __slots__ = ("run_id", "job_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    job_id: str
    def __init__(self, run_id: _Optional[str] = ..., job_id: _Optional[str] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_run_pb2.RunEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_run_pb2.RunEvent, _Mapping]]] = ...) -> None: ...

class AgentHeartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PublishEventsRequest(_message.Message):
    __slots__ = ("hello", "batch", "heartbeat")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    hello: RunHello
    batch: EventBatch
    heartbeat: AgentHeartbeat
    def __init__(self, hello: _Optional[_Union[RunHello, _Mapping]] = ..., batch: _Optional[_Union[EventBatch, _Mapping]] = ..., heartbeat: _Optional[_Union[AgentHeartbeat, _Mapping]] = ...) -> None: ...

class DurablePosition(_message.Message):
    __slots__ = ("source", "source_sequence")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    source: _run_pb2.EventSource
    source_sequence: int
    def __init__(self, source: _Optional[_Union[_run_pb2.EventSource, str]] = ..., source_sequence: _Optional[int] = ...) -> None: ...

class PublishAcknowledgement(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[DurablePosition]
    def __init__(self, positions: _Optional[_Iterable[_Union[DurablePosition, _Mapping]]] = ...) -> None: ...

class PublishEventsResponse(_message.Message):
    __slots__ = ("acknowledgement", "command")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: PublishAcknowledgement
    command: RunCommand
    def __init__(self, acknowledgement: _Optional[_Union[PublishAcknowledgement, _Mapping]] = ..., command: _Optional[_Union[RunCommand, str]] = ...) -> None: ...
