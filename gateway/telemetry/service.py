"""Runs in contact: who they are, what of theirs is durable, what they are told to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.events.log import JobLog, JobTransaction
from gateway.telemetry.projection import SOURCES, ingest
from rpc.errors import DomainError, invalid_request
from rpc.kill_points import KillPoint, passing
from storage.database.errors import SequenceGap
from storage.database.tables import now
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2

logger = structlog.get_logger()

STOP, ABANDON = "STOP", "ABANDON"
# The outcomes with which an agent itself ends a run: it may come back for acknowledgements it missed.
OWN_ENDS = ("COMPLETED", "STOPPED", "FAILED")
# What a Timestamp may hold: 0001-01-01 to 9999-12-31.
TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)


class Superseded(Exception):
    """The run no longer counts: its job has a newer one, or gave this one up."""


@dataclass
class Contact:
    """One run that is, or was lately, in contact."""

    run_id: str
    job_id: str
    last_heard: float = field(default_factory=time.monotonic)
    last_written: float = 0.0
    connections: list[asyncio.Queue[str]] = field(default_factory=list)

    def tell(self, command: str) -> None:
        """Pass a command to the agent; lost when it is not connected, and then said again at its next hello."""
        for connection in self.connections:
            connection.put_nowait(command)


class TelemetryService:
    """Takes what agents report. Contact is kept in memory and written to the database now and then."""

    def __init__(self, log: JobLog, *, write_contact_seconds: float) -> None:
        self._log = log
        self._write_contact_seconds = write_contact_seconds
        self._contacts: dict[str, Contact] = {}

    async def connect(self, run_id: str, job_id: str, commands: asyncio.Queue[str]) -> Mapping[str, int]:
        """Say hello: returns the last durable position of each source. ``commands`` will hold what the agent is told.

        Raises Superseded when the run no longer counts, INVALID_REQUEST for a run that was never made.
        """

        def hello(transaction: JobTransaction) -> tuple[Mapping[str, int], str]:
            run = transaction.jobs.get_run(run_id)
            if run is None or run.job_id != job_id:
                raise invalid_request([Violation("hello.run_id", f"there is no run {run_id!r} of job {job_id!r}")])
            if run.end_kind not in ("", *OWN_ENDS):
                raise Superseded(run.end_kind)
            transaction.jobs.touch(run_id, now())
            return transaction.positions(run_id), transaction.job.state

        positions, state = await self._log.transact(job_id, hello)
        contact = self.expect(run_id, job_id)
        contact.last_heard = contact.last_written = time.monotonic()
        contact.connections.append(commands)
        if state == "STOPPING":
            commands.put_nowait(STOP)
        logger.info("agent connected", run_id=run_id, job_id=job_id)
        return positions

    def disconnect(self, run_id: str, commands: asyncio.Queue[str]) -> None:
        """The agent's stream ended."""
        contact = self._contacts.get(run_id)
        if contact is not None and commands in contact.connections:
            contact.connections.remove(commands)

    async def receive(self, run_id: str, job_id: str, events: Sequence[run_pb2.RunEvent]) -> Mapping[str, int]:
        """Take a batch in one transaction; returns what is durable then. Raises Superseded, INVALID_REQUEST."""
        _check(events)

        def take(transaction: JobTransaction) -> Mapping[str, int]:
            run = transaction.jobs.get_run(run_id)
            if run is None or run.end_kind not in ("", *OWN_ENDS):
                raise Superseded(run.end_kind if run is not None else "unknown")
            ingest(transaction, run_id, events)
            transaction.jobs.touch(run_id, now())
            positions = transaction.positions(run_id)
            passing(KillPoint.INGEST_BEFORE_COMMIT)
            return positions

        try:
            positions = await self._log.transact(job_id, take)
        except SequenceGap as gap:
            raise invalid_request([Violation("batch.events", str(gap))]) from gap
        passing(KillPoint.INGEST_AFTER_COMMIT)
        self._heard(run_id, written=True)
        return positions

    async def heartbeat(self, run_id: str, job_id: str) -> None:
        """Renew the lease. Raises Superseded."""
        contact = self._contacts.get(run_id)
        if contact is None:
            raise Superseded("given up")
        self._heard(run_id, written=False)
        if contact.last_heard - contact.last_written < self._write_contact_seconds:
            return
        if await self._log.touch(job_id, run_id):
            contact.last_written = time.monotonic()

    def expect(self, run_id: str, job_id: str) -> Contact:
        """Reckon with a run from now on: its lease begins here unless it was heard of before."""
        return self._contacts.setdefault(run_id, Contact(run_id, job_id))

    def silent_seconds(self, run_id: str, job_id: str) -> float:
        """Seconds since the run was last heard of."""
        return time.monotonic() - self.expect(run_id, job_id).last_heard

    def begin_leases_anew(self) -> None:
        """Take every run for one that was just heard of."""
        for contact in self._contacts.values():
            contact.last_heard = time.monotonic()

    def stop(self, run_id: str) -> bool:
        """Tell a run to stop at the next batch; False when its agent is not connected."""
        return self._tell(run_id, STOP)

    def abandon(self, run_id: str) -> None:
        """Tell a run that it no longer counts, and forget it."""
        self._tell(run_id, ABANDON)
        self._contacts.pop(run_id, None)

    def forget_others(self, run_ids: Collection[str]) -> None:
        """Drop the contacts of runs that are not among ``run_ids`` and not connected: they have ended."""
        for run_id, contact in list(self._contacts.items()):
            if run_id not in run_ids and not contact.connections:
                del self._contacts[run_id]

    def close(self) -> None:
        """Ask every agent to connect again later: the server is draining."""
        for contact in self._contacts.values():
            contact.tell("")

    def _tell(self, run_id: str, command: str) -> bool:
        contact = self._contacts.get(run_id)
        if contact is None or not contact.connections:
            return False
        contact.tell(command)
        return True

    def _heard(self, run_id: str, *, written: bool) -> None:
        contact = self._contacts.get(run_id)
        if contact is not None:
            contact.last_heard = time.monotonic()
            if written:
                contact.last_written = contact.last_heard


def _check(events: Sequence[run_pb2.RunEvent]) -> None:
    for index, event in enumerate(events):
        where = f"batch.events[{index}]"
        if event.source not in SOURCES:
            raise invalid_request([Violation(f"{where}.source", "is not a source of a run")])
        if event.WhichOneof("payload") in (None, "local_checkpoint"):
            raise invalid_request([Violation(f"{where}.payload", "is missing or not for publication")])
        for name, stamp in _times(event):
            if stamp.seconds not in TIMESTAMP_SECONDS or not 0 <= stamp.nanos < 1_000_000_000:
                raise invalid_request([Violation(f"{where}.{name}", "is not a time of the years 1 to 9999")])


def _times(event: run_pb2.RunEvent) -> Iterator[tuple[str, Timestamp]]:
    yield "time", event.time
    yield "metric.time", event.metric.time
    yield "log.time", event.log.time
    yield "checkpoint.create_time", event.checkpoint.create_time


def unknown_first_message() -> DomainError:
    """INVALID_REQUEST for a stream that does not begin with hello."""
    return invalid_request([Violation("hello", "must be the first message of the stream")])
