"""RunObjectsService: the object store, for the agents of runs."""

from __future__ import annotations

from typing import Any

from gateway.telemetry.access import agent_run
from gateway.telemetry.run_objects import URL_SECONDS, RunObjects
from rpc.errors import DomainError, invalid_request
from storage.objects.signing import Method, ObjectCall
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_objects_pb2, run_objects_service_pb2_grpc

MAX_CALLS = 1000
METHODS = {run_objects_pb2.ObjectMethod.Value(f"OBJECT_METHOD_{method.name}"): method for method in Method}


class RunObjectsServicer(run_objects_service_pb2_grpc.RunObjectsServiceServicer):
    """Messages to calls and back."""

    def __init__(self, objects: RunObjects) -> None:
        self._objects = objects

    async def SignObjectCalls(
        self, request: run_objects_pb2.SignObjectCallsRequest, context: Any
    ) -> run_objects_pb2.SignObjectCallsResponse:
        outcomes = await self._objects.sign(agent_run().run_id, _calls(request))
        return run_objects_pb2.SignObjectCallsResponse(calls=map(_message, outcomes), seconds=URL_SECONDS)


def _calls(request: run_objects_pb2.SignObjectCallsRequest) -> list[ObjectCall]:
    """Raises INVALID_REQUEST."""
    if not 1 <= len(request.calls) <= MAX_CALLS:
        raise invalid_request([Violation("calls", f"are {len(request.calls)}; must be 1 to {MAX_CALLS}")])
    unknown = [
        Violation(f"calls[{index}].method", "is missing or unknown to this gateway")
        for index, call in enumerate(request.calls)
        if call.method not in METHODS
    ]
    if unknown:
        raise invalid_request(unknown)
    return [
        ObjectCall(METHODS[call.method], call.key, call.upload_id, call.part_number, call.content_md5, call.sha256)
        for call in request.calls
    ]


def _message(outcome: str | DomainError) -> run_objects_pb2.SignedObjectCall:
    if isinstance(outcome, DomainError):
        return run_objects_pb2.SignedObjectCall(refusal=outcome.failure())
    return run_objects_pb2.SignedObjectCall(url=outcome)
