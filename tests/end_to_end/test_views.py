"""A classifier trained on a dataset whose images carry objects, through the whole mesh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits, streets
from tests.end_to_end.conftest import Backend
from tests.end_to_end.refusals import Raw
from visionmesh.cli.main import main
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2, inference_pb2, job_state_pb2, training_pb2

CROPS = training_pb2.DATASET_VIEW_CROPS
LARGEST_LOSS = training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST
IMAGE_LABELS = training_pb2.DATASET_VIEW_IMAGE_LABELS


@pytest.fixture(scope="module")
def pictures(backend: Backend, mesh: EmbeddedMesh, client: Client, store: ObjectStore) -> dataset_pb2.Dataset:
    return streets.make(client, backend.url(mesh), store)


def trained(client: Client, spec: training_pb2.TrainingJobSpec) -> training_pb2.TrainingJob:
    job = client.create_job(spec)
    client.start_job(job.id)
    list(client.watch_job(job.id))
    done = client.get_job(job.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
    return done


def test_objects_are_cut_out_learnt_and_recognised(
    mesh: EmbeddedMesh,
    client: Client,
    raw: Raw,
    pictures: dataset_pb2.Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(VisionMeshError) as refused:
        client.create_job(digits.spec(pictures.id))
    assert "CROPS" in str(refused.value.violations)

    job = trained(client, digits.spec(pictures.id, epochs=8, dataset_view=CROPS))
    assert (job.dataset_view, job.num_classes) == (CROPS, 3)
    assert job.best_metric >= 0.75
    images, _ = streets.pictures()
    [*results] = client.validation_results(job.id)
    objects = sum(len(image.objects) for image in images if image.split == "val")
    assert sum(item.support for item in results[-1].classes) == objects
    # What was said of each crop says which object of which image it was.
    shown = {item.path: item.label for item in client.validation_images(job.id)}
    assert shown == {
        f"{image.path}#{place}.png": streets.CLASSES[found.category_id]
        for image in images
        if image.split == "val"
        for place, found in enumerate(image.objects)
    }
    # The worst of them are drawn.
    sheet = tmp_path / "crops.png"
    where = ("--address", mesh.address, "--token", mesh.token)
    assert main(["jobs", "errors", job.id, "--output", str(sheet), *where, "--json"]) == 0
    drawn = [item["path"] for item in json.loads(capsys.readouterr().out)["images"]]
    assert drawn == [item.path for item in client.validation_images(job.id, correct=False, order=LARGEST_LOSS)]
    assert sheet.exists() is bool(drawn)

    said = [client.predict(job_id=job.id, image=digits.png(number)) for number in range(10)]
    right = [answer.classifications[0].label == str(number) for number, answer in enumerate(said[:3])]
    assert sum(right) >= 2
    # The dataset's own files can be predicted, turned ones upright.
    file = inference_pb2.DatasetFileRef(dataset_id=pictures.id, path="train/01.jpg")
    answer = raw.inference.Predict(
        inference_pb2.PredictRequest(job_id=job.id, dataset_file=file), metadata=raw.metadata, timeout=60
    )
    assert (answer.image_width, answer.image_height) == (streets.SIDE, streets.SIDE + 16)


def test_images_of_one_class_are_learnt_whole(client: Client, pictures: dataset_pb2.Dataset) -> None:
    job = trained(client, digits.spec(pictures.id, epochs=1, dataset_view=IMAGE_LABELS))
    images, _ = streets.pictures()
    alike = {
        image.path: streets.CLASSES[image.objects[0].category_id]
        for image in images
        if image.split == "val" and len({found.category_id for found in image.objects}) == 1
    }
    assert alike and {item.path: item.label for item in client.validation_images(job.id)} == alike
