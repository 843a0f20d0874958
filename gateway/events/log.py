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
from gateway.training.states import check_transition
from rpc.errors import DomainError
from storage.database.engine import Database
from storage.database.events import EventRepository, NewEvent, StoredEvent
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob, now
from visionmesh.v1 import common_pb2, event_pb2

T = TypeVar("T")
logger = structlog.get_logger()


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

    ``superseded_objects`` collects keys of the store that no record names any more once this is committed.
    """

    def __init__(self, session: Session, job: TrainingJob) -> None:
        self.session = session
        self.job = job
        self.jobs = JobRepository(session)
        self.events: list[StoredEvent] = []
        self.superseded_objects: list[str] = []
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
        kept = failure_columns(failure) if failure is not None else None
        job = self.jobs.change_state(self.job.id, [from_state], to_state, failure=kept, **changes)
        assert job is not None  # locked by this transaction
        self.job = job
        change = event_pb2.JobStateChange(
            from_state=JOB_STATES.number(from_state),  # type: ignore[arg-type]
            to_state=JOB_STATES.number(to_state),  # type: ignore[arg-type]
            failure=failure,
        )
        self.append_own("state_change", change)

    def positions(self, run_id: str) -> dict[str, int]:
        """The last durable sequence of each source of a run."""
        return self._log.positions(run_id)


def failure_columns(failure: common_pb2.Failure) -> dict[str, Any]:
    """A failure as the database keeps it."""
    return {"reason": failure.reason, "message": failure.message, "metadata": dict(failure.metadata)}


class JobLog:
    """Runs transactions on jobs, and tells watchers, and those who keep what was read of a job, what they committed.

    ``remove_objects`` is called after a commit with the keys that it left without a record, if there are any.
    """

    def __init__(
        self, database: Database, live: LiveLog, remove_objects: Callable[[Sequence[str]], None] | None = None
    ) -> None:
        self.database = database
        self.live = live
        self._kept: list[KeptReads[Any]] = []
        self._remove_objects = remove_objects
        self._abandoned: set[asyncio.Task[Any]] = set()  # the loop itself keeps no task alive

    async def transact(self, job_id: str, work: Callable[[JobTransaction], T]) -> T:
        """Run ``work`` on the locked job in one transaction; publish its events when they are durable.

        Raises JOB_NOT_FOUND, and whatever ``work`` raises, which rolls everything back. When the caller is cancelled,
        the transaction ends and is published all the same: watchers would wait for ever for what they never heard of.
        """

        def run(session: Session) -> tuple[T, JobTransaction]:
            job = JobRepository(session).lock(job_id)
            if job is None:
                raise job_not_found(job_id)
            transaction = JobTransaction(session, job)
            return work(transaction), transaction

        async def commit() -> T:
            try:
                result, done = await self.database.write(run)
            finally:  # a commit that seems to have failed may have been made all the same
                self._forget(job_id)
            self.publish(done)
            return result

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
        self._kept.append(kept)
        return kept

    async def touch(self, job_id: str, run_id: str) -> bool:
        """Record contact with the agent of a job's run; False when the run is not the current one."""
        try:
            return await self.database.write(lambda session: JobRepository(session).touch(run_id, now()))
        finally:
            self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        for kept in self._kept:
            kept.forget(job_id)

    def _ended(self, committing: asyncio.Task[Any]) -> None:
        """Nobody awaits this transaction any more, so its failure is told to the log."""
        self._abandoned.discard(committing)
        error = committing.exception() if not committing.cancelled() else None
        if error is not None:
            logger.warning("transaction failed after its caller was cancelled", exc_info=error)

    def publish(self, transaction: JobTransaction) -> None:
        """Tell watchers of a transaction that was committed."""
        self.live.publish(transaction.job.id, transaction.events, transaction.job.state)
        if transaction.superseded_objects and self._remove_objects is not None:
            self._remove_objects(transaction.superseded_objects)
