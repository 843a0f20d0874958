"""What an attempt of a job begins with: nothing, the weights of a checkpoint, or a checkpoint that it goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from rpc.errors import DomainError
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint, Run, TrainingJob
from visionmesh.v1 import common_pb2


@dataclass(frozen=True)
class Origin:
    """``warm_start``: the attempt takes the checkpoint's weights alone, and begins with epoch 1."""

    checkpoint: Checkpoint | None = None
    warm_start: bool = False

    @property
    def resumed(self) -> Checkpoint | None:
        """The checkpoint that the attempt goes on from, if it does."""
        return None if self.warm_start else self.checkpoint

    @property
    def epochs_done(self) -> int:
        """Epochs that the attempt need not train."""
        return self.resumed.epoch if self.resumed is not None else 0


def next_origin(session: Session, job: TrainingJob) -> Origin:
    """What the job's next attempt begins with. Raises CHECKPOINT_NOT_FOUND when that was deleted meanwhile.

    A restart goes on from the newest checkpoint that was made since a caller started the job and can be gone on from,
    but for those that turned out to be damaged. Without any it begins as the caller said.
    """
    if job.restarts:
        since = job.started_after_attempt
        damaged = {
            run.checkpoint_id
            for run in JobRepository(session).runs(job.id)
            if run.attempt > since and run.failure is not None and _names(run, run.failure)
        }
        made = CheckpointRepository(session).last_resumable(job.id, after_attempt=since, without=damaged)
        if made is not None:
            return Origin(made)
    return _found(session, job.id, job.resume_checkpoint_id or job.start_checkpoint_id, not job.resume_checkpoint_id)


def origin_of(session: Session, run: Run) -> Origin:
    """What an attempt that has begun was given. Raises CHECKPOINT_NOT_FOUND."""
    return _found(session, run.job_id, run.checkpoint_id, run.warm_start)


def another_origin(job: TrainingJob, run: Run, failure: common_pb2.Failure) -> bool:
    """Whether the run failed for its checkpoint alone, which a restart had chosen: an earlier one may be whole."""
    chosen = (job.resume_checkpoint_id, job.start_checkpoint_id)
    kept = {"reason": failure.reason, "metadata": failure.metadata}
    return _names(run, kept) and run.checkpoint_id not in chosen


def _names(run: Run, failure: dict[str, Any]) -> bool:
    """Whether a failure says that the checkpoint which the run began with is damaged or gone."""
    named = failure["metadata"].get("checkpoint_id", "")
    return failure["reason"] == "STORAGE_CORRUPT" and bool(named) and named == run.checkpoint_id


def _found(session: Session, job_id: str, checkpoint_id: str, warm_start: bool) -> Origin:
    if not checkpoint_id:
        return Origin()
    checkpoint = CheckpointRepository(session).get(checkpoint_id)
    if checkpoint is None:
        raise DomainError(
            "CHECKPOINT_NOT_FOUND",
            f"Checkpoint {checkpoint_id}, which the job was to begin with, was deleted; start the job afresh, or from "
            "one that ListCheckpoints shows.",
            metadata={"job_id": job_id, "checkpoint_id": checkpoint_id},
        )
    return Origin(checkpoint, warm_start)
