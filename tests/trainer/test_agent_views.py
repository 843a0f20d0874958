"""Runs on a dataset whose images carry objects: what the agent makes for the training process."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from annotations.model import AnnotatedImage, AnnotatedObject, Box
from tests.trainer.object_dataset import put_object_dataset
from tests.trainer.run_place import RunPlace
from trainer.runs.training_inputs import TrainingInputs
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2, training_pb2

CLASSES = ("cat", "dog")
CROPS = training_pb2.DATASET_VIEW_CROPS
IMAGE_LABELS = training_pb2.DATASET_VIEW_IMAGE_LABELS
WHOLE = training_pb2.DATASET_VIEW_UNSPECIFIED


def _image(path: str, *categories: int) -> AnnotatedImage:
    objects = tuple(AnnotatedObject(category, Box(1, 2, 9, 8)) for category in categories)
    return AnnotatedImage(path, 16, 12, path.split("/")[0], objects)


def _spec(
    place: RunPlace, run_id: str, images: list[AnnotatedImage], view: training_pb2.DatasetView
) -> run_pb2.RunSpec:
    encoded = io.BytesIO()
    Image.fromarray(np.arange(16 * 12 * 3, dtype=np.uint8).reshape(12, 16, 3)).save(encoded, "PNG")
    files = {image.path: encoded.getvalue() for image in images}
    spec = place.spec(run_id, epochs=1)
    spec.dataset_id, spec.dataset_view = "streets", view
    spec.manifest_digest = put_object_dataset(place.store, "streets", CLASSES, images, files)
    return spec


IMAGES = [_image("train/a.png", 0, 1), _image("train/b.png", 1), _image("train/c.png", 0), _image("val/a.png", 1)]


async def test_a_run_trains_on_what_its_view_makes_of_the_dataset(place: RunPlace) -> None:
    expected = {CROPS: 5, IMAGE_LABELS: 3, WHOLE: 0}
    for view, count in expected.items():
        run_id = f"run-{view}"
        spec = _spec(place, run_id, IMAGES, view)
        place.launch(spec)
        assert (await place.ended(run_id)).outcome == event_pb2.ATTEMPT_OUTCOME_COMPLETED
        dataset = TrainingInputs.load(place.folder(run_id).dataset_file).dataset
        assert len(dataset.samples) == count and dataset.class_names == CLASSES
        assert (dataset.annotations is not None) == (view == WHOLE)
        told = [event.message for event in place.gateway.payloads(run_id, "preparation")]
        making = [message for message in told if "view" in message]
        assert bool(making) == (view != WHOLE)
        lines = [line.message for line in place.gateway.payloads(run_id, "log")]
        assert any(f"images: {count};" in line for line in lines)
    made = place.gateway.payloads(f"run-{CROPS}", "preparation")
    assert [(item.done, item.total) for item in made if "CROPS" in item.message and item.total][-1] == (4, 4)
    # A second run, with other settings, finds the crops cut.
    place.launcher = place.new_launcher(parallel_downloads=3)
    place.launch(_spec(place, "again", IMAGES, CROPS))
    assert (await place.ended("again")).outcome == event_pb2.ATTEMPT_OUTCOME_COMPLETED
    assert not [item for item in place.gateway.payloads("again", "preparation") if item.total]
    assert place.folder("again").settings().parallel_downloads == 3


async def test_a_view_that_leaves_too_little_ends_the_run_with_the_reason(place: RunPlace) -> None:
    place.launch(_spec(place, "run", [_image("train/a.png", 0, 1), _image("val/a.png", 0)], IMAGE_LABELS))
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (event_pb2.ATTEMPT_OUTCOME_FAILED, "BAD_TRAINING_DATA")
    assert "IMAGE_LABELS" in end.failure.message and "objects of several classes" in end.failure.message
    assert place.folder("run").training_process() is None
