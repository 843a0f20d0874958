"""The dispatcher: takes queued jobs to trainers with free slots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from gateway.events.log import JobLog, JobTransaction
from gateway.fleet import Fleet, Trainer
from gateway.telemetry.service import TelemetryService
from gateway.training.attempts import begin_attempt, end_attempt, run_spec
from rpc.errors import DomainError
from rpc.kill_points import KillPoint, passing
from storage.database.datasets import DatasetRepository
from storage.database.jobs import JobRepository
from storage.database.tables import TrainingJob, now
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.v1 import common_pb2

logger = structlog.get_logger()

# A trainer that refuses for one of these may take the job later, or another one may.
TRANSIENT = ("BUSY", "FRAMEWORK_UNAVAILABLE", "SHUTTING_DOWN")


class Dispatcher:
    """Looks at the queue whenever it is woken, and every ``recheck_seconds`` in any case."""

    def __init__(self, log: JobLog, fleet: Fleet, telemetry: TelemetryService, recheck_seconds: float = 2.0) -> None:
        self._log = log
        self._fleet = fleet
        self._telemetry = telemetry
        self._recheck_seconds = recheck_seconds
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; first repeat the starts that a gateway before this one may not have brought to their trainers."""
        self._fleet.on_change(self.wake)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop looking. A start under way is repeated by the next gateway."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def _run(self) -> None:
        await self._attempt(self._repeat_starts)
        while True:
            await self._attempt(self._dispatch_all)
            try:
                # Not `wait_for`: until Python 3.12 it loses a cancellation that comes together with the wake-up.
                async with asyncio.timeout(self._recheck_seconds):
                    await self._woken.wait()
            except TimeoutError:
                logger.debug("looking at the queue again")
            self._woken.clear()

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong in one look at the queue, there is a next one."""
        try:
            await step()
        except Exception:
            logger.exception("dispatch failed", step=step.__name__)

    async def _repeat_starts(self) -> None:
        jobs = await self._log.database.read(lambda session: JobRepository(session).in_states(["PREPARING"]))
        for job in jobs:
            self._telemetry.expect(job.current_run_id, job.id)
            spec, address = await self._log.transact(job.id, _present_run)
            trainer = self._fleet.at(address)
            if trainer is not None:
                await self._start(trainer, spec)

    async def _dispatch_all(self) -> None:
        queued = await self._log.database.read(lambda session: JobRepository(session).in_states(["QUEUED"]))
        for framework in sorted({job.framework for job in queued}):
            await self._dispatch(framework)

    async def _dispatch(self, framework: str) -> None:
        jobs = await self._log.database.read(lambda session: JobRepository(session).queued(framework))
        for job in jobs:
            try:
                trainers = self._fleet.serving(framework)
            except DomainError as error:
                if error.reason != "FRAMEWORK_NOT_FOUND":
                    return
                await self._give_up(job, error.failure())
                continue
            if not await self._has_dataset(job):
                message = f"Dataset {job.dataset_id} was deleted while the job was queued."
                await self._give_up(job, common_pb2.Failure(reason="DATASET_NOT_FOUND", message=message))
                continue
            trainer = trainers[0]
            if trainer.description is None or trainer.description.free_slots < 1:
                return
            spec = await self._log.transact(job.id, partial(_begin, address=trainer.address))
            if spec is not None:
                passing(KillPoint.DISPATCH_RECORDED)
                trainer.description.free_slots -= 1  # until the next poll knows
                self._telemetry.expect(spec.run_id, spec.job_id)
                await self._start(trainer, spec)

    async def _start(self, trainer: Trainer, spec: run_pb2.RunSpec) -> None:
        request = trainer_pb2.StartRunRequest(run=spec)
        try:
            await trainer.call(lambda stub, timeout: stub.StartRun(request, timeout=timeout))
        except DomainError as error:
            logger.warning("run not started", run_id=spec.run_id, reason=error.reason, message=error.message)
            failure = common_pb2.Failure(
                reason="START_REFUSED",
                message=f"The trainer did not start the run: {error.message}",
                metadata={**error.metadata, "cause": error.reason},
            )
            take_back = partial(_take_back, spec=spec, reason=error.reason, failure=failure)
            if await self._log.transact(spec.job_id, take_back):
                self._telemetry.abandon(spec.run_id)
            return
        passing(KillPoint.DISPATCH_STARTED)
        logger.info("run started", run_id=spec.run_id, job_id=spec.job_id, trainer=trainer.address)

    async def _has_dataset(self, job: TrainingJob) -> bool:
        return await self._log.database.read(lambda session: DatasetRepository(session).get(job.dataset_id) is not None)

    async def _give_up(self, job: TrainingJob, failure: common_pb2.Failure) -> None:
        def fail(transaction: JobTransaction) -> None:
            if transaction.job.state == "QUEUED":
                transaction.change_state("FAILED", failure=failure, end_time=now())

        await self._log.transact(job.id, fail)


def _begin(transaction: JobTransaction, address: str) -> run_pb2.RunSpec | None:
    """Begin an attempt, unless the job was stopped meanwhile."""
    if transaction.job.state != "QUEUED":
        return None
    spec = begin_attempt(transaction, address)
    passing(KillPoint.DISPATCH_BEFORE_COMMIT)
    return spec


def _present_run(transaction: JobTransaction) -> tuple[run_pb2.RunSpec, str]:
    job = transaction.job
    run = transaction.jobs.get_run(job.current_run_id)
    return run_spec(transaction.session, job), run.trainer_address if run is not None else ""


def _take_back(transaction: JobTransaction, spec: run_pb2.RunSpec, reason: str, failure: common_pb2.Failure) -> bool:
    """What a refused start means: back to the queue when another try may do, else the end of the attempt.

    False when the run counts all the same: it trains already, and only the answer to its start was lost.
    """
    job = transaction.job
    if job.current_run_id != spec.run_id:
        return True
    if job.state not in ("PREPARING", "STOPPING"):
        return False
    if job.state == "STOPPING":
        end_attempt(transaction, spec.run_id, "STOPPED", None, end_kind="START_REFUSED")
    elif reason in TRANSIENT:
        transaction.jobs.end_run(spec.run_id, "START_REFUSED")
        transaction.change_state("QUEUED")
    else:
        end_attempt(transaction, spec.run_id, "FAILED", failure, end_kind="START_REFUSED")
    return True
