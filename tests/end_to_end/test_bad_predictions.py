"""Predictions that are refused, each with what would be right; the model goes on answering."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.end_to_end import digits
from tests.end_to_end.hostile_images import cut_jpeg, huge_png
from tests.end_to_end.refusals import Code, Raw, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, inference_pb2, training_pb2

IMAGES = {
    "a text file": (b"These are notes, not an image.\n", "IMAGE_UNREADABLE", "JPEG"),
    "a truncated JPEG": (cut_jpeg(), "IMAGE_UNREADABLE", "cut short"),
    "a PNG that claims 30,000 × 30,000": (huge_png(), "IMAGE_TOO_LARGE", "pixels"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "IMAGE_UNREADABLE", "JPEG"),
}


@pytest.mark.parametrize("what", IMAGES)
def test_what_is_no_image_is_refused_and_the_model_goes_on(
    client: Client, trained: training_pb2.TrainingJob, what: str
) -> None:
    data, reason, said = IMAGES[what]
    error = refused(lambda: client.predict(data, job_id=trained.id), Code.INVALID_ARGUMENT, reason)
    assert said in error.message
    if reason == "IMAGE_TOO_LARGE":
        assert error.metadata["setting"] == "VISIONMESH_MAX_IMAGE_PIXELS"
    answer = client.predict(digits.png(0), job_id=trained.id)
    assert len(answer.classifications) == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1)])
def test_an_image_of_odd_size_is_answered(
    client: Client, trained: training_pb2.TrainingJob, size: tuple[int, int]
) -> None:
    encoded = io.BytesIO()
    Image.new("RGB", size, "white").save(encoded, "PNG")
    answer = client.predict(encoded.getvalue(), job_id=trained.id)
    assert (answer.image_width, answer.image_height) == size
    assert sum(item.confidence for item in answer.classifications) == pytest.approx(1.0, abs=1e-4)


def test_an_image_over_the_limit_of_a_message_names_the_setting(
    client: Client, trained: training_pb2.TrainingJob
) -> None:
    image = bytes((32 << 20) + 1)
    error = refused(lambda: client.predict(image, job_id=trained.id), Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert error.metadata["setting"] == "VISIONMESH_MAX_MESSAGE_BYTES"


def test_everything_wrong_with_a_request_is_named_at_once(raw: Raw) -> None:
    request = inference_pb2.PredictRequest(
        confidence_threshold=1.5, iou_threshold=float("nan"), top_k=-1, max_detections=3001
    )
    fields = ("model", "image", "confidence_threshold", "iou_threshold", "top_k", "max_detections")
    refused(
        lambda: raw.inference.Predict(request, metadata=raw.metadata),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        *fields,
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [({"job_id": "job_unknown"}, "JOB_NOT_FOUND"), ({"checkpoint_id": "ckpt_unknown"}, "CHECKPOINT_NOT_FOUND")],
)
def test_a_model_that_is_not_there(client: Client, model: dict[str, Any], reason: str) -> None:
    refused(lambda: client.predict(digits.png(0), **model), Code.NOT_FOUND, reason)


def test_a_job_that_was_never_trained_has_nothing_to_predict_or_go_on_with(
    client: Client, dataset: dataset_pb2.Dataset, trained: training_pb2.TrainingJob
) -> None:
    job = client.create_job(digits.spec(dataset.id))
    for call in (
        lambda: client.predict(digits.png(0), job_id=job.id),
        lambda: client.start_job(job.id, resume=True),
    ):
        error = refused(call, Code.FAILED_PRECONDITION, "NO_CHECKPOINT")
        assert job.id in error.message
    # Another job's checkpoint is none of this one.
    refused(
        lambda: client.start_job(job.id, resume=True, checkpoint_id=trained.last_checkpoint_id),
        Code.NOT_FOUND,
        "CHECKPOINT_NOT_FOUND",
    )
    assert client.get_job(job.id) == job
