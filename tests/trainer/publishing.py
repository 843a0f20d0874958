"""Putting checkpoints into a store the way a run does."""

from __future__ import annotations

from storage.objects.digest import sha256_bytes
from storage.objects.keys import checkpoint_prefix
from storage.objects.store import ObjectStore
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2


def publish_checkpoint(store: ObjectStore, checkpoint_id: str, files: dict[str, bytes]) -> run_pb2.CheckpointRef:
    """Store the files of a checkpoint and return the reference that the gateway would send."""
    prefix = checkpoint_prefix("project", "job", checkpoint_id)
    for name, content in files.items():
        store.put(prefix + name, content)
    listing = "".join(f"{name} {sha256_bytes(content)}\n" for name, content in sorted(files.items()))
    return run_pb2.CheckpointRef(
        checkpoint_id=checkpoint_id,
        job_id="job",
        storage_path=prefix,
        files=[
            checkpoint_pb2.CheckpointFile(name=name, size_bytes=len(content), sha256=sha256_bytes(content))
            for name, content in files.items()
        ],
        digest=sha256_bytes(listing.encode()),
        epoch=1,
    )
