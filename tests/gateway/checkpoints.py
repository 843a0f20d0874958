"""Checkpoints whose bytes lie in the store, as an agent leaves them."""

from __future__ import annotations

from storage.objects import keys
from storage.objects.digest import files_digest, sha256_bytes
from tests.gateway.job_agent import Script
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from tests.gateway.waiting import until
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2

KEEP_ALL = checkpoint_pb2.CheckpointRetention(every_n_epochs=1)
STATE_FILE = "training_state.safetensors"


def weights(epoch: int, size_bytes: int = 0) -> bytes:
    """The bytes of an epoch's weights."""
    return f"weights of epoch {epoch} ".encode().ljust(size_bytes, b"w")


def published(
    mesh: Mesh, script: Script, epoch: int, accuracy: float = 0.5, *, resumable: bool = True, size_bytes: int = 0
) -> run_pb2.RunEvent:
    """The event of a checkpoint that is in the store: weights, and a training state where it is resumable."""
    event = script.checkpoint(epoch, accuracy, resumable=resumable)
    told = event.checkpoint
    del told.files[:]
    files = {"weights.safetensors": weights(epoch, size_bytes), **({STATE_FILE: b"state"} if resumable else {})}
    for name, data in files.items():
        mesh.store.put(told.storage_path + name, data)
        told.files.add(name=name, size_bytes=len(data), sha256=sha256_bytes(data))
    told.size_bytes = sum(file.size_bytes for file in told.files)
    told.digest = files_digest((file.name, file.sha256) for file in told.files)
    return event


def named(script: Script, *epochs: int) -> set[str]:
    """The ids of the checkpoints that a run wrote after these epochs."""
    return {f"{script.run.run_id[-12:]}-{epoch}" for epoch in epochs}


def stored(mesh: Mesh) -> set[str]:
    """The checkpoints that have objects in the store."""
    return {info.key.split("/")[3] for info in mesh.store.list(keys.CHECKPOINTS)}


async def only_stored(mesh: Mesh, *checkpoint_ids: set[str]) -> None:
    """Wait until the store holds these checkpoints and no others."""
    expected = set().union(*checkpoint_ids)
    await until(lambda: stored(mesh) == expected, 20)


async def listed(client: JobClient, job_id: str) -> list[int]:
    """The epochs of the checkpoints that ListCheckpoints shows."""
    return [item.epoch for item in (await client.checkpoints(job_id)).checkpoints]
