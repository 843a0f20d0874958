"""Predictions with trained checkpoints."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from visionmesh.calls.connection import Connection
from visionmesh.v1 import inference_pb2, inference_service_pb2_grpc


class InferenceCalls(Connection):
    """Calls of ``InferenceService``."""

    def predict(
        self,
        image: bytes | str | os.PathLike[str],
        *,
        job_id: str = "",
        checkpoint_id: str = "",
        top_k: int = 0,
        confidence_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 0,
    ) -> inference_pb2.PredictResponse:
        """What a model says of one image, given as the bytes of an image file or as its path.

        Name either a job (its best checkpoint answers, else its last) or a checkpoint. Raises ``ValueError`` for
        both or neither, ``OSError`` for a path that cannot be read.
        """
        if bool(job_id) == bool(checkpoint_id):
            raise ValueError("give either job_id or checkpoint_id")
        request = inference_pb2.PredictRequest(
            image_bytes=image if isinstance(image, bytes) else Path(image).read_bytes(),
            top_k=top_k,
            confidence_threshold=confidence_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
        )
        if job_id:
            request.job_id = job_id
        else:
            request.checkpoint_id = checkpoint_id
        return self._unary(self._inference.Predict, request)

    def loaded_models(self) -> inference_pb2.ListLoadedModelsResponse:
        """The caller's models that trainers keep in memory."""
        return self._unary(self._inference.ListLoadedModels, inference_pb2.ListLoadedModelsRequest())

    @cached_property
    def _inference(self) -> inference_service_pb2_grpc.InferenceServiceStub:
        return inference_service_pb2_grpc.InferenceServiceStub(self._channel)
