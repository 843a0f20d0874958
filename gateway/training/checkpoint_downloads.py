"""Sending a file of a checkpoint, verified on the way, no faster than the client takes it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.access import Caller
from gateway.checkpoint_readers import CheckpointReaders
from gateway.reading_ahead import one_ahead
from gateway.training.choosing import candidates
from rpc.errors import DomainError, invalid_request
from storage.database.engine import Database
from storage.database.tables import Checkpoint
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore
from visionmesh.errors import Violation

DEFAULT_FILE = "weights.safetensors"
CHUNK_BYTES = 1 << 20
_THREADS = 8
_SHOWN_CHARACTERS = 100


class WrongBytes(Exception):
    """What the store has is not what was published; the text says why."""


@dataclass(frozen=True)
class CheckpointFileRef:
    """A file of a checkpoint: what is sent, and what it must be."""

    checkpoint: Checkpoint
    name: str
    size_bytes: int
    sha256: str

    @property
    def key(self) -> str:
        """Where it lies in the store."""
        return f"{self.checkpoint.storage_path.rstrip('/')}/{self.name}"


class CheckpointDownloads:
    """Downloads of this gateway. One holds a few MiB, and a thread only while it reads."""

    def __init__(self, database: Database, store: ObjectStore, readers: CheckpointReaders) -> None:
        self._database = database
        self._store = store
        self._readers = readers
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="checkpoint")

    async def close(self) -> None:
        """Wait for the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def file(
        self, caller: Caller, job_id: str, checkpoint_id: str, file_name: str, offset: int
    ) -> CheckpointFileRef:
        """The file that a caller asks for; checks that it reaches to ``offset``.

        Raises JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND, NO_CHECKPOINT, FILE_NOT_FOUND, INVALID_REQUEST.
        """
        if offset < 0:
            raise invalid_request([Violation("offset", f"must not be negative, not {offset}")])
        [checkpoint, *_] = await self._database.read(lambda session: candidates(session, caller, job_id, checkpoint_id))
        found = _file(checkpoint, file_name or DEFAULT_FILE)
        if offset > found.size_bytes:
            said = f"must be at most the size of the file, {found.size_bytes}, not {offset}"
            raise invalid_request([Violation("offset", said)])
        return found

    async def chunks(self, caller: Caller, file: CheckpointFileRef, offset: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the file behind ``offset``. Those before are read as well: all of them are verified.

        Raises STORAGE_CORRUPT, and JOB_NOT_FOUND or CHECKPOINT_NOT_FOUND when it is no longer kept.
        """
        with self._readers.reading(file.checkpoint.storage_path):
            try:
                async with aclosing(one_ahead(self._threads, _verified(self._store, file, offset))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except (ObjectNotFound, WrongBytes) as error:
                # Of one that was superseded or deleted, the store is not to blame.
                job_id, checkpoint_id = file.checkpoint.job_id, file.checkpoint.id
                await self._database.read(lambda session: candidates(session, caller, job_id, checkpoint_id)[0].id)
                raise _corrupt(file, str(error)) from error


def _file(checkpoint: Checkpoint, name: str) -> CheckpointFileRef:
    files: list[dict[str, Any]] = checkpoint.files
    for file in files:
        if file["name"] == name:
            return CheckpointFileRef(checkpoint, name, file["size_bytes"], file["sha256"])
    names = ", ".join(sorted(file["name"] for file in files))
    shown = name[:_SHOWN_CHARACTERS]
    raise DomainError(
        "FILE_NOT_FOUND",
        f"Checkpoint {checkpoint.id} has no file {shown!r}; it has: {names}.",
        metadata={"checkpoint_id": checkpoint.id, "file_name": shown, "files": names},
    )


def _verified(store: ObjectStore, file: CheckpointFileRef, offset: int) -> Iterator[bytes]:
    """The bytes behind ``offset``. Raises ObjectNotFound, WrongBytes, StoreUnavailable."""
    digest, size = hashlib.sha256(), 0
    for chunk in store.read(file.key, CHUNK_BYTES):
        digest.update(chunk)
        begin, size = size, size + len(chunk)
        if size > file.size_bytes:
            raise WrongBytes(f"it has more than {file.size_bytes} bytes")
        if size > offset:
            yield chunk[max(0, offset - begin) :]
    if (size, digest.hexdigest()) != (file.size_bytes, file.sha256):
        raise WrongBytes(f"it has {size} bytes with the SHA-256 {digest.hexdigest()}")


def _corrupt(file: CheckpointFileRef, why: str) -> DomainError:
    return DomainError(
        "STORAGE_CORRUPT",
        f"{file.name} of checkpoint {file.checkpoint.id} is not the file of {file.size_bytes} bytes with the SHA-256 "
        f"{file.sha256} that was published: {why}.",
        metadata={"checkpoint_id": file.checkpoint.id, "storage_path": file.key, "sha256": file.sha256},
    )
