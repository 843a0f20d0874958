"""Attempts of a job: how one begins and how one ends, inside a transaction on the job."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from sqlalchemy.orm import Session

from gateway.checkpoints import checkpoint_ref
from gateway.enums import ATTEMPT_OUTCOMES, DATASET_VIEWS, METRIC_MODES, TASK_TYPES
from gateway.events.log import JobTransaction
from storage.database.ids import new_id
from storage.database.projections import CheckpointRepository, roll_back
from storage.database.tables import Checkpoint, Run, TrainingJob, now
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, event_pb2


def begin_attempt(transaction: JobTransaction, trainer_address: str) -> run_pb2.RunSpec:
    """Move a QUEUED job to PREPARING with a new run, and give the run's spec.

    What later epochs of earlier attempts said no longer counts: the log keeps it, the projections forget it.
    """
    job = transaction.job
    checkpoints = CheckpointRepository(transaction.session)
    source = checkpoints.get(job.resume_checkpoint_id) if job.resume_checkpoint_id else None
    run = Run(id=new_id("run"), job_id=job.id, attempt=job.attempt + 1, trainer_address=trainer_address)
    transaction.jobs.add_run(run)
    epoch = source.epoch if source is not None else 0
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
        **_what_counts(checkpoints, job, source),
    )
    start = event_pb2.AttemptStart(
        attempt=run.attempt,
        checkpoint_id=job.resume_checkpoint_id or job.start_checkpoint_id,
        warm_start=bool(job.start_checkpoint_id),
    )
    transaction.append_own("attempt_start", start)
    if not first:
        roll_back(transaction.session, job.id, epoch)
        transaction.append_own("roll_back", event_pb2.RollBack(to_epoch=epoch))
    return run_spec(transaction.session, transaction.job)


def _what_counts(checkpoints: CheckpointRepository, job: TrainingJob, source: Checkpoint | None) -> dict[str, Any]:
    """Best and last checkpoint among those up to ``source``, the checkpoint that the attempt goes on from."""
    if source is None:
        return {"best_metric": None, "best_checkpoint_id": "", "last_checkpoint_id": ""}
    best_metric, best_id = None, ""
    for candidate in checkpoints.up_to(source):
        value = candidate.metrics.get(job.primary_metric)
        if value is not None and (best_metric is None or is_better(value, best_metric, job.primary_metric_mode)):
            best_metric, best_id = value, candidate.id
    if best_id:
        checkpoints.mark_best(job.id, best_id)
    return {"best_metric": best_metric, "best_checkpoint_id": best_id, "last_checkpoint_id": source.id}


def is_better(value: float, best: float, mode: str) -> bool:
    """Whether ``value`` beats ``best``; ``mode`` is MAX or MIN."""
    return value > best if mode == "MAX" else value < best


def end_attempt(
    transaction: JobTransaction, run_id: str, outcome: str, failure: common_pb2.Failure | None, end_kind: str
) -> bool:
    """Record how the run ended (the first end counts) and move the job to where that leads.

    ``outcome`` is COMPLETED, STOPPED or FAILED; ``end_kind`` says who says so: the outcome when the agent does, a
    reason when the gateway gave the run up. False when the run had ended before or is no longer the job's.
    """
    job = transaction.job
    if job.current_run_id != run_id or not transaction.jobs.end_run(run_id, end_kind):
        return False
    end = event_pb2.AttemptEnd(
        attempt=job.attempt,
        outcome=ATTEMPT_OUTCOMES.number(outcome),  # type: ignore[arg-type]
        failure=failure,
    )
    transaction.append_own("attempt_end", end)
    ended: dict[str, Any] = {"end_time": now(), "contact_lost_time": None}
    if outcome == "COMPLETED":
        if job.state == "PREPARING":  # nothing was left to train
            transaction.change_state("RUNNING")
        transaction.change_state("COMPLETED", progress=1.0, **ended)
    elif outcome == "STOPPED":
        if job.state != "STOPPING":  # stopped from below: its trainer is shutting down
            transaction.change_state("STOPPING")
        transaction.change_state("STOPPED", **ended)
    else:
        transaction.change_state("FAILED", failure=failure, **ended)
    return True


def run_spec(session: Session, job: TrainingJob) -> run_pb2.RunSpec:
    """All that a run agent needs to know of the job's current attempt."""
    spec = run_pb2.RunSpec(
        run_id=job.current_run_id,
        job_id=job.id,
        attempt=job.attempt,
        project_id=job.project_id,
        model_name=job.model_name,
        task_type=TASK_TYPES.number(job.task_type),  # type: ignore[arg-type]
        dataset_id=job.dataset_id,
        manifest_digest=job.manifest_digest,
        dataset_view=DATASET_VIEWS.number(job.dataset_view),  # type: ignore[arg-type]
        epochs=job.epochs,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        image_size=job.image_size,
        pretrained=job.pretrained,
        seed=job.seed,
        primary_metric=job.primary_metric,
        primary_metric_mode=METRIC_MODES.number(job.primary_metric_mode),  # type: ignore[arg-type]
        best_metric=job.best_metric,
    )
    json_format.ParseDict(job.advanced_config, spec.config)
    for checkpoint_id, reference in (
        (job.resume_checkpoint_id, spec.resume_from),
        (job.start_checkpoint_id, spec.start_from),
    ):
        checkpoint = CheckpointRepository(session).get(checkpoint_id) if checkpoint_id else None
        if checkpoint is not None:
            reference.CopyFrom(checkpoint_ref(checkpoint))
    return spec
