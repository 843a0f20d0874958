"""Training jobs and their runs."""

from __future__ import annotations

import builtins
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from storage.database.pages import Page, fetch_page
from storage.database.statements import has_tags, matches_text, update_one
from storage.database.tables import Event, Run, SourcePosition, TrainingJob, now

# Made once: every call about a job begins with it, and building it costs as much as running it.
_OWNED = select(TrainingJob).where(TrainingJob.id == bindparam("job_id"), TrainingJob.user_id == bindparam("user_id"))


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
        query = select(TrainingJob).where(TrainingJob.id == job_id).with_for_update()
        return self._session.scalar(query, execution_options={"populate_existing": True})

    def owned(self, job_id: str, user_id: str) -> TrainingJob | None:
        """The job, if the user owns it."""
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
        """The queue of a framework: higher priority first, then who waits longest."""
        query = select(TrainingJob).where(TrainingJob.framework == framework, TrainingJob.state == "QUEUED")
        order = TrainingJob.priority.desc(), TrainingJob.queue_time, TrainingJob.id
        return [*self._session.scalars(query.order_by(*order))]

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
        return update_one(self._session, TrainingJob, TrainingJob.id == job_id, changes=changes)

    def delete(self, job_id: str) -> bool:
        """Deletes the job with its runs, events and all that was made from them; whether it was there."""
        runs = select(Run.id).where(Run.job_id == job_id)
        # The gateway writes events of a job without a run under the job's own id.
        of_job = or_(SourcePosition.run_id == job_id, SourcePosition.run_id.in_(runs))
        self._session.execute(delete(SourcePosition).where(of_job), execution_options={"synchronize_session": False})
        self._session.execute(delete(Event).where(Event.job_id == job_id))
        statement = delete(TrainingJob).where(TrainingJob.id == job_id).returning(TrainingJob.id)
        return self._session.scalar(statement) is not None

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

    def end_run(self, run_id: str, end_kind: str) -> bool:
        """Records how the run ended; False when it had ended before (the first end counts) or is not there."""
        changes = {"end_kind": end_kind, "end_time": now()}
        return update_one(self._session, Run, Run.id == run_id, Run.end_kind == "", changes=changes) is not None

    def touch(self, run_id: str, time: datetime) -> bool:
        """Records contact with the run's agent; False when the run is not its job's current one."""
        # By way of the runs: current_run_id has no index, the job's id has.
        job_id = select(Run.job_id).where(Run.id == run_id).scalar_subquery()
        conditions = TrainingJob.id == job_id, TrainingJob.current_run_id == run_id
        touched = update(TrainingJob).where(*conditions).values(contact_time=time, contact_lost_time=None)
        # Not the row: agents of all runs do this all the time.
        touched = touched.returning(TrainingJob.id)
        return self._session.scalar(touched, execution_options={"synchronize_session": False}) is not None
