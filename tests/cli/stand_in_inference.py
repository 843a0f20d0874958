"""The stand-in's predictions: what is found on an image hangs on the name of the job alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from google.rpc import code_pb2

from tests.cli.refusing import authenticate, refuse
from visionmesh.v1 import common_pb2, inference_pb2, inference_service_pb2_grpc

# A job's name, and the task of its model; any other classifies.
TASKS = {
    "boxes": common_pb2.TASK_TYPE_OBJECT_DETECTION,
    "masks": common_pb2.TASK_TYPE_INSTANCE_SEGMENTATION,
    "poses": common_pb2.TASK_TYPE_POSE_ESTIMATION,
    "rotated": common_pb2.TASK_TYPE_ORIENTED_DETECTION,
}
WIDTH, HEIGHT = 60, 40


@dataclass
class Inference(inference_service_pb2_grpc.InferenceServiceServicer):
    """Answers for PNG files. ``asked`` are the questions, without their images."""

    asked: list[inference_pb2.PredictRequest] = field(default_factory=list)

    def Predict(
        self, request: inference_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> inference_pb2.PredictResponse:
        authenticate(context)
        if not request.image_bytes.startswith(b"\x89PNG"):
            refuse(context, code_pb2.INVALID_ARGUMENT, "IMAGE_UNREADABLE", "The bytes are not an image.")
        return self._answer(request)

    def PredictStream(
        self, request_iterator: Iterator[inference_pb2.PredictStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[inference_pb2.PredictStreamResponse]:
        authenticate(context)
        first = None
        for message in request_iterator:
            first = first or message.request
            answer = inference_pb2.PredictStreamResponse(tag=message.tag)
            if message.request.image_bytes.startswith(b"\x89PNG"):
                answer.response.CopyFrom(self._answer(first))
            else:
                answer.failure.reason, answer.failure.message = "IMAGE_UNREADABLE", "The bytes are not an image."
            yield answer

    def _answer(self, request: inference_pb2.PredictRequest) -> inference_pb2.PredictResponse:
        question = inference_pb2.PredictRequest()
        question.CopyFrom(request)
        question.ClearField("image")
        self.asked.append(question)
        answer = inference_pb2.PredictResponse(
            task_type=TASKS.get(request.job_id, common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION),
            model_name="yolo11n" if request.job_id in TASKS else "resnet18",
            checkpoint_id=request.checkpoint_id or "best",
            job_id=request.job_id,
            image_width=WIDTH,
            image_height=HEIGHT,
        )
        if request.job_id in TASKS:
            answer.detections.append(_found(request.job_id, request.mask_encoding))
        else:
            classes = [
                inference_pb2.Classification(label="cat", label_id=0, confidence=0.75),
                inference_pb2.Classification(label="dog", label_id=1, confidence=0.25),
            ]
            answer.classifications.extend(classes[: request.top_k or None])
        return answer


def _found(job: str, encoding: inference_pb2.MaskEncoding) -> inference_pb2.Detection:
    """A square of 20 pixels whose upper left is at (10, 5): as a box, with its mask, its corners or its pose."""
    found = inference_pb2.Detection(
        label="dog",
        label_id=1,
        confidence=0.875,
        box=inference_pb2.Box(x_min=10, y_min=5, x_max=30, y_max=25),
    )
    corners = [inference_pb2.Point(x=x, y=y) for x, y in ((10, 5), (30, 5), (30, 25), (10, 25))]
    if job == "masks" and encoding == inference_pb2.MASK_ENCODING_RLE:
        column = [20, HEIGHT - 20]
        counts = [10 * HEIGHT + 5, *(column * 20)]
        counts[-1] = WIDTH * HEIGHT - sum(counts[:-1])
        found.mask_rle.CopyFrom(inference_pb2.RunLengthMask(height=HEIGHT, width=WIDTH, counts=counts))
    elif job == "masks":
        found.mask.append(inference_pb2.Polygon(points=corners))
    elif job == "rotated":
        middle = inference_pb2.Point(x=20, y=15)
        found.rotated_box.CopyFrom(inference_pb2.RotatedBox(center=middle, width=20, height=20, corners=corners))
    elif job == "poses":
        found.keypoints.append(inference_pb2.Keypoint(point=corners[2], confidence=0.9))
        found.keypoints.append(inference_pb2.Keypoint(point=corners[3], confidence=0.1))
    return found
