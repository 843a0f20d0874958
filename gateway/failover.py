"""Asks replicas in turn: when one is gone between two polls of the fleet, the next one answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.fleet import Trainer
from rpc.errors import DomainError
from visionmesh.mesh.v1 import trainer_service_pb2_grpc

T = TypeVar("T")

# Reasons that speak of the replica and not of the request: another one may answer.
_OF_THE_REPLICA = ("FRAMEWORK_UNAVAILABLE", "SHUTTING_DOWN")


async def first_answer(
    trainers: Sequence[Trainer],
    ask: Callable[[trainer_service_pb2_grpc.TrainerServiceAsyncStub, float], Awaitable[T]],
) -> T:
    """The answer of the first of ``trainers`` (at least one) that can be reached. Only for calls that change nothing.

    Raises the DomainError of the one that answered with it, or of the last when none can be reached.
    """
    *others, last = trainers
    for trainer in others:
        try:
            return await trainer.call(ask)
        except DomainError as error:
            if error.reason not in _OF_THE_REPLICA:
                raise
    return await last.call(ask)
