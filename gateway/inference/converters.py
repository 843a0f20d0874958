"""From records and public requests to what trainers are asked."""

from __future__ import annotations

from storage.database.tables import Checkpoint
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.v1 import checkpoint_pb2, inference_pb2

DEFAULT_TOP_K = 5
DEFAULT_MAX_DETECTIONS = 300


def checkpoint_ref(record: Checkpoint) -> run_pb2.CheckpointRef:
    """Where a trainer finds the bytes of a checkpoint."""
    return run_pb2.CheckpointRef(
        checkpoint_id=record.id,
        job_id=record.job_id,
        storage_path=record.storage_path,
        files=[
            checkpoint_pb2.CheckpointFile(name=file["name"], size_bytes=file["size_bytes"], sha256=file["sha256"])
            for file in record.files
        ],
        digest=record.digest,
        epoch=record.epoch,
    )


def trainer_request(request: inference_pb2.PredictRequest, checkpoint: Checkpoint) -> trainer_pb2.PredictRequest:
    """The same question about a known checkpoint, counts filled in; thresholds stay unset when they were."""
    return trainer_pb2.PredictRequest(
        checkpoint=checkpoint_ref(checkpoint),
        image_bytes=request.image_bytes,
        confidence_threshold=request.confidence_threshold if request.HasField("confidence_threshold") else None,
        iou_threshold=request.iou_threshold if request.HasField("iou_threshold") else None,
        top_k=request.top_k or DEFAULT_TOP_K,
        max_detections=request.max_detections or DEFAULT_MAX_DETECTIONS,
    )
