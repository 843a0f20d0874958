"""Checkpoints from the run folder into the object store, in the order in which the training wrote them."""

from __future__ import annotations

import asyncio
import math
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import structlog

from rpc.kill_points import KillPoint, passing
from storage.objects import keys
from storage.objects.digest import files_digest
from storage.objects.errors import AccessRefused, InvalidKey, ObjectMismatch, ObjectNotFound
from storage.objects.store import ObjectStore
from trainer.runs.agent_events import AgentEvents
from trainer.runs.daemon import in_daemon_thread
from trainer.runs.folder import RunFolder
from trainer.runs.spool import SpoolReader
from trainer.runs.store_access import StoreAccess
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, training_pb2

POLL_SECONDS = 0.2
RESUMABLE_FILE = "training_state.safetensors"

logger = structlog.get_logger()


class CheckpointLost(Exception):
    """A checkpoint's folder cannot be read or changed while it was read."""


class CheckpointUploads:
    """Follows the training's spool. ``training_end`` is what the training said of its end, once it was read.

    Every local checkpoint becomes exactly one checkpoint event, so the events that are told say how far an earlier
    agent came; and an id that derives from run and ordinal lets an upload that was cut off be done again in place.
    """

    def __init__(self, folder: RunFolder, spec: run_pb2.RunSpec, store: StoreAccess, events: AgentEvents) -> None:
        self.training_end: run_pb2.RunEnd | None = None
        self._folder = folder
        self._spec = spec
        self._store = store
        self._events = events
        self._minimize = spec.primary_metric_mode == training_pb2.METRIC_MODE_MIN
        self._best = spec.best_metric if spec.HasField("best_metric") else None
        for checkpoint in events.checkpoints:
            self._beats_best(checkpoint.metrics.get(spec.primary_metric))

    async def follow(self, training_over: asyncio.Event) -> None:
        """Upload checkpoints as they come, until all that was there when the training was over is told.

        Raises CheckpointLost.
        """
        reader, offset = SpoolReader(self._folder.training_spool), 0
        ordinal, already = 0, len(self._events.checkpoints)
        while True:
            last_look = training_over.is_set()
            records = reader.read(offset)
            for record in records:
                offset = record.end_offset
                if record.event.HasField("end"):
                    self.training_end = record.event.end
                if not record.event.HasField("local_checkpoint"):
                    continue
                ordinal += 1
                if ordinal > already:
                    await self._publish(ordinal, record.event)
                await in_daemon_thread(partial(self._remove, record.event.local_checkpoint))
            if records:
                continue
            if last_look:
                torn = reader.tail_bytes(offset)
                if torn > 0:
                    logger.warning("the training was cut off while it wrote an event", torn_bytes=torn)
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _publish(self, ordinal: int, event: run_pb2.RunEvent) -> None:
        local = event.local_checkpoint
        checkpoint_id = str(uuid5(NAMESPACE_OID, f"visionmesh/{self._spec.run_id}/{ordinal}"))
        prefix = keys.checkpoint_prefix(self._spec.project_id, self._spec.job_id, checkpoint_id)
        folder = self._folder.path / local.folder
        images_key = keys.validation_images(self._spec.project_id, self._spec.job_id, checkpoint_id)
        images_path = self._folder.path / local.validation_images if local.validation_images else None

        def upload(
            store: ObjectStore,
        ) -> tuple[list[checkpoint_pb2.CheckpointFile], checkpoint_pb2.StoredObject | None]:
            files = _upload(store, folder, prefix)
            return files, _upload_object(store, images_path, images_key) if images_path is not None else None

        passing(KillPoint.CHECKPOINT_WRITTEN)
        try:
            files, images = await self._store.call(f"the checkpoint of epoch {local.epoch}", upload)
        except (OSError, AccessRefused, ObjectMismatch, ObjectNotFound, InvalidKey) as error:
            raise CheckpointLost(f"The checkpoint of epoch {local.epoch} could not be published: {error}") from error
        passing(KillPoint.CHECKPOINT_UPLOADED)
        value = local.metrics.get(self._spec.primary_metric)
        checkpoint = checkpoint_pb2.Checkpoint(
            id=checkpoint_id,
            job_id=self._spec.job_id,
            run_id=self._spec.run_id,
            epoch=local.epoch,
            metrics=local.metrics,
            files=files,
            storage_path=prefix,
            size_bytes=sum(file.size_bytes for file in files),
            digest=files_digest((file.name, file.sha256) for file in files),
            # Without the metric only the training can know.
            is_best=local.is_best if value is None else self._beats_best(value),
            resumable=any(file.name == RESUMABLE_FILE for file in files),
            validation_images=images,
            create_time=event.time,
        )
        self._events.checkpoint(checkpoint)
        passing(KillPoint.CHECKPOINT_RECORDED)
        logger.info("checkpoint published", epoch=local.epoch, bytes=checkpoint.size_bytes)

    def _beats_best(self, value: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        better = self._best is None or (value < self._best if self._minimize else value > self._best)
        if better:
            self._best = value
        return better

    def _remove(self, local: run_pb2.LocalCheckpoint) -> None:
        """Keep the run folder small. What cannot be removed now goes when the run has ended."""
        shutil.rmtree(self._folder.path / local.folder, ignore_errors=True)
        if local.validation_images:
            with suppress(OSError):
                (self._folder.path / local.validation_images).unlink()


def _upload(store: ObjectStore, folder: Path, prefix: str) -> list[checkpoint_pb2.CheckpointFile]:
    """Store every file of a folder and look at what the store then has."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if not paths:
        raise FileNotFoundError(f"{folder} has no files")
    files: list[checkpoint_pb2.CheckpointFile] = []
    for path in paths:
        stored = _upload_object(store, path, f"{prefix}{path.name}")
        files.append(checkpoint_pb2.CheckpointFile(name=path.name, size_bytes=stored.size_bytes, sha256=stored.sha256))
    return files


def _upload_object(store: ObjectStore, path: Path, key: str) -> checkpoint_pb2.StoredObject:
    size = path.stat().st_size
    taken, stored = store.take_file(key, path), store.stat(key)
    if stored.size_bytes != size:
        raise ObjectMismatch(key, f"{size} bytes", f"{stored.size_bytes} bytes")
    return checkpoint_pb2.StoredObject(storage_path=key, size_bytes=size, sha256=taken.sha256)
