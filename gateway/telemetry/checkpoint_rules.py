"""What a run may say of a checkpoint: its own objects, and nothing else.

What is recorded of a checkpoint is fetched by trainers, served to clients and removed one day: a path that led
elsewhere would give away, or destroy, what belongs to another job.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from storage.objects import keys
from storage.objects.digest import files_digest, is_sha256
from visionmesh.v1 import checkpoint_pb2

MAX_FILES = 100
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def checkpoint_objections(
    told: checkpoint_pb2.Checkpoint, run_id: str, job_id: str, project_id: str
) -> Iterator[tuple[str, str]]:
    """Yield each field of ``told`` that this run cannot say so, and why."""
    if told.run_id != run_id:
        yield "run_id", "is not the run that tells it"
    if told.job_id != job_id:
        yield "job_id", "is not the job of the run that tells it"
    if _ID.fullmatch(told.id):
        yield from _place(told, job_id, project_id)
    else:
        yield "id", "must be 1 to 40 letters, digits, '_' or '-'"
    yield from _files(told)


def _place(told: checkpoint_pb2.Checkpoint, job_id: str, project_id: str) -> Iterator[tuple[str, str]]:
    prefix = keys.checkpoint_prefix(project_id, job_id, told.id)
    if told.storage_path != prefix:
        yield "storage_path", f"is not {prefix}, where this checkpoint belongs"
    if not told.HasField("validation_images"):
        return
    images = told.validation_images
    if images.storage_path != keys.validation_images(project_id, job_id, told.id):
        yield "validation_images.storage_path", "is not where those of this checkpoint belong"
    if images.size_bytes < 0:
        yield "validation_images.size_bytes", "is negative"
    if not is_sha256(images.sha256):
        yield "validation_images.sha256", "is no SHA-256 in lowercase hexadecimal"


def _files(told: checkpoint_pb2.Checkpoint) -> Iterator[tuple[str, str]]:
    if not 1 <= len(told.files) <= MAX_FILES:
        yield "files", f"are {len(told.files)}; a checkpoint has 1 to {MAX_FILES}"
        return
    for name, times in Counter(file.name for file in told.files).items():
        if not _FILE_NAME.fullmatch(name):
            yield "files.name", f"{name[:200]!r} is not a plain file name"
        if times > 1:
            yield "files.name", f"{name[:200]!r} is there {times} times"
    if any(file.size_bytes < 0 for file in told.files):
        yield "files.size_bytes", "is negative"
    if not all(is_sha256(file.sha256) for file in told.files):
        yield "files.sha256", "is no SHA-256 in lowercase hexadecimal"
    if told.size_bytes != sum(file.size_bytes for file in told.files):
        yield "size_bytes", "is not the sum of its files"
    # Trainers keep models by it: a digest of another checkpoint would put this one in that one's place.
    if told.digest != files_digest((file.name, file.sha256) for file in told.files):
        yield "digest", "is not the digest of its files"
