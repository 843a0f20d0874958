"""Transactions on a job and its log: whatever changes a job goes through here, and watchers hear of it after commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from gateway.enums import JOB_STATES
from gateway.events.encoding import KINDS, encoder
from gateway.events.kept_reads import KeptReads
from gateway.events.live import LiveLog
from gateway.training.restarts import RestartPolicy
from gateway.training.states import check_transition
from rpc.errors import DomainError
from storage.database.engine import Database
from storage.database.events import EventRepository, NewEvent, StoredEvent
from storage.database.garbage import LOG, GarbageItem, GarbageRepository
from storage.database.jobs import JobRepository
from storage.database.tables import Run, TrainingJob, now
from visionmesh.v1 import common_pb2, event_pb2

T = TypeVar("T")
logger = structlog.get_logger()

# What gateways over one database tell each other: the job of that id changed; a job waits for that framework.
JOB_NOTICE = "job"
QUEUE_NOTICE = "queue"


def job_not_found(job_id: str) -> DomainError:
    """JOB_NOT_FOUND; the same for a job that does not exist and one of someone else's."""
    return DomainError("JOB_NOT_FOUND", f"There is no job {job_id!r}.", metadata={"job_id": job_id})


def sequence_expired(job_id: str, removed_through: int) -> DomainError:
    """SEQUENCE_EXPIRED: some of what comes after a cursor was removed, the last of it at ``removed_through``."""
    return DomainError(
        "SEQUENCE_EXPIRED",
        f"Some events after that place are no longer kept, the last of them {removed_through}. Go on after "
        f"{removed_through}, or begin again without a place, from the oldest that is kept.",
        metadata={"job_id": job_id, "oldest_sequence": str(removed_through + 1)},
    )


class JobTransaction:
    """One job, locked, inside a write transaction; ``events`` collects what was appended to its log.

    ``restarts`` says when what failed is tried again.
    """

    def __init__(self, session: Session, job: TrainingJob, restarts: RestartPolicy) -> None:
        self.session = session
        self.job = job
        self.restarts = restarts
        self.jobs = JobRepository(session)
        self.events: list[StoredEvent] = []
        self.made_garbage = False
        self.deleted = False
        self._log = EventRepository(session, locked_job_id=job.id)

    def append(self, events: Sequence[NewEvent]) -> list[NewEvent]:
        """Append events of a run; returns those that were new."""
        appended = self._log.append(self.job.id, events)
        self.events += [stored for _, stored in appended]
        return [event for event, _ in appended]

    def append_own(self, field: str, payload: Message) -> None:
        """Append an event of the gateway itself; ``field`` is a payload field of JobEvent."""
        time = now()
        run_id = self.job.current_run_id
        encode = encoder(self.job.id, run_id, time, field, payload)
        self.events.append(self._log.append_own(self.job.id, run_id or self.job.id, KINDS[field], time, encode))

    def update(self, **changes: Any) -> None:
        """Change columns of the job other than its state."""
        job = self.jobs.update(self.job.id, **changes)
        assert job is not None  # locked by this transaction
        self.job = job

    def change_state(self, to_state: str, *, failure: common_pb2.Failure | None = None, **changes: Any) -> None:
        """Move the job to another state and log it. Raises INVALID_STATE_TRANSITION."""
        from_state = self.job.state
        check_transition(self.job.id, from_state, to_state)
        # Whatever comes next, no restart is waited for any more, unless ``changes`` say so.
        changes = {"next_attempt_time": None, **changes, "failure": failure_columns(failure)}
        job = self.jobs.change_state(self.job.id, [from_state], to_state, **changes)
        assert job is not None  # locked by this transaction
        self.job = job
        change = event_pb2.JobStateChange(
            from_state=JOB_STATES.number(from_state),  # type: ignore[arg-type]
            to_state=JOB_STATES.number(to_state),  # type: ignore[arg-type]
            failure=failure,
        )
        self.append_own("state_change", change)

    def discard(self, *items: GarbageItem) -> None:
        """Note what no record names any more once this is committed; it is removed after that."""
        GarbageRepository(self.session).add(items)
        self.made_garbage = self.made_garbage or bool(items)

    def delete(self) -> None:
        """Delete the job with all that belongs to it, its log included."""
        self.discard(GarbageItem(LOG, self.job.id))
        self.jobs.delete(self.job.id)
        self.deleted = True

    def run(self, run_id: str) -> Run | None:
        """A run of the job."""
        return self._log.run(run_id)

    def positions(self, run_id: str) -> dict[str, int]:
        """The last durable sequence of each source of a run."""
        return self._log.positions(run_id)


def failure_columns(failure: common_pb2.Failure | None) -> dict[str, Any] | None:
    """A failure as the database keeps it."""
    if failure is None:
        return None
    return {"reason": failure.reason, "message": failure.message, "metadata": dict(failure.metadata)}


class JobLog:
    """Runs transactions on jobs, and tells watchers, those who keep what was read of a job, and the other gateways over
    the same database, what they committed.

    ``collect_garbage`` is called after a commit that made some. ``restarts`` says when an attempt that failed is
    followed by another.
    """

    def __init__(
        self,
        database: Database,
        live: LiveLog,
        collect_garbage: Callable[[], None] = lambda: None,
        restarts: RestartPolicy | None = None,
    ) -> None:
        self.database = database
        self.live = live
        self._restarts = restarts or RestartPolicy()
        self._kept: list[KeptReads[Any]] = []
        self.collect_garbage = collect_garbage
        self._abandoned: set[asyncio.Task[Any]] = set()  # the loop itself keeps no task alive

    async def transact(self, job_id: str, work: Callable[[JobTransaction], T]) -> T:
        """Run ``work`` on the locked job in one transaction; publish its events when they are durable.

        Raises JOB_NOT_FOUND, and whatever ``work`` raises, which rolls everything back. When the caller is cancelled,
        the transaction ends and is published all the same: watchers would wait for ever for what they never heard of.
        """

        def lock(session: Session) -> TrainingJob:
            job = JobRepository(session).lock(job_id)
            if job is None:
                raise job_not_found(job_id)
            return job

        done = await self._transact(lock, work)
        assert done is not None  # there was a job to lock
        return done[0]

    async def transact_next(
        self, pick: Callable[[Session], TrainingJob | None], work: Callable[[JobTransaction], T]
    ) -> T | None:
        """What ``transact`` does, on the job that ``pick`` finds and locks; None when it finds none."""
        done = await self._transact(pick, work)
        return done[0] if done is not None else None

    async def _transact(
        self, lock: Callable[[Session], TrainingJob | None], work: Callable[[JobTransaction], T]
    ) -> tuple[T] | None:
        locked: list[str] = []

        def run(session: Session) -> tuple[T, JobTransaction] | None:
            job = lock(session)
            if job is None:
                return None
            locked.append(job.id)
            transaction = JobTransaction(session, job, self._restarts)
            return work(transaction), transaction

        async def commit() -> tuple[T] | None:
            try:
                done = await self.database.write(run)
            finally:  # a commit that seems to have failed may have been made all the same
                for job_id in locked:
                    self._changed(job_id)
            if done is None:
                return None
            self.publish(done[1])
            return (done[0],)

        committing = asyncio.create_task(commit())
        try:
            return await asyncio.shield(committing)
        except asyncio.CancelledError:
            self._abandoned.add(committing)
            committing.add_done_callback(self._ended)
            raise

    def kept_reads(self) -> KeptReads[Any]:
        """Make room for what is read of jobs again and again; it is forgotten whenever its job changes."""
        kept: KeptReads[Any] = KeptReads()
        self._keep(kept, self.database.notices.listening)
        self._kept.append(kept)
        return kept

    async def touch(self, job_id: str, run_id: str) -> bool:
        """Record contact with the agent of a job's run; False when the run is not the current one."""
        try:
            return await self.database.write(lambda session: JobRepository(session).touch(run_id, now()))
        finally:
            self._changed(job_id)

    def forget(self, job_id: str) -> None:
        """Keep nothing that was read of a job: it changed, or may have."""
        for kept in self._kept:
            kept.forget(job_id)

    def forget_all(self) -> None:
        """Keep nothing that was read of any job: something may have changed unheard."""
        for kept in self._kept:
            kept.clear()

    def keep_reads(self, keep: bool) -> None:
        """Whether what is read of jobs may be kept: not where changes that other gateways make are not heard of."""
        for kept in self._kept:
            self._keep(kept, keep)

    @staticmethod
    def _keep(kept: KeptReads[Any], keep: bool) -> None:
        if keep:
            kept.resume()
        else:
            kept.suspend()

    def _changed(self, job_id: str) -> None:
        self.forget(job_id)
        self.database.notices.post(JOB_NOTICE, job_id)

    def _ended(self, committing: asyncio.Task[Any]) -> None:
        """Nobody awaits this transaction any more, so its failure is told to the log."""
        self._abandoned.discard(committing)
        error = committing.exception() if not committing.cancelled() else None
        if error is not None:
            logger.warning("transaction failed after its caller was cancelled", exc_info=error)

    def publish(self, transaction: JobTransaction) -> None:
        """Tell watchers of a transaction that was committed."""
        job = transaction.job
        if transaction.deleted:
            self.live.delete(job.id)
        else:
            self.live.publish(job.id, transaction.events, job.state)
            if transaction.events and job.state == "QUEUED":
                self.database.notices.post(QUEUE_NOTICE, job.framework)
        if transaction.made_garbage:
            self.collect_garbage()
