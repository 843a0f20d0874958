"""From records and public requests to what trainers are asked."""

from __future__ import annotations

from gateway.checkpoints import checkpoint_ref
from storage.database.tables import Checkpoint
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import inference_pb2

DEFAULT_TOP_K = 5
DEFAULT_MAX_DETECTIONS = 300


def trainer_request(
    request: inference_pb2.PredictRequest, image: bytes, checkpoint: Checkpoint
) -> trainer_pb2.PredictRequest:
    """The same question about a known checkpoint, counts filled in; thresholds stay unset when they were."""
    return trainer_pb2.PredictRequest(
        checkpoint=checkpoint_ref(checkpoint),
        image_bytes=image,
        confidence_threshold=request.confidence_threshold if request.HasField("confidence_threshold") else None,
        iou_threshold=request.iou_threshold if request.HasField("iou_threshold") else None,
        top_k=request.top_k or DEFAULT_TOP_K,
        max_detections=request.max_detections or DEFAULT_MAX_DETECTIONS,
        labels=request.labels,
        mask_encoding=request.mask_encoding,
    )
