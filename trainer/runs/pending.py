"""Events of a run that the gateway has not acknowledged. They stay in the spools; memory holds one batch."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from trainer.runs.folder import RunFolder
from trainer.runs.spool import SpoolReader, SpoolRecord
from visionmesh.mesh.v1 import run_pb2

MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 1 << 20


class _Source:
    """One spool, read from behind what is durable."""

    def __init__(self, path: Path) -> None:
        self._reader = SpoolReader(path)
        self._offset = 0
        self._durable = 0
        self._durable_offset = 0
        self._refused = 0  # number from which on the gateway takes nothing; 0: it takes all
        self.waiting: deque[SpoolRecord] = deque()
        self.in_flight: deque[SpoolRecord] = deque()

    def fill(self) -> None:
        while not self.waiting:
            records = self._reader.read(self._offset, max_records=MAX_BATCH_EVENTS, max_bytes=MAX_BATCH_BYTES)
            if not records:
                return
            self._offset = records[-1].end_offset
            self.waiting.extend(filter(self._goes_out, records))

    def acknowledge(self, sequence: int) -> None:
        while self.in_flight and self.in_flight[0].event.source_sequence <= sequence:
            record = self.in_flight.popleft()
            self._durable, self._durable_offset = record.event.source_sequence, record.end_offset

    def rewind(self, sequence: int) -> None:
        self.acknowledge(sequence)
        # A gateway that knows less than it once said was set back to a backup: it gets everything again.
        self._offset = self._durable_offset if sequence >= self._durable else 0
        self._durable, self._durable_offset = sequence, self._offset
        self.waiting.clear()
        self.in_flight.clear()

    def refuse(self, sequence: int) -> bool:
        """Hold back what comes from ``sequence`` on, but for the end of the run; False when that was done before."""
        if self._refused:
            return False
        self._refused = sequence
        self.rewind(self._durable)
        return True

    def _goes_out(self, record: SpoolRecord) -> bool:
        event = record.event
        if event.source_sequence <= self._durable:
            return False  # durable; without a number: stays in the run folder
        if not self._refused or event.source_sequence < self._refused:
            return True
        if not event.HasField("end") or self._durable >= self._refused:
            return False
        # The gateway kept nothing under that number, and takes none but the next.
        event.source_sequence = self._refused
        return True


class PendingEvents:
    """What is to be published, from all spools of a run."""

    def __init__(self, folder: RunFolder) -> None:
        self._sources: Mapping[int, _Source] = {
            run_pb2.EVENT_SOURCE_TRAINING: _Source(folder.training_spool),
            run_pb2.EVENT_SOURCE_LOG: _Source(folder.log_spool),
            run_pb2.EVENT_SOURCE_AGENT: _Source(folder.agent_spool),
        }

    @property
    def in_flight(self) -> bool:
        """Whether a batch waits for its acknowledgement."""
        return any(source.in_flight for source in self._sources.values())

    def next_batch(self) -> list[run_pb2.RunEvent]:
        """Take the next events: each source in its order, sources among each other by time.

        At most ``MAX_BATCH_EVENTS`` and, beyond one event, ``MAX_BATCH_BYTES``; empty when there is nothing new. Ask
        only while nothing is in flight.
        """
        for source in self._sources.values():
            source.fill()
        order = heapq.merge(
            *(
                [(record.event.time.ToNanoseconds(), kind) for record in source.waiting]
                for kind, source in self._sources.items()
            )
        )
        batch: list[run_pb2.RunEvent] = []
        size = 0
        for _, kind in order:
            source = self._sources[kind]
            record = source.waiting[0]
            size += record.event.ByteSize()
            if batch and (size > MAX_BATCH_BYTES or len(batch) >= MAX_BATCH_EVENTS):
                break
            source.in_flight.append(source.waiting.popleft())
            batch.append(record.event)
        return batch

    def acknowledge(self, positions: Mapping[int, int]) -> None:
        """Forget what is durable at the gateway."""
        for kind, sequence in positions.items():
            if kind in self._sources:
                self._sources[kind].acknowledge(sequence)

    def rewind(self, positions: Mapping[int, int]) -> None:
        """Go on from what is durable at the gateway, as it says after a new connection."""
        for kind, source in self._sources.items():
            source.rewind(positions.get(kind, 0))

    def refuse(self, source: int, sequence: int) -> bool:
        """Publish no more of a source from the event that the gateway refused on, but for the end of the run, which
        takes that one's number. False when that does not help: no such source, or one that was refused before.
        """
        return source in self._sources and sequence > 0 and self._sources[source].refuse(sequence)

    def settled(self) -> bool:
        """Whether all that is in the spools was acknowledged, but for what the gateway refused."""
        for source in self._sources.values():
            source.fill()
        return not any(source.waiting or source.in_flight for source in self._sources.values())
