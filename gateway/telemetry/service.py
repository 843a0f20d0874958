"""Runs in contact: who they are, what of theirs is durable, what they are told to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from gateway.events.log import JobLog, JobTransaction
from gateway.telemetry.access import AgentRun
from gateway.telemetry.event_rules import SOURCES, RunFacts, check_batch, event_refused
from gateway.telemetry.projection import ingest
from rpc.errors import DomainError
from rpc.kill_points import KillPoint, passing
from storage.database.errors import SequenceGap
from storage.database.jobs import JobRepository
from storage.database.tables import Run, now
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2

logger = structlog.get_logger()

STOP, ABANDON = "STOP", "ABANDON"
# The outcomes with which an agent itself ends a run: it may come back for acknowledgements it missed.
OWN_ENDS = ("COMPLETED", "STOPPED", "FAILED")


class Superseded(Exception):
    """The run no longer counts: its job has a newer one, or gave this one up."""


@dataclass(frozen=True)
class Greeting:
    """The answer to hello: the last durable position of each source, and what is known of a run that goes on.

    ``facts`` is None when the end of the run is durable: nothing is left to do for its agent.
    """

    positions: Mapping[str, int]
    facts: RunFacts | None


@dataclass
class Contact:
    """One run that is, or was lately, in contact."""

    run_id: str
    job_id: str
    last_heard: float = field(default_factory=time.monotonic)
    speaking: int = 0  # what it said and the database has not taken yet
    last_written: float = 0.0
    connections: list[asyncio.Queue[str]] = field(default_factory=list)
    told_to_stop: bool = False

    def tell(self, command: str) -> None:
        """Pass a command to the agent; lost when it is not connected, and then said again at its next hello."""
        for connection in self.connections:
            connection.put_nowait(command)
        self.told_to_stop = self.told_to_stop or (command == STOP and bool(self.connections))


class TelemetryService:
    """Takes what agents report. Contact is kept in memory and written to the database now and then."""

    def __init__(self, log: JobLog, *, write_contact_seconds: float) -> None:
        self._log = log
        self._write_contact_seconds = write_contact_seconds
        self._contacts: dict[str, Contact] = {}

    async def connect(self, own: AgentRun, run_id: str, job_id: str, commands: asyncio.Queue[str]) -> Greeting:
        """Say hello as run ``run_id`` of job ``job_id``. ``commands`` will hold what the agent is told.

        Raises Superseded when the run no longer counts or its job was deleted, RUN_NOT_ALLOWED when it is not ``own``,
        that of the token.
        """
        if (run_id, job_id) != (own.run_id, own.job_id):
            raise DomainError(
                "RUN_NOT_ALLOWED",
                "This token is good for another run than the one that hello names.",
                metadata={"run_id": run_id, "job_id": job_id},
            )

        def hello(transaction: JobTransaction) -> tuple[Greeting, str]:
            job, run = transaction.job, _present(transaction, run_id)
            positions = transaction.positions(run_id)
            if run.end_kind:
                return Greeting(positions, None), job.state
            transaction.jobs.touch(run_id, now())
            return Greeting(positions, RunFacts(run_id, job_id, job.project_id, job.epochs)), job.state

        try:
            with self._hearing(run_id):
                greeting, state = await self._log.transact(job_id, hello)
        except DomainError as error:
            if error.reason == "JOB_NOT_FOUND" and await self._was_deleted(job_id):
                raise Superseded("its job was deleted") from error
            raise
        if greeting.facts is None:
            return greeting  # nothing is expected of it any more
        contact = self.expect(run_id, job_id)
        contact.last_heard = contact.last_written = time.monotonic()
        contact.connections.append(commands)
        contact.told_to_stop = state == "STOPPING"
        if state == "STOPPING":
            commands.put_nowait(STOP)
        logger.info("agent connected", run_id=run_id, job_id=job_id)
        return greeting

    def disconnect(self, run_id: str, commands: asyncio.Queue[str]) -> None:
        """The agent's stream ended."""
        contact = self._contacts.get(run_id)
        if contact is not None and commands in contact.connections:
            contact.connections.remove(commands)

    async def receive(self, facts: RunFacts, events: Sequence[run_pb2.RunEvent]) -> Greeting:
        """Take a batch in one transaction; returns what is durable then, as ``connect`` does.

        Raises Superseded, EVENT_REFUSED, EVENTS_OUT_OF_ORDER, INVALID_REQUEST; then nothing of the batch is kept.
        """
        check_batch(facts, events)
        run_id = facts.run_id

        def take(transaction: JobTransaction) -> Greeting:
            run = _present(transaction, run_id)
            if run.end_kind:
                _check_known(events, transaction.positions(run_id))
                return Greeting(transaction.positions(run_id), None)
            time = now()
            ingest(transaction, run_id, events, time)
            if transaction.job.contact_time != time:
                transaction.jobs.touch(run_id, time)
            ended = any(event.HasField("end") for event in events)
            greeting = Greeting(transaction.positions(run_id), None if ended else facts)
            passing(KillPoint.INGEST_BEFORE_COMMIT)
            return greeting

        try:
            with self._hearing(run_id):
                greeting = await self._log.transact(facts.job_id, take)
        except SequenceGap as gap:
            raise _out_of_order(gap) from gap
        passing(KillPoint.INGEST_AFTER_COMMIT)
        self._heard(run_id, written=True)
        if greeting.facts is None:
            self.abandon(run_id)  # other streams of the run, which hang in a network that fell silent
        return greeting

    async def heartbeat(self, run_id: str, job_id: str) -> None:
        """Renew the lease. Raises Superseded."""
        contact = self._contacts.get(run_id)
        if contact is None:
            raise Superseded("given up")
        self._heard(run_id, written=False)
        if contact.last_heard - contact.last_written < self._write_contact_seconds:
            return
        if not await self._log.touch(job_id, run_id):
            raise Superseded("given up")  # by another gateway, or it would not be a contact
        contact.last_written = time.monotonic()

    def expect(self, run_id: str, job_id: str) -> Contact:
        """Reckon with a run from now on: its lease begins here unless it was heard of before."""
        return self._contacts.setdefault(run_id, Contact(run_id, job_id))

    def silent_seconds(self, run_id: str, job_id: str) -> float:
        """Seconds since the run was last heard of; 0 while the database takes what it said."""
        contact = self.expect(run_id, job_id)
        return 0.0 if contact.speaking else time.monotonic() - contact.last_heard

    def stop(self, run_id: str) -> bool:
        """Tell a run to stop at the next batch; False when its agent is not connected."""
        return self._tell(run_id, STOP)

    async def relay(self, job_id: str | None = None) -> None:
        """Tell the agents that are connected here what was decided elsewhere: of one job, or of all."""
        connected = [
            contact.run_id
            for contact in self._contacts.values()
            if contact.connections and job_id in (None, contact.job_id)
        ]
        if not connected:
            return
        standings = await self._log.database.read(lambda session: JobRepository(session).standings(connected))
        for run in standings:
            contact = self._contacts.get(run.run_id)
            if run.end_kind not in ("", *OWN_ENDS):
                self.abandon(run.run_id)
            elif run.stopping and contact is not None and not contact.told_to_stop:
                contact.tell(STOP)

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

    async def _was_deleted(self, job_id: str) -> bool:
        states = await self._log.database.read(lambda session: JobRepository(session).states([job_id]))
        return states.get(job_id) == "DELETED"

    def _tell(self, run_id: str, command: str) -> bool:
        contact = self._contacts.get(run_id)
        if contact is None or not contact.connections:
            return False
        contact.tell(command)
        return True

    @contextmanager
    def _hearing(self, run_id: str) -> Iterator[None]:
        """The run is in contact while a slow database takes what it said, however long that is."""
        contact = self._contacts.get(run_id)
        if contact is None:
            yield
            return
        contact.speaking += 1
        try:
            yield
        finally:
            contact.speaking -= 1
            contact.last_heard = time.monotonic()

    def _heard(self, run_id: str, *, written: bool) -> None:
        contact = self._contacts.get(run_id)
        if contact is not None:
            contact.last_heard = time.monotonic()
            if written:
                contact.last_written = contact.last_heard


def _present(transaction: JobTransaction, run_id: str) -> Run:
    """The run, as long as its agent has a say. Raises Superseded."""
    run = transaction.run(run_id)
    if run is None or run.end_kind not in ("", *OWN_ENDS):
        raise Superseded(run.end_kind if run is not None else "unknown")
    if not run.end_kind and transaction.job.current_run_id != run_id:
        raise Superseded("SUPERSEDED")
    return run


def _check_known(events: Sequence[run_pb2.RunEvent], positions: Mapping[str, int]) -> None:
    """Raises EVENT_REFUSED for the first event that is not durable: its run has ended."""
    for index, event in enumerate(events):
        if event.source_sequence > positions.get(SOURCES[event.source], 0):
            raise event_refused(event, [Violation(f"batch.events[{index}]", "comes after the end of its run")])


def _out_of_order(gap: SequenceGap) -> DomainError:
    return DomainError(
        "EVENTS_OUT_OF_ORDER",
        f"Events of source {gap.source} were skipped or reordered: {gap.expected} was expected, {gap.found} came. "
        "Nothing of the batch was kept; say hello again and go on from what is durable.",
        metadata={
            "source": gap.source,
            "expected_source_sequence": str(gap.expected),
            "source_sequence": str(gap.found),
        },
    )
