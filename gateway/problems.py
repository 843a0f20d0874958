"""How an answer that is otherwise good reports a trainer that is out of reach."""

from __future__ import annotations

from gateway.fleet import Trainer
from visionmesh.v1 import common_pb2


def framework_problem(trainer: Trainer, why: str = "") -> common_pb2.FrameworkProblem:
    """The problem of one trainer: ``why``, or else what it said or did not say when it was last asked."""
    return common_pb2.FrameworkProblem(
        framework=trainer.framework, address=trainer.address, message=why or trainer.problem
    )
