"""What a request must have before anything is done about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from rpc.errors import invalid_request
from trainer.adapter import JobDraft, PredictOptions, Predictor
from trainer.converters import task_type_name
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.v1 import common_pb2, inference_pb2, training_pb2

# Ids become names of folders.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")

_TOKEN = re.compile(r"[A-Za-z0-9._-]{16,200}")

_SHA256 = re.compile(r"[0-9a-f]{64}")

_MAX_TOP_K = 1000
_MAX_DETECTIONS = 3000
_SHOWN_CLASSES = 20
_DEFAULT_CLASSIFICATION_THRESHOLD = 0.0
_DEFAULT_DETECTION_THRESHOLD = 0.25


def check_start(request: trainer_pb2.StartRunRequest) -> None:
    """Raise INVALID_REQUEST naming everything that keeps a run from being started."""
    violations = _spec_violations(request.run)
    # It travels in metadata and in an environment variable.
    if not _TOKEN.fullmatch(request.run_token):
        violations.append(Violation("run_token", "It must be 16 to 200 letters, digits, '.', '_' or '-'."))
    if violations:
        raise invalid_request(violations)


def _spec_violations(run: run_pb2.RunSpec) -> list[Violation]:
    violations: list[Violation] = []
    if not _ID.fullmatch(run.run_id):
        violations.append(Violation("run.run_id", "It must be 1 to 128 letters, digits, '.', '_' or '-'."))
    for name in ("job_id", "project_id", "model_name", "dataset_id", "primary_metric"):
        if not getattr(run, name):
            violations.append(Violation(f"run.{name}", "It is required."))
    if not _SHA256.fullmatch(run.manifest_digest):
        violations.append(Violation("run.manifest_digest", "It must be a SHA-256 in lowercase hexadecimal."))
    if task_type_name(run.task_type) is None:
        violations.append(Violation("run.task_type", "It must be a task of the contract."))
    if run.dataset_view not in training_pb2.DatasetView.values():
        violations.append(Violation("run.dataset_view", "It must be a view of the contract."))
    elif run.dataset_view and run.task_type != common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION:
        violations.append(Violation("run.dataset_view", "It makes images to classify; the run's task is another."))
    for name in ("attempt", "epochs", "batch_size", "image_size"):
        if getattr(run, name) < 1:
            violations.append(Violation(f"run.{name}", "It must be at least 1."))
    if run.no_progress_seconds < 0:
        violations.append(Violation("run.no_progress_seconds", "It must be 0 or more."))
    if not run.learning_rate > 0:
        violations.append(Violation("run.learning_rate", "It must be greater than 0."))
    return violations


def job_draft(request: trainer_pb2.ValidateConfigRequest) -> JobDraft:
    """Return what a request tells of the job; what it gets wrong by itself is the caller's to say, and unknown here."""
    return JobDraft(
        model_name=request.model_name,
        epochs=max(0, request.epochs),
        batch_size=max(0, request.batch_size),
        image_size=max(0, request.image_size),
        num_classes=max(0, request.num_classes),
        learning_rate=request.learning_rate,
    )


def predict_options(request: trainer_pb2.PredictRequest) -> Callable[[Predictor], PredictOptions]:
    """Return the options of a prediction, which depend on the model.

    Raises INVALID_REQUEST naming every option out of range, and what is missing of the checkpoint; what it returns
    raises it for labels that the model does not know.
    """
    violations: list[Violation] = []
    if not _SHA256.fullmatch(request.checkpoint.digest):
        violations.append(Violation("checkpoint.digest", "It must be a SHA-256 in lowercase hexadecimal."))
    if not request.checkpoint.storage_path:
        violations.append(Violation("checkpoint.storage_path", "It is required."))
    if not request.checkpoint.files:
        violations.append(Violation("checkpoint.files", "At least one file is required."))
    for name in ("confidence_threshold", "iou_threshold"):
        if request.HasField(name) and not 0 <= getattr(request, name) <= 1:
            violations.append(Violation(name, "It must lie between 0 and 1."))
    for name, largest in (("top_k", _MAX_TOP_K), ("max_detections", _MAX_DETECTIONS)):
        if not 0 <= getattr(request, name) <= largest:
            violations.append(Violation(name, f"It must lie between 1 and {largest}, or be 0 for the default."))
    if violations:
        raise invalid_request(violations)
    defaults = PredictOptions()
    iou_threshold = request.iou_threshold if request.HasField("iou_threshold") else defaults.iou_threshold

    def options(predictor: Predictor) -> PredictOptions:
        _check_labels(request.labels, predictor.class_names)
        classifies = predictor.task_type == "IMAGE_CLASSIFICATION"
        threshold = _DEFAULT_CLASSIFICATION_THRESHOLD if classifies else _DEFAULT_DETECTION_THRESHOLD
        if request.HasField("confidence_threshold"):
            threshold = request.confidence_threshold
        return PredictOptions(
            confidence_threshold=threshold,
            top_k=request.top_k or defaults.top_k,
            iou_threshold=iou_threshold,
            max_detections=request.max_detections or defaults.max_detections,
            labels=frozenset(request.labels) or None,
            run_length_masks=request.mask_encoding == inference_pb2.MASK_ENCODING_RLE,
        )

    return options


def _check_labels(labels: Iterable[str], class_names: Sequence[str]) -> None:
    unknown = sorted(set(labels) - set(class_names))
    if unknown:
        more = ", …" if len(class_names) > _SHOWN_CLASSES else ""
        known = ", ".join(map(repr, class_names[:_SHOWN_CLASSES])) + more
        said = f"{', '.join(map(repr, unknown))}: the model knows no such class; it knows {known}."
        raise invalid_request([Violation("labels", said)])
