"""Predictions with trained checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import grpc

from visionmesh.calls.connection import Connection
from visionmesh.errors import from_rpc
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
        labels: Sequence[str] = (),
        run_length_masks: bool = False,
    ) -> inference_pb2.PredictResponse:
        """What a model says of one image, given as the bytes of an image file or as its path.

        ``labels`` are the classes that may be answered, all when empty; ``run_length_masks`` asks for masks as such
        in place of polygons. Name either a job (its best checkpoint answers, else its last) or a checkpoint. Raises
        ``ValueError`` for both or neither, ``OSError`` for a path that cannot be read.
        """
        request = _question(
            job_id,
            checkpoint_id,
            top_k=top_k,
            confidence_threshold=confidence_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            labels=labels,
            run_length_masks=run_length_masks,
        )
        request.image_bytes = _image_bytes(image)
        return self._unary(self._inference.Predict, request)

    def predict_stream(
        self,
        images: Iterable[bytes | str | os.PathLike[str]],
        *,
        job_id: str = "",
        checkpoint_id: str = "",
        top_k: int = 0,
        confidence_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int = 0,
        labels: Sequence[str] = (),
        run_length_masks: bool = False,
    ) -> Iterator[inference_pb2.PredictStreamResponse]:
        """What a model says of many images, in their order: each response has either ``response`` or ``failure``.

        ``tag`` of a response is the image's place, from 0. Images are read as they are sent, a few ahead of their
        answers. The checkpoint of a job stays the same for the whole stream. Raises ``ValueError`` and ``OSError``
        as ``predict`` does, and ``VisionMeshError`` when the stream cannot go on.
        """
        question = _question(
            job_id,
            checkpoint_id,
            top_k=top_k,
            confidence_threshold=confidence_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            labels=labels,
            run_length_masks=run_length_masks,
        )
        return self._predict_stream(question, images)

    def _predict_stream(
        self, question: inference_pb2.PredictRequest, images: Iterable[bytes | str | os.PathLike[str]]
    ) -> Iterator[inference_pb2.PredictStreamResponse]:
        unreadable: list[Exception] = []

        def requests() -> Iterator[inference_pb2.PredictStreamRequest]:
            try:
                for number, image in enumerate(images):
                    # Only the first says which model and how: the stream keeps that.
                    request = question if number == 0 else inference_pb2.PredictRequest()
                    request.image_bytes = _image_bytes(image)
                    yield inference_pb2.PredictStreamRequest(tag=str(number), request=request)
            except Exception as error:
                unreadable.append(error)
                raise

        stream = self._inference.PredictStream(requests(), metadata=self._metadata)
        try:
            yield from stream
        except grpc.RpcError as error:
            # An image that could not be read ends the call too: say that, not how grpc puts it.
            if unreadable:
                raise unreadable[0] from error
            raise from_rpc(error) from error
        finally:
            stream.cancel()

    def loaded_models(self) -> inference_pb2.ListLoadedModelsResponse:
        """The caller's models that trainers keep in memory."""
        return self._unary(self._inference.ListLoadedModels, inference_pb2.ListLoadedModelsRequest())

    @cached_property
    def _inference(self) -> inference_service_pb2_grpc.InferenceServiceStub:
        return inference_service_pb2_grpc.InferenceServiceStub(self._channel)


def _question(
    job_id: str,
    checkpoint_id: str,
    *,
    top_k: int,
    confidence_threshold: float | None,
    iou_threshold: float | None,
    max_detections: int,
    labels: Sequence[str],
    run_length_masks: bool,
) -> inference_pb2.PredictRequest:
    """The request without its image. Raises ``ValueError`` unless exactly one model is named."""
    if bool(job_id) == bool(checkpoint_id):
        raise ValueError("give either job_id or checkpoint_id")
    request = inference_pb2.PredictRequest(
        top_k=top_k,
        confidence_threshold=confidence_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
        labels=labels,
        mask_encoding=inference_pb2.MASK_ENCODING_RLE if run_length_masks else inference_pb2.MASK_ENCODING_UNSPECIFIED,
    )
    if job_id:
        request.job_id = job_id
    else:
        request.checkpoint_id = checkpoint_id
    return request


def _image_bytes(image: bytes | str | os.PathLike[str]) -> bytes:
    return image if isinstance(image, bytes) else Path(image).read_bytes()
