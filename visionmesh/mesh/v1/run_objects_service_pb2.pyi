from visionmesh.mesh.v1 import run_objects_pb2 as _run_objects_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
