"""Checkpoints as trainers are told of them."""

from __future__ import annotations

from storage.database.tables import Checkpoint
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2


def checkpoint_ref(checkpoint: Checkpoint) -> run_pb2.CheckpointRef:
    """Where the bytes of a checkpoint lie, as trainers are told."""
    return run_pb2.CheckpointRef(
        checkpoint_id=checkpoint.id,
        job_id=checkpoint.job_id,
        storage_path=checkpoint.storage_path,
        files=[checkpoint_pb2.CheckpointFile(**file) for file in checkpoint.files],
        digest=checkpoint.digest,
        epoch=checkpoint.epoch,
    )
