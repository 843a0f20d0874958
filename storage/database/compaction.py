"""What need no longer be kept of event logs: old lines, old progress, metric points beyond a number.

Every method is a small step inside the transaction of its session, so that a log is compacted in many short
transactions; whoever is killed between two of them goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import and_, delete, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.statements import insert_new, update_one
from storage.database.tables import Event, EventCompaction, Metric, TrainingJob

LOG, PROGRESS, METRIC = "LOG", "PROGRESS", "METRIC"
# Kinds of which events are removed one day; all others stay as long as their job.
REMOVABLE: Mapping[str, InstrumentedAttribute[int]] = MappingProxyType(
    {
        LOG: EventCompaction.log_removed_through,
        PROGRESS: EventCompaction.progress_removed_through,
        METRIC: EventCompaction.metric_removed_through,
    }
)
_KEPT: Mapping[str, InstrumentedAttribute[int]] = MappingProxyType(
    {LOG: EventCompaction.log_kept, PROGRESS: EventCompaction.progress_kept, METRIC: EventCompaction.metric_kept}
)

# The session holds none of the rows that are removed.
_BLINDLY = {"synchronize_session": False}


@dataclass(frozen=True)
class MetricKey:
    """A metric point of a job and the event that told it."""

    epoch: int
    step: int
    sequence: int


def kept(compaction: EventCompaction, kind: str) -> int:
    """How many events of a removable kind are left of those that were looked at."""
    return int(getattr(compaction, _KEPT[kind].key))


class CompactionRepository:
    """Removes events, inside the transaction of ``session``. Whoever removes has locked the job."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def removed_through(self, job_id: str, kinds: Collection[str] = ()) -> int:
        """The highest sequence that was removed of these kinds (of all when empty); 0: none was.

        Ask after reading the events that it is about: what is removed in between is then noticed.
        """
        columns = [column for kind, column in REMOVABLE.items() if not kinds or kind in kinds]
        if not columns:
            return 0
        row = self._session.execute(select(*columns).where(EventCompaction.job_id == job_id)).one_or_none()
        return max(row) if row is not None else 0

    def candidates(
        self, limits: Mapping[str, int], now: datetime, keep: timedelta, after_id: str, count: int
    ) -> list[str]:
        """At most ``count`` jobs, by id after ``after_id``, whose log may hold more than ``limits`` of a kind.

        One that was looked at is among them if more came since and its mark is at least as old as ``keep``, or is of a
        time that has not come: then the clock was wrong.
        """
        due = or_(EventCompaction.mark_time <= now - keep, EventCompaction.mark_time > now)
        more = and_(EventCompaction.through < TrainingJob.last_sequence, due)
        too_many = [column > limits[kind] for kind, column in _KEPT.items()]
        query = select(TrainingJob.id).outerjoin(EventCompaction, EventCompaction.job_id == TrainingJob.id)
        query = query.where(
            TrainingJob.id > after_id,
            TrainingJob.last_sequence > min(limits.values()),
            or_(EventCompaction.job_id.is_(None), more, *too_many),
        )
        return [*self._session.scalars(query.order_by(TrainingJob.id).limit(count))]

    def get(self, job_id: str) -> EventCompaction | None:
        """How far the log of a job was compacted."""
        return self._session.get(EventCompaction, job_id)

    def begin(self, job: TrainingJob, time: datetime) -> EventCompaction:
        """How far the log of a locked job was compacted; of a new one, that nothing was, and what it holds now."""
        found = self._session.get(EventCompaction, job.id, populate_existing=True)
        if found is not None:
            return found
        new = insert_new(self._session, EventCompaction(job_id=job.id, mark_sequence=job.last_sequence, mark_time=time))
        assert new is not None  # the job is locked
        return new

    def mark(self, job: TrainingJob, time: datetime) -> EventCompaction:
        """Note what the log of a locked job holds now."""
        return self._update(job.id, {EventCompaction.mark_sequence: job.last_sequence, EventCompaction.mark_time: time})

    def look(self, compaction: EventCompaction, count: int) -> EventCompaction:
        """Look at the next ``count`` sequences, up to the mark."""
        start, end = compaction.through, min(compaction.through + count, compaction.mark_sequence)
        query = select(Event.kind, func.count()).where(
            Event.job_id == compaction.job_id,
            Event.sequence > start,
            Event.sequence <= end,
            Event.kind.in_(REMOVABLE),
        )
        found = self._session.execute(query.group_by(Event.kind))
        more = {_KEPT[kind]: kept(compaction, kind) + number for kind, number in found}
        return self._update(compaction.job_id, {**more, EventCompaction.through: end})

    def remove_oldest(self, compaction: EventCompaction, kind: str, count: int) -> EventCompaction:
        """Remove the ``count`` oldest events of a kind, of those that were looked at."""
        removed = int(getattr(compaction, REMOVABLE[kind].key))
        oldest = select(Event.sequence).where(
            Event.job_id == compaction.job_id,
            Event.kind == kind,
            Event.sequence > removed,
            Event.sequence <= compaction.through,
        )
        sequences = [*self._session.scalars(oldest.order_by(Event.sequence).limit(count))]
        if not sequences:
            return self._update(compaction.job_id, {_KEPT[kind]: 0})
        self._session.execute(
            delete(Event).where(
                Event.job_id == compaction.job_id,
                Event.kind == kind,
                Event.sequence > removed,
                Event.sequence <= sequences[-1],
            ),
            execution_options=_BLINDLY,
        )
        left = kept(compaction, kind) - len(sequences)
        return self._update(compaction.job_id, {REMOVABLE[kind]: sequences[-1], _KEPT[kind]: left})

    def metric_sequences(self, job_id: str, after: int, through: int, limit: int) -> list[int]:
        """Sequences of the metric events that are left, ascending, at most ``limit`` of them."""
        query = select(Event.sequence).where(
            Event.job_id == job_id, Event.kind == METRIC, Event.sequence > after, Event.sequence <= through
        )
        return [*self._session.scalars(query.order_by(Event.sequence).limit(limit))]

    def metric_keys(self, job_id: str, after: MetricKey | None, limit: int) -> list[MetricKey]:
        """The metric points of a job by epoch and step, behind ``after``, at most ``limit`` of them."""
        query = select(Metric.epoch, Metric.step, Metric.sequence).where(Metric.job_id == job_id)
        if after is not None:
            query = query.where(tuple_(Metric.epoch, Metric.step) > tuple_(literal(after.epoch), literal(after.step)))
        rows = self._session.execute(query.order_by(Metric.epoch, Metric.step).limit(limit))
        return [MetricKey(epoch, step, sequence) for epoch, step, sequence in rows]

    def remove_points(self, job_id: str, keys: Sequence[MetricKey]) -> None:
        """Remove metric points, but for those that were told anew meanwhile."""
        points = [(key.epoch, key.step, key.sequence) for key in keys]
        of_key = tuple_(Metric.epoch, Metric.step, Metric.sequence).in_(points)
        self._session.execute(delete(Metric).where(Metric.job_id == job_id, of_key), execution_options=_BLINDLY)

    def remove_metrics(self, compaction: EventCompaction, sequences: Sequence[int]) -> EventCompaction:
        """Remove metric events, given by their ascending sequences."""
        of_kind = Event.job_id == compaction.job_id, Event.kind == METRIC, Event.sequence.in_(sequences)
        removed = self._session.execute(
            delete(Event).where(*of_kind).returning(Event.sequence), execution_options=_BLINDLY
        ).all()
        return self._update(
            compaction.job_id,
            {
                EventCompaction.metric_removed_through: max(compaction.metric_removed_through, sequences[-1]),
                EventCompaction.metric_kept: compaction.metric_kept - len(removed),
            },
        )

    def _update(
        self,
        job_id: str,
        changes: Mapping[InstrumentedAttribute[Any], int | datetime],
    ) -> EventCompaction:
        values = {column.key: value for column, value in changes.items()}
        row = update_one(self._session, EventCompaction, EventCompaction.job_id == job_id, changes=values)
        assert row is not None  # begun in a transaction on the same job
        return row
