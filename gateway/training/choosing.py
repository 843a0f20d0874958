"""Which checkpoint of a job a caller means."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.access import Caller
from gateway.events.log import job_not_found
from rpc.errors import DomainError
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint

# What a caller sent as an id goes back into the error; ids of ours are shorter, and errors travel in one header.
_SHOWN_CHARACTERS = 100


def candidates(session: Session, caller: Caller, job_id: str, checkpoint_id: str) -> list[Checkpoint]:
    """The checkpoint of the caller's job that was asked for; without one the best, and behind it the last.

    Raises JOB_NOT_FOUND, CHECKPOINT_NOT_FOUND, NO_CHECKPOINT.
    """
    job = JobRepository(session).owned(job_id, caller.user_id)
    if job is None:
        raise job_not_found(job_id)
    checkpoints = CheckpointRepository(session)
    if checkpoint_id:
        asked = checkpoints.get(checkpoint_id) if "\0" not in checkpoint_id else None
        if asked is None or asked.job_id != job_id:
            shown = checkpoint_id[:_SHOWN_CHARACTERS]
            raise DomainError(
                "CHECKPOINT_NOT_FOUND",
                f"Job {job_id} has no checkpoint {shown!r}; ListCheckpoints shows those it has.",
                metadata={"job_id": job_id, "checkpoint_id": shown},
            )
        return [asked]
    chosen = [checkpoints.get(each) for each in (job.best_checkpoint_id, job.last_checkpoint_id) if each]
    found = [checkpoint for checkpoint in chosen if checkpoint is not None]
    if not found:
        raise DomainError(
            "NO_CHECKPOINT",
            f"Job {job_id} has no checkpoint yet; it is {job.state}. The first one comes after its first epoch.",
            metadata={"job_id": job_id, "state": job.state},
        )
    return found
