"""What callers change of a job that exists: its labels, its priority, what is kept of it, and whether it exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.access import Caller
from gateway.events.log import JobLog, JobTransaction
from gateway.training.ownership import owned
from gateway.training.retention import Retention, enforce
from gateway.training.states import ACTIVE
from rpc.errors import DomainError, invalid_request
from storage.database.garbage import PREFIX, GarbageItem
from storage.database.requests import RequestRepository
from storage.database.retention import RetentionRepository
from storage.database.tables import TrainingJob
from storage.objects import keys
from visionmesh.errors import Violation

EVERY_N_EPOCHS, KEEP_LAST = "checkpoint_retention.every_n_epochs", "checkpoint_retention.keep_last"
CHANGEABLE = (
    "experiment_name", "tags", "notes", "priority", "checkpoint_retention", EVERY_N_EPOCHS, KEEP_LAST,
)  # fmt: skip
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class JobChange:
    """New values of the fields that ``paths`` name. Of retention, None is what the gateway's settings say."""

    paths: tuple[str, ...]
    experiment_name: str
    tags: tuple[str, ...]
    notes: str
    priority: int
    retain_every_n_epochs: int | None
    retain_last: int | None

    def columns(self, defaults: Retention) -> dict[str, object]:
        """The columns to set."""
        named = set(self.paths)
        if "checkpoint_retention" in named:
            named |= {EVERY_N_EPOCHS, KEEP_LAST}
        every_n, last = self.retain_every_n_epochs, self.retain_last
        known: dict[str, tuple[str, object]] = {
            "experiment_name": ("experiment_name", self.experiment_name),
            "tags": ("tags", list(self.tags)),
            "notes": ("notes", self.notes),
            "priority": ("priority", self.priority),
            EVERY_N_EPOCHS: ("retain_every_n_epochs", defaults.every_n_epochs if every_n is None else every_n),
            KEEP_LAST: ("retain_last", defaults.keep_last if last is None else last),
        }
        return dict(known[path] for path in named if path in known)


def mask_violations(paths: Sequence[str], fields: Sequence[str], *, masked: bool) -> list[Violation]:
    """What is wrong with the paths of an update mask, or, unless ``masked``, with the fields that are set in place of
    one; ``fields`` are all that a job has."""
    known = ", ".join(CHANGEABLE)
    if not paths:
        return [Violation("update_mask", f"names nothing, and no field of job is set; what can be changed: {known}")]
    found: list[Violation] = []
    for place, path in enumerate(paths):
        if path in CHANGEABLE:
            continue
        field = path.partition(".")[0]
        if field in fields and field not in CHANGEABLE:
            said = f"{path[:_SHOWN_CHARACTERS]!r} is fixed when the job is created; what can be changed: {known}"
        else:
            said = f"{path[:_SHOWN_CHARACTERS]!r} is no field of a job; what can be changed: {known}"
        found.append(Violation(f"update_mask.paths[{place}]" if masked else f"job.{path}", said))
    return found


class JobChanges:
    """Changes jobs of the caller. ``wake_dispatcher`` is called when the order of the queue may have changed."""

    def __init__(self, log: JobLog, wake_dispatcher: Callable[[], None], retention: Retention) -> None:
        self._log = log
        self._wake_dispatcher = wake_dispatcher
        self._retention = retention

    async def update(
        self, caller: Caller, job_id: str, change: JobChange, violations: Sequence[Violation]
    ) -> TrainingJob:
        """Change a job, in any state; ``violations`` are those found in the request. Raises as UpdateJob says."""

        def apply(transaction: JobTransaction) -> TrainingJob:
            owned(transaction, caller)
            if violations:  # only now: of someone else's job nobody learns anything
                raise invalid_request(violations)
            before = transaction.job
            kept = before.retain_every_n_epochs, before.retain_last
            transaction.update(**change.columns(self._retention))
            if kept != (transaction.job.retain_every_n_epochs, transaction.job.retain_last):
                enforce(transaction)
            return transaction.job

        job = await self._log.transact(job_id, apply)
        if job.state == "QUEUED" and "priority" in change.paths:
            self._wake_dispatcher()
        return job

    async def delete(self, caller: Caller, job_id: str) -> None:
        """Delete a job with all that came of it. Raises as DeleteJob says."""

        def delete(transaction: JobTransaction) -> None:
            job = owned(transaction, caller)
            if job.state in ACTIVE:
                raise DomainError(
                    "JOB_IN_USE",
                    f"Job {job.id} is {job.state}: stop it, or wait for its end, and delete it then.",
                    metadata={"job_id": job.id, "state": job.state},
                )
            # Locked first: a start that takes from one of them locks it before it is queued.
            checkpoint_ids = RetentionRepository(transaction.session).lock_all(job.id)
            takers = transaction.jobs.taking(checkpoint_ids, ACTIVE)
            if takers:
                checkpoint_id, taker = min(takers.items())
                raise DomainError(
                    "JOB_IN_USE",
                    f"Job {taker} has not ended and takes its first weights from checkpoint {checkpoint_id} of job "
                    f"{job.id}: stop it, or wait for its end, and delete this one then.",
                    metadata={"job_id": job.id, "checkpoint_id": checkpoint_id, "used_by": taker},
                )
            # That of CreateJob stays: who repeats the call must not get a second job for it.
            RequestRepository(transaction.session).forget(caller.user_id, f"StartJob {job.id}")
            transaction.discard(*(GarbageItem(PREFIX, each) for each in keys.job_prefixes(job.project_id, job.id)))
            transaction.delete()

        await self._log.transact(job_id, delete)
