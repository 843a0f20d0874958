"""The dispatcher: takes queued jobs to trainers with free slots."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import structlog
from sqlalchemy.orm import Session

from gateway.events.log import JobLog, JobTransaction
from gateway.fleet import Fleet, Trainer
from gateway.telemetry.service import TelemetryService
from gateway.training.attempts import begin_attempt, end_attempt, repeat_attempt, withdraw_attempt
from rpc.errors import DomainError
from rpc.kill_points import KillPoint, passing
from storage.database.claims import claimed
from storage.database.datasets import DatasetRepository
from storage.database.errors import DatabaseUnavailable
from storage.database.jobs import JobRepository
from storage.database.run_tokens import RunTokenRepository
from storage.database.tables import TrainingJob, now
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.v1 import common_pb2

logger = structlog.get_logger()

# A trainer that refuses for one of these may take the job later, or another one may.
TRANSIENT = ("BUSY", "FRAMEWORK_UNAVAILABLE", "SHUTTING_DOWN")


class Dispatcher:
    """Looks at the queue whenever it is woken, and every ``recheck_seconds`` in any case.

    Every gateway over a database dispatches. A job is taken with its row locked, so it begins once; slots of a
    framework are handed out by one transaction at a time, which counts the runs of all gateways.
    """

    def __init__(self, log: JobLog, fleet: Fleet, telemetry: TelemetryService, recheck_seconds: float = 2.0) -> None:
        self._log = log
        self._fleet = fleet
        self._telemetry = telemetry
        self._recheck_seconds = recheck_seconds
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._starting: dict[str, asyncio.Task[None]] = {}  # by run

    def start(self) -> None:
        """Begin; the starts that a gateway which died may not have brought to their trainers are repeated."""
        self._fleet.on_change(self.wake)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop looking. A start under way is repeated by another gateway, or the next."""
        tasks = [*self._starting.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            await self._attempt(self._repeat_starts())
            await self._attempt(self._dispatch_all())
            try:
                # Not `wait_for`: until Python 3.12 it loses a cancellation that comes together with the wake-up.
                async with asyncio.timeout(self._recheck_seconds):
                    await self._woken.wait()
            except TimeoutError:
                logger.debug("looking at the queue again")
            self._woken.clear()

    async def _attempt(self, step: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong in one look at the queue, there is a next one."""
        try:
            await step
        except DatabaseUnavailable as error:
            logger.warning("nothing can be dispatched now", error=str(error))
        except Exception:
            logger.exception("dispatch failed")

    async def _repeat_starts(self) -> None:
        """Bring runs to their trainers whose gateway died before they said that they have them.

        That a run is started twice does no harm: a trainer knows it by its id.
        """
        for job_id, run_id in await self._log.database.read(lambda session: JobRepository(session).unstarted()):
            if run_id not in self._starting:
                self._begin_start(run_id, self._repeat_start(job_id, run_id))

    async def _repeat_start(self, job_id: str, run_id: str) -> None:
        async with self._claim(run_id) as mine:
            if not mine:
                return  # a gateway that lives is about it
            found = await self._log.transact(job_id, partial(_repeated, run_id=run_id))
            trainer = self._fleet.at(found[1]) if found is not None else None
            if found is not None and trainer is not None:
                self._telemetry.expect(run_id, job_id)
                await self._ask_to_start(trainer, found[0])

    async def _dispatch_all(self) -> None:
        frameworks = await self._log.database.read(lambda session: JobRepository(session).queued_frameworks())
        # None waits for another whose trainers are full, slow or away.
        await asyncio.gather(*(self._attempt(self._dispatch(framework)) for framework in frameworks))

    async def _dispatch(self, framework: str) -> None:
        while True:
            try:
                trainers = self._fleet.serving(framework)
            except DomainError as error:
                if error.reason == "FRAMEWORK_NOT_FOUND":
                    await self._give_up(framework, error.failure())
                return
            taking = Taking(framework, trainers)
            spec = await self._log.transact_next(taking.pick, taking.begin)
            if taking.trainer is None:
                return  # no free slot, or no job that nobody else works on
            if spec is not None:
                passing(KillPoint.DISPATCH_RECORDED)
                assert taking.trainer.description is not None  # it offered a slot
                taking.trainer.description.free_slots -= 1  # until the next poll knows
                self._telemetry.expect(spec.run_id, spec.job_id)
                self._begin_start(spec.run_id, self._start(taking.trainer, spec))

    def _begin_start(self, run_id: str, start: Coroutine[Any, Any, None]) -> None:
        """Start a run beside the others: a trainer that hangs keeps nobody waiting but its own runs."""
        task = asyncio.create_task(self._attempt(start))
        self._starting[run_id] = task
        task.add_done_callback(lambda _: self._starting.pop(run_id))

    async def _start(self, trainer: Trainer, spec: run_pb2.RunSpec) -> None:
        async with self._claim(spec.run_id) as mine:
            if mine:
                await self._ask_to_start(trainer, spec)

    def _claim(self, run_id: str) -> AbstractAsyncContextManager[bool]:
        """Held while a trainer's answer is awaited: so long, this gateway lives and no other repeats the start."""
        return claimed(self._log.database.claims, f"start of {run_id}")

    async def _ask_to_start(self, trainer: Trainer, spec: run_pb2.RunSpec) -> None:
        # A start that is repeated brings a token of its own: the one sent before it is known by its digest alone.
        token = await self._log.database.write(lambda session: RunTokenRepository(session).add(spec.run_id))
        request = trainer_pb2.StartRunRequest(run=spec, run_token=token)
        try:
            await trainer.call(lambda stub, timeout: stub.StartRun(request, timeout=timeout))
        except DomainError as error:
            logger.warning("run not started", run_id=spec.run_id, reason=error.reason, message=error.message)
            failure = common_pb2.Failure(
                reason="START_REFUSED",
                message=f"The trainer did not start the run: {error.message}",
                metadata={**error.metadata, "cause": error.reason},
            )
            if error.reason in TRANSIENT and trainer.description is not None:
                trainer.description.free_slots = 0  # until the next poll knows
            take_back = partial(_take_back, spec=spec, reason=error.reason, failure=failure)
            if await self._log.transact(spec.job_id, take_back):
                self._telemetry.abandon(spec.run_id)
            self.wake()
            return
        passing(KillPoint.DISPATCH_STARTED)
        await self._log.database.write(lambda session: JobRepository(session).mark_started(spec.run_id))
        logger.info("run started", run_id=spec.run_id, job_id=spec.job_id, trainer=trainer.address)

    async def _give_up(self, framework: str, failure: common_pb2.Failure) -> None:
        """Fail every job that waits for a framework that is gone."""
        for job in await self._log.database.read(lambda session: JobRepository(session).queued(framework)):
            await self._log.transact(job.id, partial(_fail_queued, failure=failure))


class Taking:
    """One try to take the next job of a queue to a trainer with a free slot: ``trainer`` is where it went, or None."""

    def __init__(self, framework: str, trainers: Sequence[Trainer]) -> None:
        """``trainers``: healthy ones, the one to ask first in front."""
        self.trainer: Trainer | None = None
        self._framework = framework
        self._offers = {
            trainer.address: (trainer, trainer.description) for trainer in trainers if trainer.description is not None
        }

    def pick(self, session: Session) -> TrainingJob | None:
        """The next job, locked, if there is a slot for it."""
        jobs = JobRepository(session)
        jobs.lock_queue(self._framework)
        taken = jobs.slots_taken([*self._offers])
        free = {
            # A trainer knows of runs that still publish, the database of those that were started since it was asked.
            address: min(description.free_slots, description.slots - taken.get(address, 0))
            for address, (_, description) in self._offers.items()
        }
        address = max(free, key=lambda address: free[address], default="")
        job = jobs.next_queued(self._framework) if free.get(address, 0) > 0 else None
        self.trainer = self._offers[address][0] if job is not None else None
        return job

    def begin(self, transaction: JobTransaction) -> run_pb2.RunSpec | None:
        """Begin an attempt; None when the job failed instead, for its dataset is gone."""
        job = transaction.job
        if DatasetRepository(transaction.session).get(job.dataset_id) is None:
            message = f"Dataset {job.dataset_id} was deleted while the job was queued."
            _fail_queued(transaction, common_pb2.Failure(reason="DATASET_NOT_FOUND", message=message))
            return None
        assert self.trainer is not None  # there is a slot for what was picked
        spec = begin_attempt(transaction, self.trainer.address)
        passing(KillPoint.DISPATCH_BEFORE_COMMIT)
        return spec


def _repeated(transaction: JobTransaction, run_id: str) -> tuple[run_pb2.RunSpec, str] | None:
    """The run and its trainer's address, unless its job has moved on or the trainer has it."""
    run = transaction.jobs.get_run(run_id)
    if run is None or transaction.job.current_run_id != run_id or run.started or run.end_kind:
        return None
    return repeat_attempt(transaction)


def _fail_queued(transaction: JobTransaction, failure: common_pb2.Failure) -> None:
    if transaction.job.state == "QUEUED":
        transaction.change_state("FAILED", failure=failure, end_time=now())


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
        withdraw_attempt(transaction, spec.run_id, failure)
    else:
        end_attempt(transaction, spec.run_id, "FAILED", failure, end_kind="START_REFUSED")
    return True
