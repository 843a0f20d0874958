from visionmesh.mesh.v1 import telemetry_pb2 as _telemetry_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
