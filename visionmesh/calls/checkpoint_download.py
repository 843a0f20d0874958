"""Files of checkpoints to this machine, going on by themselves after a break."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import grpc

from visionmesh.calls.folder import FolderError
from visionmesh.calls.following import Backoff, Patience
from visionmesh.calls.jobs import JobCalls
from visionmesh.calls.target import PART_PREFIX
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import checkpoint_pb2, training_pb2

OnBytes = Callable[[int, int], None]
"""Told of the bytes that are there and of those that the file has."""


@dataclass(frozen=True)
class DownloadedCheckpoint:
    """A file of a checkpoint, now at ``path``; ``was_there``: it was before, with the right bytes."""

    path: Path
    checkpoint_id: str
    epoch: int
    file: checkpoint_pb2.CheckpointFile
    was_there: bool


class CheckpointDownloadCalls(JobCalls):
    """Downloads of checkpoints."""

    def download_checkpoint(
        self,
        job_id: str,
        path: str | os.PathLike[str] | None = None,
        *,
        checkpoint_id: str = "",
        file_name: str = "",
        progress: OnBytes | None = None,
        patience: Patience | None = None,
    ) -> DownloadedCheckpoint:
        """Download a file of a job's checkpoint: the best one unless told otherwise, else the last; its weights.

        ``path`` is the file to make, or a folder to put it into; without one it is ``JOB-FILE`` here. It appears whole
        and verified, in place of an older one. What had come when a download broke lies beside it, and the next one
        goes on from there; a gateway that is UNAVAILABLE is waited for. Raises ``VisionMeshError``, ``FolderError``,
        ``OSError``.
        """
        request = training_pb2.DownloadCheckpointRequest(
            job_id=job_id, checkpoint_id=checkpoint_id, file_name=file_name
        )
        delays = Backoff(patience or Patience())
        part: _Part | None = None
        while True:
            stream = self._training.DownloadCheckpoint(request, metadata=self._metadata)
            delays.began()
            try:
                answers = iter(stream)
                first = next(answers)
                delays.heard()
                if part is None:
                    part = _Part(_target(path, job_id, first.file.name), first)
                    if part.is_there():
                        return part.result(was_there=True)
                    # The same one again after a break, whichever is the best by then.
                    request.checkpoint_id, request.file_name = first.checkpoint_id, first.file.name
                    request.offset = part.size()
                    if request.offset:
                        continue
                for done in part.write(answer.chunk for answer in answers):
                    delays.heard()
                    if progress is not None:
                        progress(done, first.file.size_bytes)
                part.finish()
                return part.result(was_there=False)
            except grpc.RpcError as error:
                delays.broke(error)
                if part is not None:
                    request.offset = part.size()
            finally:
                stream.cancel()


class _Part:
    """What has come of a file; its name is that of the content, so that a later download finds it."""

    def __init__(self, target: Path, first: training_pb2.DownloadCheckpointResponse) -> None:
        self._target = target
        self._first = first
        self._path = target.parent / f"{PART_PREFIX}{first.file.sha256}"

    def is_there(self) -> bool:
        """Whether the file itself is there already, with the right bytes."""
        file = self._first.file
        return (
            self._target.is_file()
            and self._target.stat().st_size == file.size_bytes
            and _sha256(self._target) == file.sha256
        )

    def size(self) -> int:
        """Bytes that have come."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size > self._first.file.size_bytes:  # no part of this file
            self._path.unlink()
            return 0
        return size

    def write(self, chunks: Iterator[bytes]) -> Iterator[int]:
        """Append what comes; yields the bytes that are there each time."""
        with self._path.open("ab") as file:
            yield file.tell()
            for chunk in chunks:
                file.write(chunk)
                yield file.tell()
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Put the whole file in its place. Raises ``VisionMeshError`` when it is not what the server said."""
        file = self._first.file
        if _sha256(self._path) != file.sha256:
            self._path.unlink()
            said = f"what came as {file.name} is not the file of SHA-256 {file.sha256}; try again"
            raise VisionMeshError(
                grpc.StatusCode.DATA_LOSS, said, metadata={"checkpoint_id": self._first.checkpoint_id}
            )
        os.replace(self._path, self._target)

    def result(self, *, was_there: bool) -> DownloadedCheckpoint:
        """What a caller is told."""
        first = self._first
        return DownloadedCheckpoint(self._target, first.checkpoint_id, first.epoch, first.file, was_there)


def _target(path: str | os.PathLike[str] | None, job_id: str, file_name: str) -> Path:
    """Where the file goes. Raises ``FolderError`` for a name that leads elsewhere, whatever a server says."""
    if path is not None and not Path(path).is_dir():
        return Path(path)
    if file_name in ("", ".", "..") or {"/", "\\", "\0"} & {*file_name} or PureWindowsPath(file_name).drive:
        raise FolderError(f"the server names a file {file_name!r}, which may lie anywhere")
    return Path(path) / file_name if path is not None else Path(f"{job_id}-{file_name}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
