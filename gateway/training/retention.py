"""Which checkpoints of a job are kept, inside a transaction on the job."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from gateway.events.log import JobTransaction
from gateway.training.states import ACTIVE
from storage.database.garbage import OBJECT, PREFIX, GarbageItem
from storage.database.jobs import JobRepository
from storage.database.projections import CheckpointRepository
from storage.database.retention import RetentionRepository
from storage.database.tables import Checkpoint, TrainingJob
from storage.objects import keys


@dataclass(frozen=True)
class Retention:
    """Kept beside the best and the last checkpoint: those of every n-th epoch (0: none), and so many of the newest."""

    every_n_epochs: int = 0
    keep_last: int = 1

    def fill_in(self, job: TrainingJob) -> None:
        """Give a new job what its spec left open."""
        if job.retain_every_n_epochs is None:
            job.retain_every_n_epochs = self.every_n_epochs
        if job.retain_last is None:
            job.retain_last = self.keep_last


def enforce(transaction: JobTransaction) -> None:
    """Drop the job's checkpoints that are no longer kept; their objects go after the commit.

    One that a job which has not ended takes from (goes on from, or takes its first weights from) is held until then.
    """
    job, session = transaction.job, transaction.session
    checkpoints, retained = CheckpointRepository(session), RetentionRepository(session)
    last = checkpoints.get(job.last_checkpoint_id) if job.last_checkpoint_id else None
    if last is None:
        return  # nothing of the present training is there yet: what is there may still be needed
    resumable = last if last.resumable else checkpoints.last_resumable(job.id)
    discarded = retained.lock_discarded(
        last,
        [job.best_checkpoint_id, *([resumable.id] if resumable is not None else [])],
        every_n_epochs=job.retain_every_n_epochs,
        keep_last=job.retain_last,
    )
    # Looked up when they are locked: a start that takes from one of them locks it before it is queued.
    in_use = JobRepository(session).taking(discarded, ACTIVE)
    retained.hold(job.id, in_use)
    gone = [checkpoint_id for checkpoint_id in discarded if checkpoint_id not in in_use]
    images = retained.delete(gone)
    transaction.discard(
        *(GarbageItem(PREFIX, keys.checkpoint_prefix(job.project_id, job.id, each)) for each in gone),
        *(GarbageItem(OBJECT, path) for path in images),
    )


def leave_behind(session: Session, job: TrainingJob, source: Checkpoint | None) -> None:
    """A caller starts the job again, from ``source`` or afresh: keep the best and the last of what no longer counts.

    Nobody who forgot to say `resume` loses three days of training to the first epoch of a new one.
    """
    checkpoints = CheckpointRepository(session)
    counting = {checkpoint.id for checkpoint in checkpoints.way_to(source)} if source is not None else set()
    left = {job.best_checkpoint_id, job.last_checkpoint_id} - counting - {""}
    RetentionRepository(session).leave_behind(left, counting)
