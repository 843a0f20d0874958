"""Leases: a run that is out of contact for too long is given up, so that no job is RUNNING when nothing runs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog

from gateway.events.log import JobLog, JobTransaction
from gateway.fleet import Fleet, Trainer
from gateway.telemetry.service import TelemetryService
from gateway.telemetry.silence import Silence
from gateway.training.attempts import end_attempt
from gateway.training.states import WITH_RUN
from rpc.errors import DomainError
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob, now
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import common_pb2

logger = structlog.get_logger()

# Longer without a look than this, and nothing is known of the time between.
LOOK_GAP_SECONDS = 5.0


class LeaseKeeper:
    """Judges the runs once every ``check_seconds``, by a clock that nobody sets. After a start of the gateway, and
    after a time in which it could not take what agents said, every lease begins anew: those that went on meanwhile get
    the time to say hello.

    Every gateway over a database judges every run, by what itself hears of it and by what the database shows that
    others hear: so one that dies needs no successor. A judgement is a transaction that looks again; the first counts.
    """

    def __init__(
        self,
        log: JobLog,
        fleet: Fleet,
        telemetry: TelemetryService,
        *,
        contact_lost_seconds: float,
        lease_seconds: float,
        check_seconds: float = 1.0,
    ) -> None:
        self._log = log
        self._fleet = fleet
        self._telemetry = telemetry
        self._contact_lost_seconds = contact_lost_seconds
        self._lease_seconds = lease_seconds
        self._check_seconds = check_seconds
        # A gap of half a lease is long in any case.
        gap_seconds = min(max(LOOK_GAP_SECONDS, contact_lost_seconds), max(lease_seconds / 2, 3 * check_seconds))
        self._silence = Silence(gap_seconds)
        self._task: asyncio.Task[None] | None = None
        self._kills: set[asyncio.Task[None]] = set()  # the loop itself keeps no task alive

    def start(self) -> None:
        """Begin to judge."""
        self._judged_time = time.monotonic()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Judge no more."""
        tasks = [*self._kills, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._check()
            except Exception:
                logger.exception("checking leases failed")
            await asyncio.sleep(self._check_seconds)

    async def _check(self) -> None:
        jobs = await self._log.database.read(lambda session: JobRepository(session).in_states(WITH_RUN))
        self._telemetry.forget_others({job.current_run_id for job in jobs})
        self._silence.look(jobs)
        for job in jobs:
            run_id = job.current_run_id
            silent = min(self._telemetry.silent_seconds(run_id, job.id), self._silence.seconds(run_id))
            if silent > self._lease_seconds:
                await self._expire(job)
            elif silent > self._contact_lost_seconds and job.contact_lost_time is None:
                logger.warning("contact lost", job_id=job.id, run_id=job.current_run_id)
                await self._show_lost(job, silent)

    async def _show_lost(self, job: TrainingJob, silent: float) -> None:
        since = now() - timedelta(seconds=silent)

        def show(transaction: JobTransaction) -> None:
            if _still_silent(transaction, job):
                transaction.update(contact_lost_time=since)

        await self._log.transact(job.id, show)

    async def _expire(self, job: TrainingJob) -> None:
        run_id = job.current_run_id
        failure = common_pb2.Failure(
            reason="LEASE_EXPIRED",
            message=f"Nothing was heard of the run for {self._lease_seconds:g} seconds: its machine or its network is "
            "gone.",
            metadata={"run_id": run_id, "lease_seconds": f"{self._lease_seconds:g}"},
        )

        def expire(transaction: JobTransaction) -> str | None:
            # Asked once more: this may have waited for the transaction of an agent that spoke.
            heard = self._telemetry.silent_seconds(run_id, job.id) <= self._lease_seconds
            if heard or not _still_silent(transaction, job):
                return None
            ended = end_attempt(transaction, run_id, "FAILED", failure, end_kind="LEASE_EXPIRED")
            run = transaction.jobs.get_run(run_id)
            return run.trainer_address if ended and run is not None else None

        address = await self._log.transact(job.id, expire)
        if address is None:
            return
        logger.warning("lease expired", job_id=job.id, run_id=run_id)
        self._telemetry.abandon(run_id)
        trainer = self._fleet.at(address)
        if trainer is not None and trainer.healthy:
            # Not waited for: a trainer that hangs must not keep other leases from being judged.
            kill = asyncio.create_task(_kill(trainer, run_id))
            self._kills.add(kill)
            kill.add_done_callback(self._kills.discard)


def _still_silent(transaction: JobTransaction, job: TrainingJob) -> bool:
    """Whether nothing was heard of the run since ``job`` was read, by any gateway, and it still is the job's."""
    known = transaction.job
    return known.state in WITH_RUN and (known.current_run_id, known.contact_time) == (
        job.current_run_id,
        job.contact_time,
    )


async def _kill(trainer: Trainer, run_id: str) -> None:
    request = trainer_pb2.StopRunRequest(run_id=run_id, kill=True)
    try:
        await trainer.call(lambda stub, timeout: stub.StopRun(request, timeout=timeout))
    except DomainError as error:
        # It is told to abandon the run at its next hello in any case.
        logger.warning("lost run not killed", run_id=run_id, reason=error.reason)
