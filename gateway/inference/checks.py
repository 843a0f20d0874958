"""What a prediction's request must be like."""

from __future__ import annotations

from rpc.errors import DomainError, invalid_request
from visionmesh.errors import Violation
from visionmesh.v1 import inference_pb2

MAX_TOP_K = 1000
MAX_DETECTIONS = 3000


def check_predict(request: inference_pb2.PredictRequest, max_image_bytes: int) -> None:
    """Raises DomainError INVALID_REQUEST with everything wrong, MESSAGE_TOO_LARGE."""
    violations = [
        *_model_violations(request),
        *_image_violations(request),
        *_threshold_violations(request, "confidence_threshold"),
        *_threshold_violations(request, "iou_threshold"),
        *_count_violations("top_k", request.top_k, MAX_TOP_K),
        *_count_violations("max_detections", request.max_detections, MAX_DETECTIONS),
        *_encoding_violations(request.mask_encoding),
    ]
    if violations:
        raise invalid_request(violations)
    check_image_bytes(len(request.image_bytes), max_image_bytes)


def check_image_bytes(size_bytes: int, max_image_bytes: int) -> None:
    """Raises DomainError MESSAGE_TOO_LARGE for an image file over the limit."""
    if size_bytes > max_image_bytes:
        raise DomainError(
            "MESSAGE_TOO_LARGE",
            f"The image has {size_bytes} bytes; at most {max_image_bytes} are allowed by the gateway's "
            "setting VISIONMESH_MAX_MESSAGE_BYTES. Send a smaller image.",
            metadata={
                "setting": "VISIONMESH_MAX_MESSAGE_BYTES",
                "limit_bytes": str(max_image_bytes),
                "size_bytes": str(size_bytes),
            },
        )


def _model_violations(request: inference_pb2.PredictRequest) -> list[Violation]:
    chosen = request.WhichOneof("model")
    if chosen is None:
        return [Violation("model", "is required: give job_id or checkpoint_id")]
    given = request.job_id if chosen == "job_id" else request.checkpoint_id
    return [] if given else [Violation(chosen, "must not be empty")]


def _image_violations(request: inference_pb2.PredictRequest) -> list[Violation]:
    chosen = request.WhichOneof("image")
    if chosen is None:
        return [Violation("image", "is required: give the bytes of an image file in image_bytes, or a dataset_file")]
    if chosen == "image_bytes" and not request.image_bytes:
        return [Violation("image_bytes", "must not be empty: give the bytes of an image file")]
    if chosen == "dataset_file" and not request.dataset_file.dataset_id:
        return [Violation("dataset_file.dataset_id", "must not be empty")]
    return []


def _threshold_violations(request: inference_pb2.PredictRequest, field: str) -> list[Violation]:
    value: float = getattr(request, field)
    # The comparison is false for NaN too. An unset field reads as 0.
    return [] if 0 <= value <= 1 else [Violation(field, f"must be a number from 0 to 1; it is {value}")]


def _encoding_violations(encoding: inference_pb2.MaskEncoding) -> list[Violation]:
    if encoding in inference_pb2.MaskEncoding.values():
        return []
    return [Violation("mask_encoding", f"{encoding} is no MaskEncoding")]


def _count_violations(field: str, value: int, largest: int) -> list[Violation]:
    if 0 <= value <= largest:
        return []
    return [Violation(field, f"must be from 1 to {largest}, or 0 for the default; it is {value}")]
