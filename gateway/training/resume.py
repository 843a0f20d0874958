"""Which checkpoint a job goes on from when its caller starts it with ``resume``."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.inference.lookup import by_checkpoint
from gateway.training.warm_start import misfits
from rpc.errors import DomainError, invalid_request
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint, TrainingJob
from visionmesh.errors import Violation


def resume_source(session: Session, job: TrainingJob, checkpoint_id: str) -> Checkpoint:
    """The checkpoint of ``job`` that was named, or without a name the last one that can be gone on from.

    Raises CHECKPOINT_NOT_FOUND, also when it is of another job, NO_CHECKPOINT, and INVALID_REQUEST when it holds no
    training state.
    """
    if not checkpoint_id:
        return _last(session, job)
    found = by_checkpoint(session, checkpoint_id, job.user_id)
    if found.job.id != job.id:
        raise _of_another_job(job, found.job, checkpoint_id)
    if not found.checkpoint.resumable:
        raise invalid_request([Violation("checkpoint_id", "holds no training state, so it cannot be gone on from")])
    return found.checkpoint


def _last(session: Session, job: TrainingJob) -> Checkpoint:
    checkpoints = CheckpointRepository(session)
    last = checkpoints.get(job.last_checkpoint_id) if job.last_checkpoint_id else None
    found = last if last is not None and last.resumable else checkpoints.last_resumable(job.id)
    if found is None:
        raise DomainError(
            "NO_CHECKPOINT",
            f"Job {job.id} has no checkpoint to go on from; start it without `resume`.",
            metadata={"job_id": job.id},
        )
    return found


def _of_another_job(job: TrainingJob, other: TrainingJob, checkpoint_id: str) -> DomainError:
    said = f"Checkpoint {checkpoint_id} is of job {other.id}; job {job.id} can go on from its own alone, which "
    said += "ListCheckpoints shows. "
    if unfit := next(misfits(job, other), ""):
        said += f"Nor can it begin with the weights of that one: it {unfit}."
    else:
        said += "Started without `resume`, it would begin afresh with the weights of that one."
    return DomainError(
        "CHECKPOINT_NOT_FOUND",
        said,
        metadata={"job_id": job.id, "checkpoint_id": checkpoint_id, "checkpoint_job_id": other.id},
    )
