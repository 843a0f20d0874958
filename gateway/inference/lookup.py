"""Finds the trained model that a caller may predict with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from rpc.errors import DomainError
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint, TrainingJob

# What a caller sent as an id goes back into the error; ids of ours are shorter, and errors travel in one header.
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class TrainedModel:
    """A checkpoint and the job it came from."""

    job: TrainingJob
    checkpoint: Checkpoint


def by_job(session: Session, job_id: str, user_id: str) -> TrainedModel:
    """The best checkpoint of the user's job, else its last. Raises DomainError JOB_NOT_FOUND, NO_CHECKPOINT."""
    job = JobRepository(session).owned(job_id, user_id) if _possible(job_id) else None
    if job is None:
        shown = job_id[:_SHOWN_CHARACTERS]
        raise DomainError("JOB_NOT_FOUND", f"There is no job {shown!r}.", metadata={"job_id": shown})
    for checkpoint_id in (job.best_checkpoint_id, job.last_checkpoint_id):
        checkpoint = CheckpointRepository(session).get(checkpoint_id) if checkpoint_id else None
        if checkpoint is not None:
            return TrainedModel(job, checkpoint)
    raise DomainError(
        "NO_CHECKPOINT",
        f"Job {job_id} has no checkpoint yet; it is {job.state}. The first one comes after its first epoch.",
        metadata={"job_id": job_id, "state": job.state},
    )


def by_checkpoint(session: Session, checkpoint_id: str, user_id: str) -> TrainedModel:
    """The checkpoint, if its job is the user's. Raises DomainError CHECKPOINT_NOT_FOUND."""
    checkpoint = CheckpointRepository(session).get(checkpoint_id) if _possible(checkpoint_id) else None
    job = JobRepository(session).owned(checkpoint.job_id, user_id) if checkpoint is not None else None
    if checkpoint is None or job is None:
        raise checkpoint_not_found(checkpoint_id)
    return TrainedModel(job, checkpoint)


def checkpoint_not_found(checkpoint_id: str) -> DomainError:
    """CHECKPOINT_NOT_FOUND; the same for one that does not exist and one of someone else's."""
    shown = checkpoint_id[:_SHOWN_CHARACTERS]
    return DomainError("CHECKPOINT_NOT_FOUND", f"There is no checkpoint {shown!r}.", metadata={"checkpoint_id": shown})


def _possible(given_id: str) -> bool:
    # PostgreSQL refuses NUL in text with an error of its own; no id of ours has one.
    return "\0" not in given_id
