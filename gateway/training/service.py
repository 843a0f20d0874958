"""What callers do with jobs: create, start, stop, look."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TypeVar

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from gateway.access import Caller
from gateway.enums import TASK_TYPES
from gateway.events.kept_reads import KeptReads
from gateway.events.log import JobLog, JobTransaction, job_not_found
from gateway.failover import first_answer
from gateway.fleet import Fleet
from gateway.idempotency import remember, replayed
from gateway.telemetry.service import TelemetryService
from gateway.training.dataset_use import check_dataset_use
from gateway.training.ownership import owned
from gateway.training.resume import resume_source
from gateway.training.retention import Retention, leave_behind
from gateway.training.states import check_start
from gateway.training.warm_start import first_weights
from rpc.errors import DomainError, invalid_request
from storage.database.datasets import DatasetRepository
from storage.database.errors import RequestExists
from storage.database.ids import new_id
from storage.database.jobs import JobFilter, JobRepository
from storage.database.pages import Page
from storage.database.tables import Dataset, TrainingJob, now
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import trainer_pb2

T = TypeVar("T")


class JobService:
    """The rules of jobs. ``wake_dispatcher`` is called when a job was queued; ``retention`` fills in what a job leaves
    open."""

    def __init__(
        self,
        log: JobLog,
        fleet: Fleet,
        telemetry: TelemetryService,
        wake_dispatcher: Callable[[], None],
        retention: Retention,
    ) -> None:
        self._log = log
        self.encoded: KeptReads[bytes] = log.kept_reads()
        self._database = log.database
        self._fleet = fleet
        self._telemetry = telemetry
        self._wake_dispatcher = wake_dispatcher
        self._retention = retention

    async def create(
        self,
        caller: Caller,
        draft: TrainingJob,
        config: struct_pb2.Struct,
        violations: list[Violation],
        *,
        request: Message,
        validate_only: bool,
    ) -> TrainingJob:
        """Check a draft against dataset and trainer, then store it as PENDING.

        ``violations`` are those found in the request itself; those of the trainer are added, so that all are named
        at once. ``request`` is the message, for its request_id. Raises as CreateJob says.
        """
        if not validate_only and not violations:
            first = await self._database.read(lambda session: replayed(session, caller.user_id, "CreateJob", request))
            if first is not None:
                return await self.get(caller, first)
        dataset: Dataset | None = None
        refusals: list[DomainError] = []
        try:
            dataset = await self._dataset(caller, draft.dataset_id) if draft.dataset_id else None
        except DomainError as error:
            refusals.append(error)
        try:
            num_classes = len(dataset.class_names) if dataset is not None else 0
            if draft.framework:
                violations = violations + await self._ask_trainer(draft, config, violations, num_classes)
        except DomainError as error:
            refusals.append(error)
        if dataset is not None and draft.task_type:
            violations = violations + check_dataset_use(draft.task_type, draft.dataset_view, dataset.task_types)
        # What the request itself gets wrong is told first: it can be put right without anyone else.
        if violations:
            raise invalid_request(violations)
        if dataset is None or refusals:
            raise refusals[0]
        draft.dataset_format = dataset.format
        draft.manifest_digest = dataset.manifest_digest
        draft.num_classes = len(dataset.class_names)
        self._retention.fill_in(draft)
        if validate_only:
            return draft
        draft.id = new_id("job")

        def store(session: Session) -> TrainingJob | str:
            # Looked up again: the same request may have been served while the trainer was asked.
            first = replayed(session, caller.user_id, "CreateJob", request)
            if first is not None:
                return first
            job = JobRepository(session).add(draft)
            remember(session, caller.user_id, "CreateJob", request, job.id)
            return job

        try:
            stored = await self._database.write(store)
        except RequestExists:  # the same call, at the same time, on another gateway: now its answer is there
            stored = await self._database.write(store)
        return await self.get(caller, stored) if isinstance(stored, str) else stored

    async def start(
        self, caller: Caller, job_id: str, resume: bool, checkpoint_id: str, request: Message
    ) -> TrainingJob:
        """Queue a job. Raises as StartJob says."""

        def queue(transaction: JobTransaction) -> TrainingJob:
            job, session = owned(transaction, caller), transaction.session
            if replayed(session, caller.user_id, f"StartJob {job_id}", request) is not None:
                transaction.jobs.fill_queue_positions([job])
                return job
            check_start(job.id, job.state)
            self._check_dataset(session, caller, job.dataset_id)
            source = resume_source(session, job, checkpoint_id) if resume else None
            started_from = "" if resume or not checkpoint_id else first_weights(session, job, checkpoint_id).id
            leave_behind(session, job, source)
            transaction.change_state(
                "QUEUED",
                queue_time=now(),
                end_time=None,
                restarts=0,
                started_after_attempt=job.attempt,
                resume_checkpoint_id=source.id if source is not None else "",
                start_checkpoint_id=started_from,
            )
            remember(session, caller.user_id, f"StartJob {job_id}", request, job.id)
            transaction.jobs.fill_queue_positions([transaction.job])
            return transaction.job

        job = await self._log.transact(job_id, queue)
        self._wake_dispatcher()
        return job

    async def stop(self, caller: Caller, job_id: str) -> TrainingJob:
        """Stop a job: at once when nothing runs yet, else at the next batch. Raises as StopJob says."""

        def stop(transaction: JobTransaction) -> TrainingJob:
            job = owned(transaction, caller)
            if job.state in ("STOPPING", "STOPPED"):
                return job
            if job.state in ("PENDING", "QUEUED"):
                transaction.change_state("STOPPED", end_time=now())
            else:
                transaction.change_state("STOPPING")
            return transaction.job

        job = await self._log.transact(job_id, stop)
        if job.state == "STOPPING":
            # An agent that is out of contact is told when it says hello again. One that speaks to another gateway hears
            # it from there, as soon as that one hears that the job changed.
            self._telemetry.stop(job.current_run_id)
        return job

    async def get(self, caller: Caller, job_id: str) -> TrainingJob:
        """One job of the caller. Raises JOB_NOT_FOUND."""

        def read(session: Session) -> TrainingJob:
            jobs = JobRepository(session)
            job = jobs.owned(job_id, caller.user_id)
            if job is None:
                raise job_not_found(job_id)
            jobs.fill_queue_positions([job])
            return job

        return await self._database.read(read)

    async def list(
        self, caller: Caller, filters: JobFilter, newest_first: bool, page_size: int, page_token: str
    ) -> Page[TrainingJob]:
        """A page of the caller's jobs. Raises InvalidPageToken."""

        def read(session: Session) -> Page[TrainingJob]:
            jobs = JobRepository(session)
            page = jobs.list(caller.user_id, filters, newest_first, page_size, page_token)
            jobs.fill_queue_positions(page.items)
            return page

        return await self._database.read(read)

    async def of_job(self, caller: Caller, job_id: str, query: Callable[[Session], T]) -> T:
        """Run ``query`` for something that belongs to a job of the caller. Raises JOB_NOT_FOUND."""

        def run(session: Session) -> T:
            if JobRepository(session).owned(job_id, caller.user_id) is None:
                raise job_not_found(job_id)
            return query(session)

        return await self._database.read(run)

    async def _dataset(self, caller: Caller, dataset_id: str) -> Dataset:
        return await self._database.read(lambda session: self._check_dataset(session, caller, dataset_id))

    @staticmethod
    def _check_dataset(session: Session, caller: Caller, dataset_id: str) -> Dataset:
        dataset = DatasetRepository(session).visible(dataset_id, caller.user_id)
        if dataset is None:
            raise DomainError(
                "DATASET_NOT_FOUND", f"There is no dataset {dataset_id!r}.", metadata={"dataset_id": dataset_id}
            )
        if dataset.state != "READY":
            raise DomainError(
                "DATASET_NOT_READY",
                f"Dataset {dataset_id} is {dataset.state}; a job can train on it once it is READY.",
                metadata={"dataset_id": dataset_id, "state": dataset.state},
            )
        return dataset

    async def _ask_trainer(
        self,
        draft: TrainingJob,
        config: struct_pb2.Struct,
        known_violations: builtins.list[Violation],
        num_classes: int,
    ) -> builtins.list[Violation]:
        """Let a trainer check model, task, configuration and weights; fills in what it decides. Returns what it finds
        wrong beside ``known_violations``."""
        request = trainer_pb2.ValidateConfigRequest(
            task_type=TASK_TYPES.number(draft.task_type),  # type: ignore[arg-type]
            model_name=draft.model_name,
            config=config,
            pretrained=draft.pretrained,
            epochs=draft.epochs,
            batch_size=draft.batch_size,
            image_size=draft.image_size,
            num_classes=num_classes,
            learning_rate=draft.learning_rate,
        )
        answer = await first_answer(
            self._fleet.serving(draft.framework), lambda stub, timeout: stub.ValidateConfig(request, timeout=timeout)
        )
        draft.task_type = TASK_TYPES.name(answer.task_type) or ""
        draft.image_size = draft.image_size or answer.default_image_size
        # A number that is NaN, both find.
        named = {violation.field for violation in known_violations}
        found = [Violation(f"job.{item.field}", item.description) for item in answer.violations]
        violations = [violation for violation in found if violation.field not in named]
        if not violations and not known_violations:
            # Only then: a number that was found to be NaN may come back, and JSON has none.
            draft.advanced_config = json_format.MessageToDict(answer.config)
        known = dict(answer.metrics)
        if known and draft.primary_metric and draft.primary_metric not in known:
            names = ", ".join(sorted(known))
            violations.append(Violation("job.primary_metric", f"{draft.primary_metric!r} is not one of: {names}"))
        draft.primary_metric = draft.primary_metric or answer.primary_metric
        if not draft.primary_metric_mode:
            draft.primary_metric_mode = "MAX" if known.get(draft.primary_metric, True) else "MIN"
        return violations
