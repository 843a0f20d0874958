"""Training jobs and their runs."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from storage.database.claims import claim_key
from storage.database.pages import Page, fetch_page
from storage.database.statements import has_tags, is_sqlite_session, matches_text, portions, update_by_id, update_one
from storage.database.tables import DeletedJob, Run, SourcePosition, TrainingJob, now

# Made once: every call about a job, and every batch of an agent, has some of them, and building them costs as much as
# running them.
_OWNED = select(TrainingJob).where(TrainingJob.id == bindparam("job_id"), TrainingJob.user_id == bindparam("user_id"))
_LOCKED = select(TrainingJob).where(TrainingJob.id == bindparam("job_id")).with_for_update()
_TOUCH = (
    update(TrainingJob)
    .where(
        # By way of the runs: current_run_id has no index, the job's id has.
        TrainingJob.id == select(Run.job_id).where(Run.id == bindparam("of_run"), Run.end_kind == "").scalar_subquery(),
        TrainingJob.current_run_id == bindparam("of_run"),
    )
    .values(contact_time=bindparam("time"), contact_lost_time=None)
    # Not the row: agents of all runs do this all the time.
    .returning(TrainingJob.id)
)

# A queue: higher priority first, then who waits longest.
_QUEUE_ORDER = TrainingJob.priority.desc(), TrainingJob.queue_time, TrainingJob.id
# States in which a job's current run takes a slot of its trainer.
_WITH_RUN = ("PREPARING", "RUNNING", "STOPPING")


@dataclass(frozen=True)
class RunStanding:
    """How a run stands: whether its job is to stop, and how the run ended, which is empty while it goes on."""

    run_id: str
    stopping: bool
    end_kind: str


@dataclass(frozen=True)
class JobFilter:
    """What a listing is narrowed to; an empty field narrows nothing, several tags must all be there."""

    project_id: str = ""
    state: str = ""
    framework: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""


class JobRepository:
    """Queries about jobs and runs, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, job: TrainingJob) -> TrainingJob:
        """Inserts a new job and returns it with its defaults."""
        self._session.add(job)
        self._session.flush()
        return job

    def get(self, job_id: str) -> TrainingJob | None:
        """The job, whoever owns it."""
        return self._session.get(TrainingJob, job_id)

    def lock(self, job_id: str) -> TrainingJob | None:
        """The job as it is now, locked until the transaction ends (on SQLite only one transaction writes anyway)."""
        if "\0" in job_id:
            return None
        return self._session.scalar(_LOCKED, {"job_id": job_id}, execution_options={"populate_existing": True})

    def owned(self, job_id: str, user_id: str) -> TrainingJob | None:
        """The job, if the user owns it."""
        if "\0" in job_id:  # PostgreSQL refuses it with an error of its own; no id of ours has one
            return None
        return self._session.scalar(_OWNED, {"job_id": job_id, "user_id": user_id})

    def list(
        self, user_id: str, filters: JobFilter, newest_first: bool, page_size: int, page_token: str
    ) -> Page[TrainingJob]:
        """The user's jobs by creation. Raises InvalidPageToken."""
        query = select(TrainingJob).where(
            TrainingJob.user_id == user_id, *has_tags(self._session, TrainingJob.tags, filters.tags)
        )
        if filters.project_id:
            query = query.where(TrainingJob.project_id == filters.project_id)
        if filters.state:
            query = query.where(TrainingJob.state == filters.state)
        if filters.framework:
            query = query.where(TrainingJob.framework == filters.framework)
        if filters.text:
            columns = TrainingJob.experiment_name, TrainingJob.model_name, TrainingJob.notes
            query = query.where(matches_text(filters.text, *columns))
        return fetch_page(
            self._session,
            query,
            order=(TrainingJob.create_time, TrainingJob.id),
            newest_first=newest_first,
            page_size=page_size,
            page_token=page_token,
            scope=("jobs", user_id, newest_first, asdict(filters)),
        )

    def in_states(self, states: Collection[str]) -> builtins.list[TrainingJob]:
        """Every job in one of ``states``, oldest first."""
        query = select(TrainingJob).where(TrainingJob.state.in_(states))
        return [*self._session.scalars(query.order_by(TrainingJob.create_time, TrainingJob.id))]

    def queued(self, framework: str) -> builtins.list[TrainingJob]:
        """The queue of a framework, the next one first."""
        query = select(TrainingJob).where(TrainingJob.framework == framework, *_waiting())
        return [*self._session.scalars(query.order_by(*_QUEUE_ORDER))]

    def queued_frameworks(self) -> builtins.list[str]:
        """The frameworks that some job waits for, sorted."""
        query = select(TrainingJob.framework).where(*_waiting()).distinct()
        return [*self._session.scalars(query.order_by(TrainingJob.framework))]

    def lock_queue(self, framework: str) -> None:
        """Let one transaction at a time hand out slots of a framework, until it ends (on SQLite one writes anyway)."""
        if not is_sqlite_session(self._session):
            key = claim_key(f"queue {framework}")
            self._session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def next_queued(self, framework: str) -> TrainingJob | None:
        """The next job of a queue, locked; one that another transaction works on is passed over."""
        query = select(TrainingJob).where(TrainingJob.framework == framework, *_waiting())
        query = query.order_by(*_QUEUE_ORDER).limit(1).with_for_update(skip_locked=True)
        return self._session.scalar(query, execution_options={"populate_existing": True})

    def slots_taken(self, addresses: Collection[str]) -> dict[str, int]:
        """By trainer: how many jobs have a run there that has not ended, whichever gateway started it."""
        query = select(Run.trainer_address, func.count()).join(TrainingJob, TrainingJob.current_run_id == Run.id)
        query = query.where(TrainingJob.state.in_(_WITH_RUN), Run.trainer_address.in_(addresses))
        counts = self._session.execute(query.group_by(Run.trainer_address))
        return {address: count for address, count in counts}

    def last_sequences(self, job_ids: Collection[str]) -> dict[str, int]:
        """The last sequence of each of these jobs that is there."""
        query = select(TrainingJob.id, TrainingJob.last_sequence).where(TrainingJob.id.in_(job_ids))
        return {job_id: sequence for job_id, sequence in self._session.execute(query)}

    def fill_queue_positions(self, jobs: Collection[TrainingJob]) -> None:
        """Sets ``queue_position`` of those of ``jobs`` that are queued: their place among all of their framework.

        A restart whose time has not come has none.
        """
        waiting = {job.id: job for job in jobs if job.state == "QUEUED"}
        if not waiting:
            return
        place = func.row_number().over(partition_by=TrainingJob.framework, order_by=_QUEUE_ORDER).label("place")
        queues = select(TrainingJob.id, place).where(*_waiting()).subquery()
        found = self._session.execute(select(queues.c.id, queues.c.place).where(queues.c.id.in_([*waiting])))
        for job_id, position in found:
            waiting[job_id].queue_position = position

    def change_state(
        self, job_id: str, from_states: Collection[str], to_state: str, **changes: Any
    ) -> TrainingJob | None:
        """Moves the job to ``to_state`` and applies ``changes``; None when its state was not in ``from_states``."""
        changes = {"update_time": now(), **changes, "state": to_state}
        conditions = TrainingJob.id == job_id, TrainingJob.state.in_(from_states)
        return update_one(self._session, TrainingJob, *conditions, changes=changes)

    def update(self, job_id: str, **changes: Any) -> TrainingJob | None:
        """Applies ``changes`` and sets update_time; None when there is no such job."""
        changes = {"update_time": now(), **changes}
        return update_by_id(self._session, TrainingJob, job_id, changes)

    def states(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The states of those of these jobs that are there; DELETED of those that were deleted."""
        found: dict[str, str] = {}
        for some in portions(job_ids):
            jobs = self._session.execute(select(TrainingJob.id, TrainingJob.state).where(TrainingJob.id.in_(some)))
            found.update((job_id, state) for job_id, state in jobs)
            deleted = self._session.scalars(select(DeletedJob.id).where(DeletedJob.id.in_(some)))
            found.update((job_id, "DELETED") for job_id in deleted)
        return found

    def taking(self, checkpoint_ids: Sequence[str], states: Collection[str]) -> dict[str, str]:
        """Those of these checkpoints that a job in one of ``states`` goes on from or takes its weights from, and one
        such job for each."""
        found: dict[str, str] = {}
        for some in portions(checkpoint_ids):
            for column in (TrainingJob.resume_checkpoint_id, TrainingJob.start_checkpoint_id):
                query = select(column, TrainingJob.id).where(TrainingJob.state.in_(states), column.in_(some))
                found.update((checkpoint_id, job_id) for checkpoint_id, job_id in self._session.execute(query))
        return found

    def delete(self, job_id: str) -> bool:
        """Deletes the job with its runs and all that was made from its events; whether it was there.

        Its events stay, for nobody to see: there may be millions, and a transaction must not last. They are removed
        by ``EventRepository.delete_some``.
        """
        runs = select(Run.id).where(Run.job_id == job_id)
        # The gateway writes events of a job without a run under the job's own id.
        of_job = or_(SourcePosition.run_id == job_id, SourcePosition.run_id.in_(runs))
        self._session.execute(delete(SourcePosition).where(of_job), execution_options={"synchronize_session": False})
        statement = delete(TrainingJob).where(TrainingJob.id == job_id).returning(TrainingJob.id)
        if self._session.scalar(statement) is None:
            return False
        self._session.add(DeletedJob(id=job_id))
        self._session.flush()
        return True

    def add_run(self, run: Run) -> Run:
        """Inserts a new attempt of a job and returns it with its defaults."""
        self._session.add(run)
        self._session.flush()
        return run

    def get_run(self, run_id: str) -> Run | None:
        """The run of that id."""
        return self._session.get(Run, run_id)

    def runs(self, job_id: str) -> builtins.list[Run]:
        """The attempts of a job, first to last."""
        query = select(Run).where(Run.job_id == job_id).order_by(Run.attempt, Run.create_time, Run.id)
        return [*self._session.scalars(query)]

    def list_runs(self, job_id: str, page_size: int, page_token: str) -> Page[Run]:
        """A page of the attempts of a job, first to last. Raises InvalidPageToken."""
        return fetch_page(
            self._session,
            select(Run).where(Run.job_id == job_id),
            order=(Run.attempt, Run.create_time, Run.id),
            page_size=page_size,
            page_token=page_token,
            scope=("runs", job_id),
        )

    def end_run(self, run_id: str, end_kind: str, outcome: str = "", failure: dict[str, Any] | None = None) -> bool:
        """Records how the run ended; False when it had ended before (the first end counts) or is not there."""
        changes = {"end_kind": end_kind, "outcome": outcome, "failure": failure, "end_time": now()}
        return update_one(self._session, Run, Run.id == run_id, Run.end_kind == "", changes=changes) is not None

    def mark_started(self, run_id: str) -> None:
        """Records that the trainer of a run has said that it has it."""
        update_one(self._session, Run, Run.id == run_id, changes={"started": True})

    def unstarted(self) -> builtins.list[tuple[str, str]]:
        """(job, run) of the current runs that no trainer has said to have."""
        query = select(TrainingJob.id, Run.id).join(Run, TrainingJob.current_run_id == Run.id)
        query = query.where(TrainingJob.state.in_(("PREPARING", "STOPPING")), Run.started.is_(False))
        return [(job_id, run_id) for job_id, run_id in self._session.execute(query.order_by(Run.create_time, Run.id))]

    def standings(self, run_ids: Collection[str]) -> builtins.list[RunStanding]:
        """How these runs stand; one that is not there is left out."""
        query = select(Run.id, TrainingJob.state, TrainingJob.current_run_id, Run.end_kind)
        query = query.join(TrainingJob, TrainingJob.id == Run.job_id).where(Run.id.in_(run_ids))
        return [
            RunStanding(run_id, state == "STOPPING" and current == run_id, end_kind)
            for run_id, state, current, end_kind in self._session.execute(query)
        ]

    def touch(self, run_id: str, time: datetime) -> bool:
        """Records contact with the run's agent; False when the run is not its job's current one, or has ended."""
        touched = {"of_run": run_id, "time": time}
        return self._session.scalar(_TOUCH, touched, execution_options={"synchronize_session": False}) is not None


def _waiting() -> tuple[ColumnElement[bool], ...]:
    """Queued, and no restart whose time has not come."""
    due = or_(TrainingJob.next_attempt_time.is_(None), TrainingJob.next_attempt_time <= now())
    return TrainingJob.state == "QUEUED", due
