"""Which checkpoints a warm start may take its weights from."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from gateway.inference.lookup import by_checkpoint, checkpoint_not_found
from rpc.errors import invalid_request
from storage.database.projections import CheckpointRepository
from storage.database.tables import Checkpoint, TrainingJob
from visionmesh.errors import Violation


def first_weights(session: Session, job: TrainingJob, checkpoint_id: str) -> Checkpoint:
    """The checkpoint, which may be of any job of the same user, whose weights ``job`` can begin with.

    Raises CHECKPOINT_NOT_FOUND, and INVALID_REQUEST when it is of another framework, task or model. Classes may differ:
    the trainer replaces the head then.
    """
    found = by_checkpoint(session, checkpoint_id, job.user_id)
    # It stays for as long as the start takes: the other job may be deleted now, or record a better one.
    if not CheckpointRepository(session).lock(checkpoint_id):
        raise checkpoint_not_found(checkpoint_id)
    if violations := [Violation("checkpoint_id", text) for text in misfits(job, found.job)]:
        raise invalid_request(violations)
    return found.checkpoint


def misfits(job: TrainingJob, source: TrainingJob) -> Iterator[str]:
    """Why ``job`` cannot begin with weights of ``source``."""
    for what, theirs, ours in (
        ("framework", source.framework, job.framework),
        ("task", source.task_type, job.task_type),
        ("model", source.model_name, job.model_name),
    ):
        if theirs != ours:
            yield (
                f"is of job {source.id} with {what} {theirs}, but job {job.id} has {what} {ours}; a warm start takes "
                f"the weights of the same {what}"
            )
