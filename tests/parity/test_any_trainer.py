"""What a client may expect of any trainer, whatever framework is behind it.

A framework of your own is tested by adding it to ``contenders.py``.
"""

from __future__ import annotations

import hashlib

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, refused
from tests.parity.conftest import train
from tests.parity.contenders import CONTENDERS, Contender
from visionmesh.cli.processes import EmbeddedMesh
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, dataset_pb2, event_pb2, job_state_pb2, registry_pb2, training_pb2

CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION
UNSEEN = 700


def fields_of(client: Client, contender: Contender) -> registry_pb2.GetConfigSchemaResponse:
    return client.schema(contender.framework, CLASSIFICATION)


def test_the_framework_says_what_it_is_and_can(client: Client, contender: Contender) -> None:
    [found] = [item for item in client.frameworks().frameworks if item.framework == contender.framework]
    assert found.healthy_trainers == 1
    assert CLASSIFICATION in found.task_types
    assert found.versions and all(found.versions.values())


def test_its_models_can_be_listed_and_looked_at(client: Client, contender: Contender) -> None:
    names = [model.model_name for model in client.models(framework=contender.framework)]
    assert contender.model in names and len(names) == len(set(names))
    model = client.model(contender.framework, contender.model)
    assert CLASSIFICATION in model.task_types and model.default_image_size > 0 and model.description
    other = next(item for item in CONTENDERS if item is not contender)
    refused(lambda: client.model(contender.framework, other.model), Code.NOT_FOUND, "MODEL_NOT_FOUND")


def test_its_settings_have_defaults_within_their_bounds(client: Client, contender: Contender) -> None:
    for field in fields_of(client, contender).fields:
        assert field.label and field.description, field.name
        if field.options:
            assert field.default_value.string_value in [option.value for option in field.options], field.name
        if field.HasField("minimum") and field.default_value.HasField("number_value"):
            assert field.default_value.number_value >= field.minimum, field.name
        if field.HasField("maximum") and field.default_value.HasField("number_value"):
            assert field.default_value.number_value <= field.maximum, field.name


def test_its_presets_are_complete_and_valid(client: Client, contender: Contender, dataset: dataset_pb2.Dataset) -> None:
    schema = fields_of(client, contender)
    names = {field.name for field in schema.fields}
    presets = {preset.name: preset for preset in schema.presets}
    assert {"basic", "standard", "advanced"} <= set(presets)
    for preset in presets.values():
        assert set(preset.config.fields) == names, preset.name
        spec = contender.spec(dataset.id, 50, advanced_config=preset.config)
        checked = client.create_job(spec, validate_only=True)
        assert set(checked.advanced_config.fields) == names and not checked.id


def test_a_setting_that_it_does_not_know_is_refused_by_name(
    client: Client, contender: Contender, dataset: dataset_pb2.Dataset
) -> None:
    known = fields_of(client, contender).fields[0].name
    spec = contender.spec(dataset.id, 1)
    spec.advanced_config[f"{known}x"] = 1
    error = refused(
        lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", f"job.advanced_config.{known}x"
    )
    assert known in error.violations[0].description


def test_a_training_tells_its_whole_story(
    client: Client, contender: Contender, trained: training_pb2.TrainingJob
) -> None:
    events = list(client.watch_job(trained.id))
    states = [event.state_change.to_state for event in events if event.HasField("state_change")]
    names = [job_state_pb2.JobState.Name(state).removeprefix("JOB_STATE_") for state in states]
    assert names == ["QUEUED", "PREPARING", "RUNNING", "COMPLETED"]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    [start] = [event.training_start for event in events if event.HasField("training_start")]
    assert (start.total_epochs, start.start_epoch) == (2, 1) and start.device
    metrics = list(client.metrics(trained.id))
    assert [metric.epoch for metric in metrics] == [1, 2]
    assert all(0 <= metric.accuracy <= 1 for metric in metrics)
    assert trained.HasField("best_metric") and trained.best_checkpoint_id and trained.progress == 1


def test_its_trainings_are_forked_from_its_warm_parent(
    mesh: EmbeddedMesh, contender: Contender, trained: training_pb2.TrainingJob
) -> None:
    logs = [path.read_text() for path in (mesh.folder.root / contender.module / "runs").glob("*/agent.log")]
    assert logs and all('"by": "warm parent"' in log for log in logs if "training started" in log)


def test_its_checkpoints_are_whole_and_hold_no_code(
    client: Client, store: ObjectStore, trained: training_pb2.TrainingJob
) -> None:
    checkpoints = list(client.checkpoints(trained.id))
    assert [checkpoint.epoch for checkpoint in checkpoints][-1] == 2
    assert {trained.best_checkpoint_id, trained.last_checkpoint_id} <= {item.id for item in checkpoints}
    for checkpoint in checkpoints:
        for file in checkpoint.files:
            assert file.name.endswith((".safetensors", ".json"))
            data = store.get(f"{checkpoint.storage_path}{file.name}")
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)


def test_a_stopped_training_goes_on_with_the_next_epoch(
    client: Client, contender: Contender, dataset: dataset_pb2.Dataset
) -> None:
    job = client.create_job(contender.spec(dataset.id, contender.endless))
    client.start_job(job.id)
    next(client.watch_job(job.id, kinds=[event_pb2.EVENT_KIND_CHECKPOINT]))
    client.stop_job(job.id)
    list(client.watch_job(job.id))
    stopped = client.get_job(job.id)
    assert stopped.state == job_state_pb2.JOB_STATE_STOPPED, stopped.failure
    assert 1 <= stopped.current_epoch < contender.endless

    client.start_job(job.id, resume=True)
    next(client.watch_metrics(job.id, after_sequence=stopped.last_sequence))
    client.stop_job(job.id)
    list(client.watch_job(job.id))
    epochs = [metric.epoch for metric in client.metrics(job.id)]
    assert epochs == list(range(1, len(epochs) + 1)) and len(epochs) > stopped.current_epoch


def test_a_trained_model_answers(client: Client, contender: Contender, trained: training_pb2.TrainingJob) -> None:
    answer = client.predict(digits.png(UNSEEN), job_id=trained.id)
    assert answer.model_name == contender.model and answer.task_type == CLASSIFICATION
    assert (answer.image_width, answer.image_height) == (digits.SIDE, digits.SIDE)
    sure = [item.confidence for item in answer.classifications]
    assert {item.label for item in answer.classifications} == {"0", "1", "2"}
    assert sure == sorted(sure, reverse=True) and sum(sure) == pytest.approx(1, abs=1e-3)
    [only] = client.predict(digits.png(UNSEEN), job_id=trained.id, labels=["1"]).classifications
    assert only.label == "1"
    refused(
        lambda: client.predict(digits.png(UNSEEN), job_id=trained.id, labels=["cow"]),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "labels",
    )
    loaded = {model.checkpoint_id: model for model in client.loaded_models().models}
    assert loaded[answer.checkpoint_id].framework == contender.framework
    assert loaded[answer.checkpoint_id].memory_bytes > 0


def test_in_a_stream_each_image_fails_alone(client: Client, trained: training_pb2.TrainingJob) -> None:
    images = [b"no image" if number % 3 == 2 else digits.png(number) for number in range(30)]
    answers = list(client.predict_stream(images, job_id=trained.id, top_k=1))
    assert [answer.tag for answer in answers] == [str(number) for number in range(30)]
    for number, answer in enumerate(answers):
        if number % 3 == 2:
            assert answer.failure.reason == "IMAGE_UNREADABLE"
        else:
            assert len(answer.response.classifications) == 1


def test_a_checkpoint_of_another_framework_is_no_beginning(
    client: Client, contender: Contender, dataset: dataset_pb2.Dataset
) -> None:
    other = next(item for item in CONTENDERS if item is not contender)
    foreign = train(client, other, dataset.id, epochs=1)
    job = client.create_job(contender.spec(dataset.id, 1))
    with pytest.raises(Exception, match=r"(?i)framework|model"):
        client.start_job(job.id, checkpoint_id=foreign.best_checkpoint_id)
    assert client.get_job(job.id).state == job_state_pb2.JOB_STATE_PENDING
