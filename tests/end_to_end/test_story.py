"""The six flows, one after the other, on one mesh."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from storage.objects import keys
from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, refused
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, dataset_pb2, job_state_pb2, training_pb2

CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION


def test_a_model_is_chosen_and_its_settings_are_read(client: Client) -> None:
    frameworks = {item.framework: item for item in client.frameworks().frameworks}
    assert set(frameworks) == {"timm", "yolo"}
    framework = frameworks["timm"]
    assert (framework.framework, framework.healthy_trainers) == ("timm", 1)
    assert "test_resnet" in [model.model_name for model in client.models(text="test_res")]
    schema = client.schema("timm", CLASSIFICATION)
    names = {field.name for field in schema.fields}
    assert names >= set(digits.SETTINGS)
    assert {preset.name for preset in schema.presets} >= {"basic", "standard", "advanced"}
    checked = client.validate("timm", {"augmentation.hflip": 0.25}, task_type=CLASSIFICATION, model_name="test_resnet")
    assert not checked.violations
    # The full configuration: what was given, and the defaults of everything else.
    assert set(checked.config) >= names and checked.config["augmentation.hflip"] == 0.25


@pytest.mark.parametrize("one_stream", [True, False], ids=["in one stream", "file by file"])
def test_class_folders_become_a_dataset(client: Client, folder: Path, one_stream: bool) -> None:
    dataset = digits.upload(client, folder, "both ways", one_stream=one_stream)
    assert list(dataset.class_names) == ["0", "1", "2"] and dataset.file_count == 75
    splits = {name: dict(split.images) for name, split in dataset.class_distribution.items()}
    assert splits == {"train": {"0": 20, "1": 20, "2": 20}, "val": {"0": 5, "1": 5, "2": 5}}
    assert CLASSIFICATION in dataset.task_types and dataset.manifest_digest
    assert {file.path for file in client.dataset_files(dataset.id)} == set(digits.files())
    client.delete_dataset(dataset.id)
    assert dataset.id not in [item.id for item in client.datasets()]


def test_an_image_folder_is_split_by_a_fraction_and_a_seed(client: Client, tmp_path: Path) -> None:
    content = {path.partition("/")[2]: data for path, data in digits.files(2, per_class=10, val=0).items()}
    folder = digits.write(tmp_path / "flat", content)
    how = {"format": dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER, "val_fraction": 0.2}
    first, again, other = (digits.upload(client, folder, "flat", **how, seed=seed) for seed in (1, 1, 2))
    splits = {name: dict(split.images) for name, split in first.class_distribution.items()}
    assert splits == {"train": {"0": 8, "1": 8}, "val": {"0": 2, "1": 2}}
    chosen = [{file.path: file.split for file in client.dataset_files(item.id)} for item in (first, again, other)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_job_is_trained_watched_and_predicts(
    client: Client, dataset: dataset_pb2.Dataset, store: ObjectStore, tmp_path: Path
) -> None:
    job = client.create_job(digits.spec(dataset.id, epochs=6))
    assert job.state == job_state_pb2.JOB_STATE_PENDING and job.num_classes == 3
    client.start_job(job.id)
    events = list(client.watch_job(job.id))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    states = [event.state_change.to_state for event in events if event.HasField("state_change")]
    assert [job_state_pb2.JobState.Name(state).removeprefix("JOB_STATE_") for state in states] == [
        "QUEUED", "PREPARING", "RUNNING", "COMPLETED",
    ]  # fmt: skip
    metrics = [event.metric for event in events if event.HasField("metric")]
    assert [metric.epoch for metric in metrics] == [1, 2, 3, 4, 5, 6]
    assert list(client.metrics(job.id)) == metrics
    assert all(metric.HasField("loss") and metric.HasField("accuracy") for metric in metrics)
    assert metrics[-1].loss < metrics[0].loss
    assert list(client.logs(job.id)) == [event.log for event in events if event.HasField("log")]
    assert any(event.HasField("progress") for event in events)

    done = client.get_job(job.id)
    assert (done.state, done.current_epoch, done.progress) == (job_state_pb2.JOB_STATE_COMPLETED, 6, 1.0)
    checkpoints = {checkpoint.id: checkpoint for checkpoint in client.checkpoints(job.id)}
    best = max(metrics, key=lambda metric: metric.accuracy)
    assert checkpoints[done.best_checkpoint_id].epoch == best.epoch
    assert checkpoints[done.last_checkpoint_id].epoch == 6 and checkpoints[done.last_checkpoint_id].resumable

    results = list(client.validation_results(job.id))
    assert [(item.epoch, item.metrics["accuracy"]) for item in results] == [(m.epoch, m.accuracy) for m in metrics]
    judged = results[best.epoch - 1]
    assert [(item.label, item.support) for item in judged.classes] == [("0", 5), ("1", 5), ("2", 5)]
    # What the best checkpoint said of each image is what its figures count, and what it says when it is asked again.
    assert client.best_epoch(job.id) == best.epoch
    said = list(client.validation_images(job.id, page_size=4))
    assert [item.path for item in said] == sorted(path for path in digits.files() if path.startswith("val/"))
    matrix = [[0, 0, 0] for _ in range(3)]
    for item in said:
        assert item.label == item.path.split("/")[1]
        matrix[int(item.label)][item.predictions[0].label_id] += 1
    assert [list(row.counts) for row in judged.confusion_matrix] == matrix
    assert sum(item.correct for item in said) / 15 == pytest.approx(best.accuracy)
    assert sum(item.loss for item in said) / 15 == pytest.approx(best.extra_metrics["val_loss"], abs=1e-5)
    hardest = next(client.validation_images(job.id, order=training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST))
    assert hardest.loss == max(item.loss for item in said)
    asked = client.predict(digits.files()[hardest.path], job_id=job.id).classifications
    assert [item.confidence for item in asked] == pytest.approx(
        [item.confidence for item in hardest.predictions], abs=1e-3
    )
    # Those of the other checkpoints are gone, a moment after the last one came.
    kept = {item.validation_images.storage_path for item in checkpoints.values() if item.HasField("validation_images")}
    assert len(kept) == len({done.best_checkpoint_id, done.last_checkpoint_id})
    deadline = time.monotonic() + 20
    while {info.key for info in store.list(keys.VALIDATION_IMAGES) if f"/{job.id}/" in info.key} != kept:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    image = tmp_path / "unseen.png"
    trained = digits.files()
    unseen = {path: data for path, data in digits.files(3, 35, 0).items() if data not in trained.values()}
    assert len(unseen) == 30
    right = 0
    for path, data in unseen.items():
        image.write_bytes(data)
        answer = client.predict(image, job_id=job.id)
        assert [item.label for item in answer.classifications] and len(answer.classifications) == 3
        assert sum(item.confidence for item in answer.classifications) == pytest.approx(1.0, abs=1e-4)
        assert answer.checkpoint_id == done.best_checkpoint_id and answer.inference_time_ms > 0
        right += answer.classifications[0].label == path.split("/")[1]
    assert right / len(unseen) > 0.6
    streamed = list(client.predict_stream([*unseen.values(), b"no image", image], job_id=job.id, top_k=1))
    assert [answer.tag for answer in streamed] == [str(place) for place in range(32)]
    assert [answer.failure.reason for answer in streamed if answer.HasField("failure")] == ["IMAGE_UNREADABLE"]
    found = [answer.response.classifications[0].label for answer in streamed[:30]]
    assert sum(label == path.split("/")[1] for label, path in zip(found, unseen, strict=True)) == right
    [top] = client.predict(image, job_id=job.id, top_k=1).classifications
    assert top.label == dataset.class_names[top.label_id]
    sure = client.predict(image, job_id=job.id, confidence_threshold=0.5).classifications
    assert all(item.confidence >= 0.5 for item in sure)
    first = client.predict(image, checkpoint_id=done.last_checkpoint_id)
    assert first.checkpoint_id == done.last_checkpoint_id
    assert done.last_checkpoint_id in [model.checkpoint_id for model in client.loaded_models().models]

    # Of the six checkpoints the best and the last are left, and the weights of the best are for whoever wants them.
    assert set(checkpoints) == {done.best_checkpoint_id, done.last_checkpoint_id}
    until_gone(store, job.id, {item.storage_path for item in checkpoints.values()})
    taken = client.download_checkpoint(job.id, tmp_path)
    assert (taken.checkpoint_id, taken.path.name) == (done.best_checkpoint_id, "weights.safetensors")
    with safe_open(taken.path, framework="numpy") as file:
        assert json.loads(file.metadata()["visionmesh"])["epoch"] == best.epoch

    client.delete_job(job.id)
    refused(lambda: client.get_job(job.id), Code.NOT_FOUND, "JOB_NOT_FOUND")
    refused(lambda: client.predict(image, job_id=job.id), Code.NOT_FOUND, "JOB_NOT_FOUND")
    gone = done.last_checkpoint_id
    refused(lambda: client.predict(image, checkpoint_id=gone), Code.NOT_FOUND, "CHECKPOINT_NOT_FOUND")
    assert job.id not in [model.job_id for model in client.loaded_models().models]
    until_gone(store, job.id, set())


def until_gone(store: ObjectStore, job_id: str, kept: set[str]) -> None:
    """Wait until the job has these checkpoints in the store and no others."""
    deadline = time.monotonic() + 30
    while {
        found.name
        for info in store.list(keys.CHECKPOINTS)
        if (found := keys.checkpoint_object(info.key)) is not None and found.job_id == job_id
    } != kept:
        assert time.monotonic() < deadline
        time.sleep(0.1)
