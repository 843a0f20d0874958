"""The append-only event log of each job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from storage.database.bulk import insert_rows
from storage.database.errors import JobMissing, SequenceGap
from storage.database.statements import held_row, past_orm, upsert_all
from storage.database.tables import Event, Run, SourcePosition, TrainingJob, table_of

GATEWAY_SOURCE = "gateway"

# Made once: every batch of every agent asks them, and building them costs as much as running them.
# The columns, not the rows: on PostgreSQL another transaction may have moved them since the session saw a row.
_POSITIONS = select(SourcePosition.source, SourcePosition.source_sequence).where(
    SourcePosition.run_id == bindparam("of_run")
)
_RUN_AND_POSITIONS = (
    select(Run, SourcePosition.source, SourcePosition.source_sequence)
    .outerjoin(SourcePosition, SourcePosition.run_id == Run.id)
    .where(Run.id == bindparam("of_run"))
)
_JOBS = table_of(TrainingJob)
_TAKE_NUMBERS = (
    update(_JOBS)
    .where(_JOBS.c.id == bindparam("of_job"))
    .values(last_sequence=_JOBS.c.last_sequence + bindparam("count"))
    # The number alone: the whole row takes as long to read as to write.
    .returning(_JOBS.c.last_sequence)
)


@dataclass(frozen=True)
class NewEvent:
    """An event as its source numbered it. ``payload_for`` encodes it once its number in the job's log is known."""

    run_id: str
    source: str
    source_sequence: int
    kind: str
    time: datetime
    payload_for: Callable[[int], bytes]


@dataclass(frozen=True)
class StoredEvent:
    """An event of the log: ``payload`` is an encoded ``visionmesh.v1.JobEvent``."""

    sequence: int
    kind: str
    payload: bytes


class EventRepository:
    """Appends to and reads event logs, inside the transaction of ``session``.

    Sequences of a job begin at 1 and are given without gaps. No append costs more as a log grows, nor does a page, but
    for events of other kinds that it passes by. ``locked_job_id`` is a job that the transaction has locked already.
    """

    def __init__(self, session: Session, locked_job_id: str = "") -> None:
        self._session = session
        self._locked = locked_job_id
        # Positions of the runs that were asked for, of jobs that are locked: nobody else moves them.
        self._positions: dict[str, dict[str, int]] = {}

    def append(self, job_id: str, events: Sequence[NewEvent]) -> list[tuple[NewEvent, StoredEvent]]:
        """Appends the events that are new, in their order, and returns them with their numbers.

        Those at or below their source's durable position were stored before and are dropped. Raises SequenceGap when
        a source's next new event is not the one after its position, JobMissing; either way nothing is stored.
        """
        self._lock(job_id)
        positions: dict[tuple[str, str], int] = {}
        fresh: list[NewEvent] = []
        for event in events:
            source = (event.run_id, event.source)
            if source not in positions:
                positions[source] = self._known(event.run_id).get(event.source, 0)
            if event.source_sequence <= positions[source]:
                continue
            if event.source_sequence != positions[source] + 1:
                raise SequenceGap(*source, expected=positions[source] + 1, found=event.source_sequence)
            positions[source] = event.source_sequence
            fresh.append(event)
        return self._store(job_id, fresh)

    def append_own(
        self, job_id: str, run_id: str, kind: str, time: datetime, payload_for: Callable[[int], bytes]
    ) -> StoredEvent:
        """Appends an event of the gateway itself; ``run_id`` is the job's id when there is no run.

        Raises JobMissing.
        """
        self._lock(job_id)
        number = self._known(run_id).get(GATEWAY_SOURCE, 0) + 1
        [(_, stored)] = self._store(job_id, [NewEvent(run_id, GATEWAY_SOURCE, number, kind, time, payload_for)])
        return stored

    def positions(self, run_id: str) -> dict[str, int]:
        """The last durable sequence of each source of the run; a source that sent nothing is not there."""
        if run_id in self._positions:
            return dict(self._positions[run_id])
        return {source: position for source, position in self._session.execute(_POSITIONS, {"of_run": run_id})}

    def run(self, run_id: str) -> Run | None:
        """A run of the locked job; its positions come with it, and are asked for no more."""
        rows = self._session.execute(_RUN_AND_POSITIONS, {"of_run": run_id}).all()
        self._positions[run_id] = {source: position for _, source, position in rows if source is not None}
        return rows[0][0] if rows else None

    def page(self, job_id: str, after_sequence: int, limit: int, kinds: Collection[str] = ()) -> list[StoredEvent]:
        """At most ``limit`` events after ``after_sequence``, ascending, only of ``kinds`` unless that is empty."""
        query = select(Event.sequence, Event.kind, Event.payload)
        query = query.where(Event.job_id == job_id, Event.sequence > after_sequence)
        if kinds:
            query = query.where(Event.kind.in_(kinds))
        rows = self._session.execute(query.order_by(Event.sequence).limit(limit))
        return [StoredEvent(sequence, kind, payload) for sequence, kind, payload in rows]

    def oldest_sequence(self, job_id: str) -> int:
        """The first number that the log still holds, 0 when it is empty."""
        return self._session.scalar(select(func.min(Event.sequence)).where(Event.job_id == job_id)) or 0

    def delete_some(self, job_id: str, limit: int) -> bool:
        """Deletes the oldest events of a job, at most ``limit``; False when there were none left."""
        first = self.oldest_sequence(job_id)
        those = Event.job_id == job_id, Event.sequence < first + limit
        self._session.execute(delete(Event).where(*those), execution_options={"synchronize_session": False})
        return first > 0

    def _lock(self, job_id: str) -> None:
        """Lets one transaction at a time append to a job (on SQLite only one writes anyway)."""
        if job_id == self._locked:
            return
        if self._session.scalar(select(TrainingJob.id).where(TrainingJob.id == job_id).with_for_update()) is None:
            raise JobMissing(job_id)
        self._locked = job_id

    def _known(self, run_id: str) -> dict[str, int]:
        """The positions of a run of the locked job, kept up to date here."""
        if run_id not in self._positions:
            self._positions[run_id] = self.positions(run_id)
        return self._positions[run_id]

    def _store(self, job_id: str, events: Sequence[NewEvent]) -> list[tuple[NewEvent, StoredEvent]]:
        if not events:
            return []
        # Numbers come from the job's row, not from a database sequence: those commit out of order and leave holes.
        first = self._take_numbers(job_id, len(events))
        stored = [
            (event, StoredEvent(sequence, event.kind, event.payload_for(sequence)))
            for sequence, event in enumerate(events, first)
        ]
        rows = [
            {
                "job_id": job_id,
                "sequence": numbered.sequence,
                "run_id": event.run_id,
                "source": event.source,
                "source_sequence": event.source_sequence,
                "kind": event.kind,
                "time": event.time,
                "payload": numbered.payload,
            }
            for event, numbered in stored
        ]
        insert_rows(self._session, Event, rows)
        last = {(event.run_id, event.source): event.source_sequence for event in events}
        for (run_id, source), position in last.items():
            self._known(run_id)[source] = position
        upsert_all(
            self._session,
            SourcePosition,
            [
                {"run_id": run_id, "source": source, "source_sequence": position}
                for (run_id, source), position in last.items()
            ],
        )
        return stored

    def _take_numbers(self, job_id: str, count: int) -> int:
        """The first of ``count`` new sequences."""
        last: int | None = past_orm(self._session).scalar(_TAKE_NUMBERS, {"of_job": job_id, "count": count})
        if last is None:
            raise JobMissing(job_id)
        held = held_row(self._session, TrainingJob, job_id)
        if held is not None:
            set_committed_value(held, "last_sequence", last)
        return last - count + 1
