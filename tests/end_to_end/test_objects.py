"""Objects from a folder to a picture of what was found: a dataset of scenes, a detector, and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from examples.digit_scenes import CANVAS, write_scenes
from tests.end_to_end.refusals import Code, refused
from visionmesh.cli.main import main
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, dataset_pb2, job_state_pb2, training_pb2


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, {"train": 8, "val": 4})
    return folder


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMesh]:
    with EmbeddedMesh(tmp_path_factory.mktemp("mesh"), 0) as mesh:
        yield mesh


@pytest.fixture(scope="module")
def job(mesh: EmbeddedMesh, scenes: Path) -> training_pb2.TrainingJob:
    """A detector after an epoch: it knows little, and says so."""
    with Client(mesh.address, mesh.token) as client:
        dataset = client.wait_for_dataset(
            client.upload_folder(scenes, name="scenes", format=dataset_pb2.DATASET_FORMAT_DICE).id
        )
        spec = training_pb2.TrainingJobSpec(
            framework="yolo",
            model_name="yolo11n",
            dataset_id=dataset.id,
            task_type=common_pb2.TASK_TYPE_OBJECT_DETECTION,
            epochs=1,
            batch_size=4,
            image_size=64,
        )
        started = client.start_job(client.create_job(spec).id)
        for _ in client.watch_job(started.id):
            pass
        done = client.get_job(started.id)
    assert done.state == job_state_pb2.JOB_STATE_COMPLETED, done.failure
    return done


def test_what_a_trained_detector_finds_is_told_and_drawn(
    mesh: EmbeddedMesh,
    job: training_pb2.TrainingJob,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISIONMESH_ADDRESS", mesh.address)
    monkeypatch.setenv("VISIONMESH_TOKEN", mesh.token)
    places = ("--draw", str(tmp_path / "drawn"), "--coco", str(tmp_path / "results.json"))
    how = ("--confidence", "0", "--max-detections", "5")
    assert main(["predict", job.id, str(scenes / "val"), *how, *places, "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 4
    for answer in answers:
        assert answer["task_type"] == "TASK_TYPE_OBJECT_DETECTION"
        assert (answer["image_width"], answer["image_height"]) == (CANVAS, CANVAS)
        assert 0 < len(answer["detections"]) <= 5
        for found in answer["detections"]:
            box = found["box"]
            assert found["label"] == str(found["label_id"])
            assert 0 <= box["x_min"] <= box["x_max"] <= CANVAS and 0 <= box["y_min"] <= box["y_max"] <= CANVAS
        drawn = tmp_path / "drawn" / f"{Path(answer['image']).stem}-predicted.jpg"
        assert Image.open(drawn).width >= 640
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results) == sum(len(answer["detections"]) for answer in answers)

    said = answers[0]["detections"][0]["label"]
    other = next(label for label in "0123456789" if label != said)
    for label in (said, other):
        assert main(["predict", job.id, answers[0]["image"], *how, "--labels", label, "--json"]) == 0
        chosen = json.loads(capsys.readouterr().out)["detections"]
        assert {found["label"] for found in chosen} <= {label} and (chosen or label == other)


def test_what_became_of_each_object_is_listed_and_drawn(
    mesh: EmbeddedMesh,
    job: training_pb2.TrainingJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISIONMESH_ADDRESS", mesh.address)
    monkeypatch.setenv("VISIONMESH_TOKEN", mesh.token)
    with Client(mesh.address, mesh.token) as client:
        every = list(client.validation_images(job.id))
        [result] = client.validation_results(job.id, epoch=1)
        statistics = client.dataset_with_statistics(job.dataset_id).statistics
    assert len(every) == 4 and {(image.width, image.height) for image in every} == {(CANVAS, CANVAS)}
    truths = [item for image in every for item in image.objects if item.label]
    assert len(truths) == sum(statistics.objects["val"].objects.values())
    for row, label in enumerate(label.label for label in result.classes):
        assert sum(result.confusion_matrix[row].counts) == sum(item.label == label for item in truths)

    sheet = tmp_path / "sheet.png"
    assert main(["jobs", "errors", job.id, "--output", str(sheet), "--limit", "3", "--json"]) == 0
    drawn = json.loads(capsys.readouterr().out)["images"]
    assert [image["loss"] for image in drawn] == sorted((image.loss for image in every), reverse=True)[:3]
    assert Image.open(sheet).width > 2 * 480


def test_labels_that_a_detector_does_not_know_are_refused(
    mesh: EmbeddedMesh,
    job: training_pb2.TrainingJob,
    scenes: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISIONMESH_ADDRESS", mesh.address)
    monkeypatch.setenv("VISIONMESH_TOKEN", mesh.token)
    assert main(["predict", job.id, str(scenes / "val"), "--labels", "eleven", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["reason"] == "INVALID_REQUEST" and "eleven" in json.dumps(error)


def test_what_ultralytics_would_refuse_is_refused_when_the_job_is_created(
    mesh: EmbeddedMesh, job: training_pb2.TrainingJob
) -> None:
    spec = training_pb2.TrainingJobSpec(
        framework="yolo", model_name="yolo11n", dataset_id=job.dataset_id, epochs=1, image_size=7, learning_rate=1.5
    )
    with Client(mesh.address, mesh.token) as client:
        wrong = ("job.image_size", "job.learning_rate")
        for spec.image_size in (7, 100):
            refused(lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", *wrong)


def test_two_hundred_images_in_one_stream_every_third_broken(
    mesh: EmbeddedMesh, job: training_pb2.TrainingJob, scenes: Path
) -> None:
    good = [path.read_bytes() for path in sorted((scenes / "val").iterdir())]
    images = [good[number % 4][:200] if number % 3 == 2 else good[number % 4] for number in range(200)]
    with Client(mesh.address, mesh.token) as client:
        answers = list(client.predict_stream(images, job_id=job.id, confidence_threshold=0.0, max_detections=2))
    assert [answer.tag for answer in answers] == [str(number) for number in range(200)]
    broken = [answer.failure.reason for answer in answers if not answer.HasField("response")]
    assert broken == ["IMAGE_UNREADABLE"] * 66
    found = [len(answer.response.detections) for answer in answers if answer.HasField("response")]
    assert len(found) == 134 and all(1 <= count <= 2 for count in found)
