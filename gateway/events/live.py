"""The newest events of the jobs that something happens to, in memory, so that watchers cost no queries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from gateway.events.encoding import varint
from gateway.training.states import ACTIVE
from storage.database.events import StoredEvent
from visionmesh.v1 import event_pb2, training_pb2

# Field 1, length-delimited: the tag of `event` in WatchJobResponse.
_EVENT_TAG = b"\x0a"


class LiveEvent:
    """One event of a log, with the encoded responses that carry it: each is made once for all watchers."""

    def __init__(self, stored: StoredEvent) -> None:
        self.sequence = stored.sequence
        self.kind = stored.kind
        self.payload = stored.payload

    @cached_property
    def watch_job(self) -> bytes:
        """An encoded WatchJobResponse: the stored bytes behind a tag and a length."""
        return _EVENT_TAG + varint(len(self.payload)) + self.payload

    @cached_property
    def watch_metrics(self) -> bytes:
        """An encoded WatchMetricsResponse."""
        event = event_pb2.JobEvent.FromString(self.payload)
        return training_pb2.WatchMetricsResponse(metric=event.metric).SerializeToString()

    @cached_property
    def watch_logs(self) -> bytes:
        """An encoded WatchLogsResponse."""
        event = event_pb2.JobEvent.FromString(self.payload)
        return training_pb2.WatchLogsResponse(log=event.log).SerializeToString()

    @cached_property
    def log_level(self) -> int:
        """How grave it is, when it is a line of the log."""
        return event_pb2.JobEvent.FromString(self.payload).log.level


class LiveJob:
    """The ring of one job. ``last_sequence`` and ``state`` are as of the newest event that was committed."""

    def __init__(self, ring_events: int) -> None:
        self._ring: deque[LiveEvent] = deque(maxlen=ring_events)
        self._waiters: set[asyncio.Future[None]] = set()
        # The last answer of `after`: of many watchers most are at the same place.
        self._asked, self._answer = -1, list[LiveEvent]()
        self.last_sequence = 0
        self.state = ""
        self.watchers = 0
        self.closed = False
        self.deleted = False

    def publish(self, events: Sequence[StoredEvent], state: str) -> None:
        """Add events that were committed. Those that come late (another commit overtook them) stay out of the ring:
        it must have no gaps, and who misses them reads the database."""
        if events and events[-1].sequence > self.last_sequence:
            if events[0].sequence != self.last_sequence + 1:
                self._ring.clear()
            self._ring.extend(LiveEvent(event) for event in events)
            self.last_sequence, self.state = events[-1].sequence, state
            self._asked = -1
        self.wake()

    def advance(self, last_sequence: int, state: str) -> None:
        """Take over what the database says, unless it is older than what is known."""
        if last_sequence > self.last_sequence:
            self._ring.clear()
            self._asked = -1
        if last_sequence >= self.last_sequence:
            self.last_sequence, self.state = last_sequence, state

    def after(self, sequence: int) -> Sequence[LiveEvent] | None:
        """The events after ``sequence``, or None when the ring does not reach back that far."""
        if sequence == self._asked:
            return self._answer
        if not self._ring or sequence + 1 < self._ring[0].sequence:
            return None
        count = max(self.last_sequence - sequence, 0)
        # From the end: a deque goes there step by step, and the newest are what is mostly asked for.
        self._asked, self._answer = sequence, [self._ring[index] for index in range(-count, 0)]
        return self._answer

    def wake(self) -> None:
        """Wake every watcher."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    @contextmanager
    def waiting(self, waiter: asyncio.Future[None]) -> Iterator[None]:
        """The next change sets ``waiter``. Look before, without an await in between, and wait inside."""
        self._waiters.add(waiter)
        try:
            yield
        finally:
            self._waiters.discard(waiter)


class LiveLog:
    """The rings of all jobs that are active or watched."""

    def __init__(self, ring_events: int) -> None:
        self._ring_events = ring_events
        self._jobs: dict[str, LiveJob] = {}
        self._closed = False

    def publish(self, job_id: str, events: Sequence[StoredEvent], state: str) -> None:
        """Tell watchers of committed events."""
        job = self._jobs.setdefault(job_id, LiveJob(self._ring_events))
        job.publish(events, state)
        self._drop_if_idle(job_id, job)

    def delete(self, job_id: str) -> None:
        """The job was deleted: end its watches."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            job.deleted = True
            job.wake()

    @contextmanager
    def attach(self, job_id: str) -> Iterator[LiveJob]:
        """The ring of a job, kept while it is attached to."""
        job = self._jobs.setdefault(job_id, LiveJob(self._ring_events))
        job.closed = self._closed
        job.watchers += 1
        try:
            yield job
        finally:
            job.watchers -= 1
            self._drop_if_idle(job_id, job)

    def watched(self) -> dict[str, LiveJob]:
        """The jobs that someone watches, by id."""
        return {job_id: job for job_id, job in self._jobs.items() if job.watchers}

    def drop_unwatched(self, job_id: str) -> bool:
        """Let go of a job's ring unless someone watches it; whether it is gone."""
        job = self._jobs.get(job_id)
        if job is not None and not job.watchers:
            del self._jobs[job_id]
        return job_id not in self._jobs

    def _drop_if_idle(self, job_id: str, job: LiveJob) -> None:
        if not job.watchers and job.state not in ACTIVE:
            self._jobs.pop(job_id, None)

    def close(self) -> None:
        """End every watch: the server is draining."""
        self._closed = True
        for job in self._jobs.values():
            job.closed = True
            job.wake()
