"""One stream of a caller: which question each message asks, and which trainer answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.fleet import Trainer
from gateway.inference.lane import Lane
from gateway.inference.lookup import TrainedModel
from rpc.errors import DomainError
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.v1 import inference_pb2

# These are not of one image: without a trainer no other image is answered either.
_OF_THE_STREAM = ("FRAMEWORK_UNAVAILABLE", "SHUTTING_DOWN")

Question = tuple[TrainedModel, trainer_pb2.PredictRequest]


class PredictionStream:
    """Answers the messages of one call. All questions to one trainer share one stream to it."""

    def __init__(
        self,
        question: Callable[[inference_pb2.PredictRequest], Awaitable[Question]],
        place: Callable[[TrainedModel], Trainer],
        timeout_seconds: float | None,
    ) -> None:
        """``question`` turns a request into what trainers are asked, ``place`` picks one for a model."""
        self._question = question
        self._place = place
        self._timeout_seconds = timeout_seconds
        self._first: inference_pb2.PredictRequest | None = None
        self._lanes: dict[str, Lane] = {}

    async def begin(
        self, message: inference_pb2.PredictStreamRequest
    ) -> asyncio.Future[inference_pb2.PredictStreamResponse]:
        """Ask what the message asks; the future is its answer or its failure.

        Raises DomainError, and so does the future, when the trainer is lost.
        """
        request = message.request
        if self._first is None:
            self._first = _without_image(request)
        else:
            _fill(request, self._first)
        try:
            trained, asked = await self._question(request)
            answer = self._lane(trained).ask(asked)
        except DomainError as error:
            if error.reason in _OF_THE_STREAM:
                raise
            failed: asyncio.Future[inference_pb2.PredictStreamResponse] = asyncio.get_running_loop().create_future()
            failed.set_result(inference_pb2.PredictStreamResponse(tag=message.tag, failure=error.failure()))
            return failed
        return asyncio.ensure_future(_answered(message.tag, trained, answer))

    async def close(self) -> None:
        """Give up what is under way."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _lane(self, trained: TrainedModel) -> Lane:
        # By model: a lane is kept while it lasts, whichever trainer would be picked later. One that was lost with
        # nothing on it costs nothing: another trainer may go on.
        digest = trained.checkpoint.digest
        if not _lasts(self._lanes.get(digest)):
            trainer = self._place(trained)
            if not _lasts(self._lanes.get(trainer.address)):
                self._lanes[trainer.address] = Lane(trainer, self._timeout_seconds)
            self._lanes[digest] = self._lanes[trainer.address]
        return self._lanes[digest]


def _lasts(lane: Lane | None) -> bool:
    return lane is not None and not lane.lost


async def _answered(
    tag: str, trained: TrainedModel, answer: asyncio.Future[trainer_pb2.PredictStreamResponse]
) -> inference_pb2.PredictStreamResponse:
    said = await answer
    if said.WhichOneof("result") == "failure":
        return inference_pb2.PredictStreamResponse(tag=tag, failure=said.failure)
    said.prediction.job_id = trained.job.id
    said.prediction.checkpoint_id = trained.checkpoint.id
    return inference_pb2.PredictStreamResponse(tag=tag, response=said.prediction)


def _without_image(request: inference_pb2.PredictRequest) -> inference_pb2.PredictRequest:
    kept = inference_pb2.PredictRequest()
    _fill(kept, request)
    return kept


def _fill(request: inference_pb2.PredictRequest, first: inference_pb2.PredictRequest) -> None:
    """Give the request what it leaves unset: model, thresholds, counts, labels and encoding; its image is its own."""
    if request.WhichOneof("model") is None:
        if first.WhichOneof("model") == "job_id":
            request.job_id = first.job_id
        elif first.WhichOneof("model") == "checkpoint_id":
            request.checkpoint_id = first.checkpoint_id
    if not request.HasField("confidence_threshold") and first.HasField("confidence_threshold"):
        request.confidence_threshold = first.confidence_threshold
    if not request.HasField("iou_threshold") and first.HasField("iou_threshold"):
        request.iou_threshold = first.iou_threshold
    request.top_k = request.top_k or first.top_k
    request.max_detections = request.max_detections or first.max_detections
    request.labels[:] = request.labels or first.labels
    request.mask_encoding = request.mask_encoding or first.mask_encoding
