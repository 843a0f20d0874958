"""What is made from a job's events: metrics, checkpoints and validation results."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import and_, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from storage.database.bulk import insert_rows
from storage.database.pages import Page, encode_page_token, fetch_page
from storage.database.statements import insert_new, past_orm, upsert, upsert_all
from storage.database.tables import Checkpoint, Metric, Run, ValidationResult, table_of

# The newest first, by attempts before times: clocks of several machines, or one that is set, would tell otherwise.
_LAST_ATTEMPT_FIRST = func.coalesce(Run.attempt, 0).desc()
_LAST_WRITTEN_FIRST = (Checkpoint.create_time.desc(), Checkpoint.id.desc())

# Made once: nearly every batch of an agent asks it.
_METRICS = table_of(Metric).columns
_NEWEST_METRIC = (
    select(_METRICS.epoch, _METRICS.step)
    .where(_METRICS.job_id == bindparam("of_job"))
    .order_by(_METRICS.epoch.desc(), _METRICS.step.desc())
    .limit(1)
)

# In one statement: SQLite takes no more than 32,766 parameters.
_MOST_PLACES = 10_000


class MetricRow(TypedDict):
    """All columns of a ``Metric``."""

    job_id: str
    epoch: int
    step: int
    sequence: int
    loss: float | None
    accuracy: float | None
    learning_rate: float | None
    extra_metrics: dict[str, Any]
    time: datetime


class MetricRepository:
    """Queries about metrics, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, metric: Metric) -> Metric:
        """Stores the metrics of a step; those of the same job, epoch and step are replaced."""
        return upsert(self._session, metric)

    def put_all(self, job_id: str, metrics: Iterable[MetricRow]) -> None:
        """What ``put`` does, on many of one locked job at once; of one step the last counts."""
        by_step = {(row["epoch"], row["step"]): row for row in metrics}
        if not by_step:
            return
        last = past_orm(self._session).execute(_NEWEST_METRIC, {"of_job": job_id}).one_or_none()
        # What is behind all others can be inserted as new, which costs far less. It is what a training mostly tells.
        new = {step: row for step, row in by_step.items() if last is None or step > tuple(last)}
        upsert_all(self._session, Metric, [row for step, row in by_step.items() if step not in new])
        insert_rows(self._session, Metric, [*new.values()])

    def list(self, job_id: str, page_size: int, page_token: str) -> Page[Metric]:
        """The metrics of a job by epoch and step. Raises InvalidPageToken."""
        return fetch_page(
            self._session,
            select(Metric).where(Metric.job_id == job_id),
            order=(Metric.epoch, Metric.step),
            page_size=page_size,
            page_token=page_token,
            scope=("metrics", job_id),
        )

    def thinned(self, job_id: str, count: int) -> tuple[builtins.list[Metric], int]:
        """At most ``count`` (2 or more) metrics of a job, evenly spread over all by epoch and step, the first and the
        last among them; and how many there are in all."""
        total = self._session.scalar(select(func.count()).select_from(Metric).where(Metric.job_id == job_id)) or 0
        if total <= count:
            return self.all(job_id), total
        distance = (total - 1) / (count - 1)
        places = [1 + round(number * distance) for number in range(count)]
        # The database counts, so that of a million points only those that are asked for are read.
        place = func.row_number().over(order_by=(Metric.epoch, Metric.step)).label("place")
        counted = select(Metric.epoch, Metric.step, place).where(Metric.job_id == job_id).subquery()
        found: builtins.list[Metric] = []
        for start in range(0, count, _MOST_PLACES):
            query = select(Metric).join(
                counted, and_(Metric.epoch == counted.c.epoch, Metric.step == counted.c.step, Metric.job_id == job_id)
            )
            query = query.where(counted.c.place.in_(places[start : start + _MOST_PLACES]))
            found += self._session.scalars(query.order_by(Metric.epoch, Metric.step))
        return found, total

    def all(self, job_id: str) -> builtins.list[Metric]:
        """All metrics of a job by epoch and step."""
        query = select(Metric).where(Metric.job_id == job_id).order_by(Metric.epoch, Metric.step)
        return [*self._session.scalars(query)]


class CheckpointRepository:
    """Queries about checkpoints, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, checkpoint: Checkpoint) -> bool:
        """Stores a checkpoint; False, and nothing changes, when one of its id is there.

        Others of its epoch are superseded by it: they stay, and are not listed any more.
        """
        new = insert_new(self._session, checkpoint)
        if new is not None:
            self._supersede_others(new)
        return new is not None

    def get(self, checkpoint_id: str) -> Checkpoint | None:
        """The checkpoint of that id."""
        return self._session.get(Checkpoint, checkpoint_id)

    def lock(self, checkpoint_id: str) -> bool:
        """Keeps the checkpoint until the transaction ends; False when there is none of that id any more."""
        query = select(Checkpoint.id).where(Checkpoint.id == checkpoint_id).with_for_update()
        return self._session.scalar(query) is not None

    def list(self, job_id: str, page_size: int, page_token: str) -> Page[Checkpoint]:
        """The checkpoints of a job by epoch, of each the one that counts. Raises InvalidPageToken."""
        return fetch_page(
            self._session,
            select(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.superseded.is_(False)),
            order=(Checkpoint.epoch, Checkpoint.create_time, Checkpoint.id),
            page_size=page_size,
            page_token=page_token,
            scope=("checkpoints", job_id),
        )

    def of_epoch(self, job_id: str, epoch: int) -> Checkpoint | None:
        """The checkpoint of an epoch; the newest one when the epoch was trained more than once."""
        query = select(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.epoch == epoch)
        query = query.outerjoin(Run, Run.id == Checkpoint.run_id)
        order = Checkpoint.superseded, _LAST_ATTEMPT_FIRST, *_LAST_WRITTEN_FIRST
        return self._session.scalar(query.order_by(*order).limit(1))

    def way_to(self, checkpoint: Checkpoint) -> builtins.list[Checkpoint]:
        """The way to ``checkpoint``, by epoch: those of its run up to it, of the run which that went on from up to its
        first epoch, and so on."""
        way: list[Checkpoint] = []
        run_id, last_epoch = checkpoint.run_id, checkpoint.epoch
        while run_id:
            query = select(Checkpoint).where(
                Checkpoint.job_id == checkpoint.job_id, Checkpoint.run_id == run_id, Checkpoint.epoch <= last_epoch
            )
            way = [*self._session.scalars(query.order_by(Checkpoint.epoch)), *way]
            run = self._session.get(Run, run_id)
            run_id, last_epoch = (run.source_run_id, run.first_epoch - 1) if run is not None else ("", 0)
        return way

    def go_back_to(self, way: Sequence[Checkpoint]) -> None:
        """Makes those of ``way`` count again that were superseded, in place of others of their epochs."""
        for checkpoint in [checkpoint for checkpoint in way if checkpoint.superseded]:
            checkpoint.superseded = False
            self._session.flush()
            self._supersede_others(checkpoint)

    def images_of_epoch(self, job_id: str, epoch: int) -> dict[str, Any] | None:
        """Where the validation images of an epoch's newest checkpoint lie; None when they are not kept."""
        newest = self.of_epoch(job_id, epoch)
        return newest.validation_images if newest is not None else None

    def last_resumable(self, job_id: str, after_attempt: int = 0, without: Collection[str] = ()) -> Checkpoint | None:
        """The newest checkpoint that training can go on from, of attempts after ``after_attempt``, and none of the ids
        ``without``."""
        query = select(Checkpoint).outerjoin(Run, Run.id == Checkpoint.run_id)
        query = query.where(Checkpoint.job_id == job_id, Checkpoint.resumable, Checkpoint.id.not_in(without))
        query = query.where(func.coalesce(Run.attempt, 1) > after_attempt)
        order = _LAST_ATTEMPT_FIRST, Checkpoint.epoch.desc(), *_LAST_WRITTEN_FIRST
        return self._session.scalar(query.order_by(*order).limit(1))

    def keep_validation_images(self, job_id: str, checkpoint_ids: Sequence[str]) -> builtins.list[str]:
        """Forgets the validation images of the job's other checkpoints; returns where those lay."""
        others = (
            Checkpoint.job_id == job_id,
            Checkpoint.validation_images.is_not(None),
            Checkpoint.id.not_in(checkpoint_ids),
        )
        gone = [*self._session.scalars(select(Checkpoint.validation_images).where(*others))]
        if gone:
            self._session.execute(update(Checkpoint).where(*others).values(validation_images=None))
        return [images["storage_path"] for images in gone if images is not None]

    def mark_best(self, job_id: str, checkpoint_id: str) -> bool:
        """Makes this the only best checkpoint of the job; False, and nothing changes, when it is not the job's."""
        checkpoint = self.get(checkpoint_id)
        if checkpoint is None or checkpoint.job_id != job_id:
            return False
        self._session.execute(
            update(Checkpoint).where(Checkpoint.job_id == job_id).values(is_best=Checkpoint.id == checkpoint_id)
        )
        return True

    def recorded(self, checkpoint_ids: Collection[str]) -> set[str]:
        """Which of these checkpoints there are, of whatever job."""
        return set(self._session.scalars(select(Checkpoint.id).where(Checkpoint.id.in_(checkpoint_ids))))

    def unmark_best(self, job_id: str) -> None:
        """None of the job's checkpoints is its best any more."""
        self._session.execute(update(Checkpoint).where(Checkpoint.job_id == job_id).values(is_best=False))

    def _supersede_others(self, checkpoint: Checkpoint) -> None:
        of_epoch = Checkpoint.job_id == checkpoint.job_id, Checkpoint.epoch == checkpoint.epoch
        others = (*of_epoch, Checkpoint.id != checkpoint.id, Checkpoint.superseded.is_(False))
        self._session.execute(update(Checkpoint).where(*others).values(superseded=True))


class ValidationRepository:
    """Queries about validation results, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, result: ValidationResult) -> ValidationResult:
        """Stores the result of an epoch; the one of the same job and epoch is replaced."""
        return upsert(self._session, result)

    def list(self, job_id: str, page_size: int, page_token: str, epoch: int = 0) -> Page[ValidationResult]:
        """The results of a job by epoch, or of one ``epoch``. Raises InvalidPageToken."""
        query = select(ValidationResult).where(ValidationResult.job_id == job_id)
        return fetch_page(
            self._session,
            query.where(ValidationResult.epoch == epoch) if epoch else query,
            order=(ValidationResult.epoch,),
            page_size=page_size,
            page_token=page_token,
            scope=_result_scope(job_id, epoch),
        )

    def token_after(self, job_id: str, epoch: int, last_epoch: int) -> str:
        """The token of the page of ``list`` that begins behind ``last_epoch``."""
        return encode_page_token([last_epoch], _result_scope(job_id, epoch))


def _result_scope(job_id: str, epoch: int) -> tuple[object, ...]:
    return ("validation_results", job_id, epoch)


def roll_back(session: Session, job_id: str, epoch: int) -> None:
    """Forgets metrics and validation results of the epochs after ``epoch``; checkpoints stay, the log too."""
    session.execute(delete(Metric).where(Metric.job_id == job_id, Metric.epoch > epoch))
    session.execute(delete(ValidationResult).where(ValidationResult.job_id == job_id, ValidationResult.epoch > epoch))
