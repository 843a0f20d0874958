"""What a run agent is told of an attempt."""

from __future__ import annotations

from google.protobuf import json_format

from gateway.checkpoints import checkpoint_ref
from gateway.enums import DATASET_VIEWS, METRIC_MODES, TASK_TYPES
from gateway.training.origins import Origin
from storage.database.tables import TrainingJob
from visionmesh.mesh.v1 import run_pb2


def run_spec(job: TrainingJob, origin: Origin) -> run_pb2.RunSpec:
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
        no_progress_seconds=job.no_progress_seconds,
    )
    json_format.ParseDict(job.advanced_config, spec.config)
    if origin.checkpoint is not None:
        reference = spec.start_from if origin.warm_start else spec.resume_from
        reference.CopyFrom(checkpoint_ref(origin.checkpoint))
    return spec
