"""Attempts of a job: how one begins and how one ends, inside a transaction on the job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from gateway.enums import ATTEMPT_OUTCOMES
from gateway.events.log import JobTransaction, failure_columns
from gateway.training.origins import Origin, another_origin, next_origin, origin_of
from gateway.training.restarts import may_be_mended
from gateway.training.run_specs import run_spec
from rpc.errors import DomainError
from rpc.times import to_timestamp
from storage.database.ids import new_id
from storage.database.projections import CheckpointRepository, roll_back
from storage.database.tables import Run, TrainingJob, now
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, event_pb2

# States of a job in which a run that ends without a caller's wish may be followed by another.
RESTARTABLE = ("PREPARING", "RUNNING")


def begin_attempt(transaction: JobTransaction, trainer_address: str) -> run_pb2.RunSpec | None:
    """Move a QUEUED job to PREPARING with a new run, and give the run's spec.

    What later epochs of earlier attempts said no longer counts: the log keeps it, the projections forget it. None when
    the checkpoint to begin with was deleted: the job is FAILED then.
    """
    job = transaction.job
    try:
        origin = next_origin(transaction.session, job)
    except DomainError as gone:
        transaction.change_state("FAILED", failure=gone.failure(), end_time=now())
        return None
    source, epoch = origin.resumed, origin.epochs_done
    run = Run(
        id=new_id("run"),
        job_id=job.id,
        attempt=job.attempt + 1,
        trainer_address=trainer_address,
        checkpoint_id=origin.checkpoint.id if origin.checkpoint is not None else "",
        warm_start=origin.warm_start,
        source_run_id=source.run_id if source is not None else "",
        first_epoch=epoch + 1,
    )
    transaction.jobs.add_run(run)
    first = job.attempt == 0
    transaction.change_state(
        "PREPARING",
        current_run_id=run.id,
        attempt=run.attempt,
        current_epoch=epoch,
        progress=epoch / job.epochs,
        start_time=None,
        end_time=None,
        contact_time=now(),
        contact_lost_time=None,
        **_what_counts(CheckpointRepository(transaction.session), job, origin),
    )
    start = event_pb2.AttemptStart(attempt=run.attempt, checkpoint_id=run.checkpoint_id, warm_start=origin.warm_start)
    transaction.append_own("attempt_start", start)
    if not first:
        roll_back(transaction.session, job.id, epoch)
        transaction.append_own("roll_back", event_pb2.RollBack(to_epoch=epoch))
    return run_spec(transaction.job, origin)


def _what_counts(checkpoints: CheckpointRepository, job: TrainingJob, origin: Origin) -> dict[str, Any]:
    """Best and last checkpoint among those on the way to the one that the attempt goes on from."""
    source = origin.resumed
    way = checkpoints.way_to(source) if source is not None else []
    checkpoints.go_back_to(way)
    best_metric, best_id = None, ""
    for candidate in way:
        value = candidate.metrics.get(job.primary_metric)
        if value is not None and (best_metric is None or is_better(value, best_metric, job.primary_metric_mode)):
            best_metric, best_id = value, candidate.id
    if best_id:
        checkpoints.mark_best(job.id, best_id)
    else:
        checkpoints.unmark_best(job.id)
    last_id = source.id if source is not None else ""
    return {"best_metric": best_metric, "best_checkpoint_id": best_id, "last_checkpoint_id": last_id}


def is_better(value: float, best: float, mode: str) -> bool:
    """Whether ``value`` beats ``best``; ``mode`` is MAX or MIN."""
    return value > best if mode == "MAX" else value < best


def end_attempt(
    transaction: JobTransaction, run_id: str, outcome: str, failure: common_pb2.Failure | None, end_kind: str
) -> bool:
    """Record how the run ended (the first end counts) and move the job to where that leads: maybe back to the queue.

    ``outcome`` is COMPLETED, STOPPED or FAILED, the last with a failure; ``end_kind`` says who says so: the outcome
    when the agent does, a reason when the gateway gave the run up. False when the run had ended before or is no longer
    the job's.
    """
    job = transaction.job
    if outcome == "STOPPED" and job.state in RESTARTABLE:
        failure = common_pb2.Failure(
            reason="SHUTTING_DOWN", message="The trainer stopped the run: it is shutting down."
        )
    run = transaction.jobs.get_run(run_id)
    if run is None or job.current_run_id != run_id:
        return False
    if not transaction.jobs.end_run(run_id, end_kind, outcome, failure_columns(failure)):
        return False
    next_time = _next_attempt_time(transaction, run, failure)
    _log_end(transaction, outcome, failure, next_time)
    ended: dict[str, Any] = {"end_time": now(), "contact_lost_time": None}
    if next_time is not None:
        transaction.change_state(
            "QUEUED", restarts=job.restarts + 1, next_attempt_time=next_time, contact_lost_time=None
        )
    elif outcome == "COMPLETED":
        if job.state == "PREPARING":  # nothing was left to train
            transaction.change_state("RUNNING")
        transaction.change_state("COMPLETED", progress=1.0, **ended)
    elif outcome == "STOPPED":
        if job.state != "STOPPING":  # stopped from below, and no restart is left
            transaction.change_state("STOPPING")
        transaction.change_state("STOPPED", **ended)
    else:
        transaction.change_state("FAILED", failure=_last_failure(job, failure), **ended)
    return True


def withdraw_attempt(transaction: JobTransaction, run_id: str, failure: common_pb2.Failure) -> None:
    """Take a run back that its trainer cannot start now: the job waits for another, and no restart is counted."""
    if transaction.jobs.end_run(run_id, failure.reason, "FAILED", failure_columns(failure)):
        _log_end(transaction, "FAILED", failure, None)
        transaction.change_state("QUEUED")


def repeat_attempt(transaction: JobTransaction) -> tuple[run_pb2.RunSpec, str] | None:
    """The spec of the current run of a job that is PREPARING, or was told to stop by then, and the trainer that it was
    given to, for another try to start it.

    None when there is none to start; a run whose checkpoint was deleted ends.
    """
    job = transaction.job
    run = transaction.jobs.get_run(job.current_run_id)
    if job.state not in ("PREPARING", "STOPPING") or run is None:
        return None
    try:
        return run_spec(job, origin_of(transaction.session, run)), run.trainer_address
    except DomainError as gone:
        end_attempt(transaction, run.id, "FAILED", gone.failure(), end_kind=gone.reason)
        return None


def _next_attempt_time(transaction: JobTransaction, run: Run, failure: common_pb2.Failure | None) -> datetime | None:
    """When the job is tried again; None when that is not allowed or would not help."""
    job = transaction.job
    if failure is None or job.state not in RESTARTABLE or job.restarts >= job.max_restarts:
        return None
    if not may_be_mended(failure) and not another_origin(job, run, failure):
        return None
    return now() + timedelta(seconds=transaction.restarts.delay_seconds(job.restarts))


def _log_end(
    transaction: JobTransaction, outcome: str, failure: common_pb2.Failure | None, next_time: datetime | None
) -> None:
    job = transaction.job
    end = event_pb2.AttemptEnd(
        attempt=job.attempt,
        outcome=ATTEMPT_OUTCOMES.number(outcome),  # type: ignore[arg-type]
        failure=failure,
        restarts_left=max(job.max_restarts - job.restarts - (next_time is not None), 0),
        next_attempt_time=to_timestamp(next_time),
    )
    transaction.append_own("attempt_end", end)


def _last_failure(job: TrainingJob, failure: common_pb2.Failure | None) -> common_pb2.Failure | None:
    """A failure as the job keeps it: with what was tried before, and what a caller can do."""
    if failure is None:
        return None
    told = common_pb2.Failure()
    told.CopyFrom(failure)
    if job.restarts:
        told.metadata["restarts"] = str(job.restarts)
        told.message += f" The job was restarted {job.restarts} of {job.max_restarts} times before."
    if may_be_mended(failure) and job.last_checkpoint_id:
        told.message += " Start it with `resume` to go on from its last checkpoint."
    return told
