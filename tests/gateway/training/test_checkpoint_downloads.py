"""Files of checkpoints, as clients get them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from storage.database.retention import RetentionRepository
from tests.gateway.calls import refused
from tests.gateway.checkpoints import STATE_FILE, published, weights
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from tests.gateway.waiting import until
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import training_pb2

SIZE = 2_500_000


async def trained(mesh: Mesh, ada: JobClient, *accuracies: float, size_bytes: int = SIZE) -> list[run_pb2.RunEvent]:
    """A job with a checkpoint for each accuracy; gives their events."""
    script, agent = await mesh.running(ada, epochs=9)
    events = [
        published(mesh, script, epoch, accuracy, size_bytes=size_bytes) for epoch, accuracy in enumerate(accuracies, 1)
    ]
    await agent.send(*events)
    return events


async def test_the_best_ones_weights_unless_told_otherwise(mesh: Mesh, ada: JobClient) -> None:
    best, last = await trained(mesh, ada, 0.9, 0.5)
    job_id = best.checkpoint.job_id
    first, data = await ada.download(job_id)
    assert (first.checkpoint_id, first.epoch, data) == (best.checkpoint.id, 1, weights(1, SIZE))
    assert first.file == best.checkpoint.files[0] and first.file.name == "weights.safetensors"
    first, data = await ada.download(job_id, checkpoint_id=last.checkpoint.id)
    assert (first.checkpoint_id, first.epoch, data) == (last.checkpoint.id, 2, weights(2, SIZE))
    first, data = await ada.download(job_id, file_name=STATE_FILE)
    assert (first.file, data) == (best.checkpoint.files[1], b"state")


async def test_without_a_best_one_it_is_the_last(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    error = await refused(ada.download(script.run.job_id))
    assert (error.reason, error.code) == ("NO_CHECKPOINT", grpc.StatusCode.FAILED_PRECONDITION)
    event = published(mesh, script, 1)
    event.checkpoint.metrics.clear()
    await agent.send(event)
    assert not (await ada.get(script.run.job_id)).best_checkpoint_id
    assert (await ada.download(script.run.job_id))[1] == weights(1)


@pytest.mark.parametrize("offset", [1, 1 << 20, (1 << 20) + 1, SIZE - 1, SIZE])
async def test_a_download_goes_on_behind_what_came(mesh: Mesh, ada: JobClient, offset: int) -> None:
    [event] = await trained(mesh, ada, 0.5)
    first, data = await ada.download(event.checkpoint.job_id, offset=offset)
    assert (first.file.size_bytes, data) == (SIZE, weights(1, SIZE)[offset:])


async def test_what_there_is_not_is_said(mesh: Mesh, ada: JobClient, ben: JobClient) -> None:
    [event] = await trained(mesh, ada, 0.5)
    job_id = event.checkpoint.job_id
    [other] = await trained(mesh, ada, 0.5)
    for checkpoint_id in ("ckpt_none", other.checkpoint.id, "a\0b", "x" * 9000):
        error = await refused(ada.download(job_id, checkpoint_id=checkpoint_id))
        assert (error.reason, error.code) == ("CHECKPOINT_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    for name in ("model.pt", "../weights.safetensors", "x" * 9000):
        error = await refused(ada.download(job_id, file_name=name))
        assert (error.reason, error.code) == ("FILE_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
        assert error.metadata["files"] == f"{STATE_FILE}, weights.safetensors" in error.message
    for offset in (-1, SIZE + 1):
        error = await refused(ada.download(job_id, offset=offset))
        assert [item.field for item in error.violations] == ["offset"]
    assert (await refused(ben.download(job_id, checkpoint_id=event.checkpoint.id))).reason == "JOB_NOT_FOUND"


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "longer"])
async def test_damaged_bytes_are_never_taken_for_a_file(mesh: Mesh, ada: JobClient, damage: str) -> None:
    [event] = await trained(mesh, ada, 0.5)
    key = event.checkpoint.storage_path + "weights.safetensors"
    whole = mesh.store.get(key)
    match damage:
        case "gone":
            mesh.store.delete(key)
        case "cut":
            mesh.store.put(key, whole[:-1])
        case "other":
            mesh.store.put(key, b"!" + whole[1:])  # before the offset, and seen nevertheless
        case "longer":
            mesh.store.put(key, whole + b"!")
    for offset in (0, 2 << 20):
        error = await refused(ada.download(event.checkpoint.job_id, offset=offset))
        assert (error.reason, error.code) == ("STORAGE_CORRUPT", grpc.StatusCode.FAILED_PRECONDITION)
        assert error.metadata["sha256"] == event.checkpoint.files[0].sha256 in error.message
        assert error.metadata["storage_path"] == key
    assert (await ada.download(event.checkpoint.job_id, file_name=STATE_FILE))[1] == b"state"


async def test_one_that_is_removed_meanwhile_is_not_called_damaged(
    mesh: Mesh, ada: JobClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another gateway: this one does not touch what it reads."""
    [event] = await trained(mesh, ada, 0.5)
    removed, read_now = threading.Event(), mesh.store.read

    def read_later(key: str, chunk_bytes: int) -> Iterator[bytes]:
        removed.wait(20)
        yield from read_now(key, chunk_bytes)

    monkeypatch.setattr(mesh.store, "read", read_later)
    request = training_pb2.DownloadCheckpointRequest(job_id=event.checkpoint.job_id)
    call: Any = ada.stub.DownloadCheckpoint(request, metadata=ada.metadata, timeout=60)
    assert (await call.read()).checkpoint_id == event.checkpoint.id
    await mesh.database.write(lambda session: RetentionRepository(session).delete([event.checkpoint.id]))
    mesh.store.delete_prefix(event.checkpoint.storage_path)
    removed.set()
    assert (await refused(call.read())).reason == "CHECKPOINT_NOT_FOUND"


async def test_a_store_that_is_away_can_be_asked_again(mesh: Mesh, ada: JobClient, tmp_path: Path) -> None:
    [event] = await trained(mesh, ada, 0.5)
    folder, away = tmp_path / "objects", tmp_path / "away"
    folder.rename(away)
    error = await refused(ada.download(event.checkpoint.job_id))
    assert (error.reason, error.code) == ("OBJECT_STORE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
    assert error.retry_seconds
    away.rename(folder)
    assert (await ada.download(event.checkpoint.job_id))[1] == weights(1, SIZE)


async def test_who_leaves_holds_nothing(mesh: Mesh, ada: JobClient) -> None:
    [event] = await trained(mesh, ada, 0.5, size_bytes=40 << 20)
    request = training_pb2.DownloadCheckpointRequest(job_id=event.checkpoint.job_id)
    call = ada.stub.DownloadCheckpoint(request, metadata=ada.metadata, timeout=60)
    await call.read()
    await call.read()
    assert mesh.gateway.readers.needed()
    call.cancel()
    await until(lambda: not mesh.gateway.readers.needed(), 20)
