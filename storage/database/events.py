"""The append-only event log of each job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from storage.database.errors import JobMissing, SequenceGap
from storage.database.statements import update_one, upsert
from storage.database.tables import Event, SourcePosition, TrainingJob

GATEWAY_SOURCE = "gateway"


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

    Sequences of a job begin at 1 and have no gaps. No call costs more as a log grows.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

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
                positions[source] = self._position(*source)
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
        number = self._position(run_id, GATEWAY_SOURCE) + 1
        [(_, stored)] = self._store(job_id, [NewEvent(run_id, GATEWAY_SOURCE, number, kind, time, payload_for)])
        return stored

    def positions(self, run_id: str) -> dict[str, int]:
        """The last durable sequence of each source of the run; a source that sent nothing is not there."""
        query = select(SourcePosition).where(SourcePosition.run_id == run_id)
        return {position.source: position.source_sequence for position in self._session.scalars(query)}

    def page(self, job_id: str, after_sequence: int, limit: int, kinds: Collection[str] = ()) -> list[StoredEvent]:
        """At most ``limit`` events after ``after_sequence``, ascending, only of ``kinds`` unless that is empty."""
        query = select(Event.sequence, Event.kind, Event.payload)
        query = query.where(Event.job_id == job_id, Event.sequence > after_sequence)
        if kinds:
            query = query.where(Event.kind.in_(kinds))
        rows = self._session.execute(query.order_by(Event.sequence).limit(limit))
        return [StoredEvent(sequence, kind, payload) for sequence, kind, payload in rows]

    def _lock(self, job_id: str) -> None:
        """Lets one transaction at a time append to a job (on SQLite only one writes anyway)."""
        if self._session.scalar(select(TrainingJob.id).where(TrainingJob.id == job_id).with_for_update()) is None:
            raise JobMissing(job_id)

    def _position(self, run_id: str, source: str) -> int:
        # The column, not the row: on PostgreSQL another transaction may have moved it since the session saw the row.
        query = select(SourcePosition.source_sequence)
        query = query.where(SourcePosition.run_id == run_id, SourcePosition.source == source)
        return self._session.scalar(query) or 0

    def _store(self, job_id: str, events: Sequence[NewEvent]) -> list[tuple[NewEvent, StoredEvent]]:
        if not events:
            return []
        # Numbers come from the job's row, not from a database sequence: those commit out of order and leave holes.
        taken = {"last_sequence": TrainingJob.last_sequence + len(events)}
        job = update_one(self._session, TrainingJob, TrainingJob.id == job_id, changes=taken)
        if job is None:
            raise JobMissing(job_id)
        first = job.last_sequence - len(events) + 1
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
        self._session.execute(insert(Event), rows)
        last = {(event.run_id, event.source): event.source_sequence for event in events}
        for (run_id, source), position in last.items():
            upsert(self._session, SourcePosition(run_id=run_id, source=source, source_sequence=position))
        return stored
