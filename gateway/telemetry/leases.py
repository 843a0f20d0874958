"""Leases: a run that is out of contact for too long is given up, so that no job is RUNNING when nothing runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from gateway.events.log import JobLog, JobTransaction
from gateway.fleet import Fleet
from gateway.telemetry.service import TelemetryService
from gateway.training.attempts import end_attempt
from gateway.training.states import WITH_RUN
from rpc.errors import DomainError
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob, now
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import common_pb2

logger = structlog.get_logger()


class LeaseKeeper:
    """Judges the runs once every ``check_seconds``. At a start of the gateway every lease begins anew, and again when
    nothing could be judged for half a lease: agents that went on meanwhile get the time to say hello.
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
        self._judged_time = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to judge."""
        self._judged_time = time.monotonic()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Judge no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._check()
            except Exception:
                logger.exception("checking leases failed")
            await asyncio.sleep(self._check_seconds)

    async def _check(self) -> None:
        jobs = await self._log.database.read(lambda session: JobRepository(session).in_states(WITH_RUN))
        if time.monotonic() - self._judged_time > self._lease_seconds / 2 + self._check_seconds:
            # The database was away, or this process stood still: who was silent cannot be told from who was not heard.
            logger.warning("leases begin anew", after_seconds=round(time.monotonic() - self._judged_time))
            self._telemetry.begin_leases_anew()
        self._telemetry.forget_others({job.current_run_id for job in jobs})
        await self._judge(jobs)
        self._judged_time = time.monotonic()

    async def _judge(self, jobs: Sequence[TrainingJob]) -> None:
        for job in jobs:
            silent = self._telemetry.silent_seconds(job.current_run_id, job.id)
            if silent > self._lease_seconds:
                await self._expire(job)
            elif silent > self._contact_lost_seconds and job.contact_lost_time is None:
                logger.warning("contact lost", job_id=job.id, run_id=job.current_run_id)
                await self._show_lost(job, silent)

    async def _show_lost(self, job: TrainingJob, silent: float) -> None:
        since = now() - timedelta(seconds=silent)

        def show(transaction: JobTransaction) -> None:
            if transaction.job.current_run_id == job.current_run_id and transaction.job.state in WITH_RUN:
                transaction.update(contact_lost_time=since)

        await self._log.transact(job.id, show)

    async def _expire(self, job: TrainingJob) -> None:
        run_id = job.current_run_id
        failure = common_pb2.Failure(
            reason="LEASE_EXPIRED",
            message=f"Nothing was heard of the run for {self._lease_seconds:g} seconds: its machine or its network is "
            "gone. Start the job with `resume` to go on from its last checkpoint.",
            metadata={"run_id": run_id, "lease_seconds": f"{self._lease_seconds:g}"},
        )

        def expire(transaction: JobTransaction) -> str:
            if transaction.job.state not in WITH_RUN:
                return ""
            ended = end_attempt(transaction, run_id, "FAILED", failure, end_kind="LEASE_EXPIRED")
            run = transaction.jobs.get_run(run_id)
            return run.trainer_address if ended and run is not None else ""

        address = await self._log.transact(job.id, expire)
        logger.warning("lease expired", job_id=job.id, run_id=run_id)
        self._telemetry.abandon(run_id)
        trainer = self._fleet.at(address)
        if trainer is not None and trainer.healthy:
            request = trainer_pb2.StopRunRequest(run_id=run_id, kill=True)
            try:
                await trainer.call(lambda stub, timeout: stub.StopRun(request, timeout=timeout))
            except DomainError as error:
                # It is told to abandon the run at its next hello in any case.
                logger.warning("lost run not killed", run_id=run_id, reason=error.reason)
