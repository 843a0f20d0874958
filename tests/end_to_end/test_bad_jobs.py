"""Jobs that are refused when they are created: everything wrong is named at once, and no job is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from storage.objects.store import ObjectStore
from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, Raw, nothing_left, refused
from visionmesh.client import Client
from visionmesh.v1 import common_pb2, dataset_pb2, training_pb2

# Long before any deadline of a client, and long after a trainer must have given up the hub.
SECONDS_WITHOUT_HUB = 20.0


@pytest.fixture(autouse=True)
def _nothing_left(client: Client, store: ObjectStore, dataset: object) -> Iterator[None]:
    with nothing_left(client, store):
        yield


@pytest.mark.parametrize(
    ("wrong", "reason", "said"),
    [
        ({"model_name": "test_resnetto"}, "MODEL_NOT_FOUND", "test_resnet"),
        ({"model_name": "no such thing"}, "MODEL_NOT_FOUND", "ListModels"),
        ({"framework": "tim"}, "FRAMEWORK_NOT_FOUND", "timm"),
        ({"dataset_id": "ds_unknown"}, "DATASET_NOT_FOUND", "ds_unknown"),
    ],
    ids=["model", "model like no other", "framework", "dataset"],
)
def test_what_a_job_names_must_be_there(
    client: Client, dataset: dataset_pb2.Dataset, wrong: dict[str, Any], reason: str, said: str
) -> None:
    spec = digits.spec(**{"dataset_id": dataset.id, **wrong})
    for validate_only in (True, False):
        error = refused(partial(client.create_job, spec, validate_only=validate_only), Code.NOT_FOUND, reason)
        assert said in error.message


def test_every_call_about_an_unknown_job_says_so(client: Client) -> None:
    unknown = "job_unknown"
    for call in (
        lambda: client.get_job(unknown),
        lambda: client.start_job(unknown),
        lambda: client.start_job(unknown, resume=True),
        lambda: client.stop_job(unknown),
        lambda: list(client.watch_job(unknown)),
        lambda: list(client.watch_metrics(unknown)),
        lambda: list(client.watch_logs(unknown)),
        lambda: list(client.metrics(unknown)),
        lambda: list(client.metrics(unknown, max_points=2)),
        lambda: list(client.logs(unknown)),
        lambda: list(client.checkpoints(unknown)),
        lambda: client.predict(digits.png(0), job_id=unknown),
    ):
        error = refused(call, Code.NOT_FOUND, "JOB_NOT_FOUND")
        assert error.metadata["job_id"] == unknown and unknown in error.message


def test_every_call_about_an_unknown_dataset_says_so(client: Client, raw: Raw) -> None:
    unknown = "ds_unknown"
    for call in (
        lambda: client.get_dataset(unknown),
        lambda: client.finalize_dataset(unknown),
        lambda: list(client.watch_dataset(unknown)),
        lambda: list(client.dataset_files(unknown)),
        lambda: list(client.dataset_problems(unknown)),
        lambda: client.delete_dataset(unknown),
        lambda: raw.upload_files(unknown, []),
    ):
        error = refused(call, Code.NOT_FOUND, "DATASET_NOT_FOUND")
        assert error.metadata["dataset_id"] == unknown and unknown in error.message


def test_a_task_that_the_model_cannot_do(client: Client, dataset: dataset_pb2.Dataset) -> None:
    spec = digits.spec(dataset.id, task_type=common_pb2.TASK_TYPE_OBJECT_DETECTION)
    error = refused(lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", "job.task_type")
    assert "IMAGE_CLASSIFICATION" in error.message
    refused(
        lambda: client.schema("timm", common_pb2.TASK_TYPE_OBJECT_DETECTION),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "task_type",
    )


def test_numbers_that_make_no_sense_are_named_all_at_once(client: Client, dataset: dataset_pb2.Dataset) -> None:
    fields: dict[str, Any] = {"epochs": 0, "batch_size": -1, "learning_rate": float("nan")}
    names = [f"job.{name}" for name in fields]
    spec = digits.spec(dataset.id, **fields)
    error = refused(lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", *names)
    assert error.metadata["violation_count"] == "3"
    for name in names:
        assert name in error.message

    # With what the trainer alone knows beside them, and with what is missing.
    spec = digits.spec(dataset.id, settings={"optimizer.type": "adamx"}, **fields)
    names.append("job.advanced_config.optimizer.type")
    refused(lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", *names)
    missing = ("job.framework", "job.model_name", "job.dataset_id", "job.epochs")
    nothing = training_pb2.TrainingJobSpec()
    refused(lambda: client.create_job(nothing), Code.INVALID_ARGUMENT, "INVALID_REQUEST", *missing)


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"optimizer.weight_decoy": 0.1}, "optimizer.weight_decoy", "optimizer.weight_decay"),
        ({"weight_decay": 0.1}, "weight_decay", "optimizer.weight_decay"),
        ({"optimizer": {"weight_decoy": 0.1}}, "optimizer.weight_decoy", "optimizer.weight_decay"),
        ({"batch_size": 8}, "batch_size", "in the job"),
        ({"optimizer.weight_decay": "much"}, "optimizer.weight_decay", "number"),
        ({"optimizer.weight_decay": True}, "optimizer.weight_decay", "number"),
        ({"optimizer.weight_decay": -1}, "optimizer.weight_decay", "at least"),
        ({"optimizer.type": "adamv"}, "optimizer.type", "adamw"),
        ({"optimizer.type": 3}, "optimizer.type", "one of"),
    ],
    ids=lambda given: str(given) if isinstance(given, dict) else "",
)
def test_a_setting_that_is_unknown_or_mistyped_is_named(
    client: Client, dataset: dataset_pb2.Dataset, settings: dict[str, Any], field: str, said: str
) -> None:
    spec = digits.spec(dataset.id, settings=settings)
    path = f"advanced_config.{field}"
    error = refused(lambda: client.create_job(spec), Code.INVALID_ARGUMENT, "INVALID_REQUEST", f"job.{path}")
    assert said in error.violations[0].description
    # Looked at by itself, the configuration is told the same: as an answer, not as an error.
    [violation] = client.validate("timm", settings, model_name="test_resnet").violations
    assert (violation.field, violation.description) == (path, error.violations[0].description)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_setting_that_is_no_number(client: Client, dataset: dataset_pb2.Dataset, number: float) -> None:
    spec = digits.spec(dataset.id)
    spec.advanced_config.fields["optimizer.weight_decay"].number_value = number
    error = refused(
        lambda: client.create_job(spec),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "job.advanced_config.optimizer.weight_decay",
    )
    assert "finite" in error.violations[0].description


def test_pretrained_weights_where_no_hub_can_be_reached(client: Client, dataset: dataset_pb2.Dataset) -> None:
    started = time.monotonic()
    error = refused(
        lambda: client.create_job(digits.spec(dataset.id, pretrained=True)),
        Code.FAILED_PRECONDITION,
        "PRETRAINED_UNAVAILABLE",
    )
    assert time.monotonic() - started < SECONDS_WITHOUT_HUB
    assert "test_resnet" in error.message and "pretrained" in error.message
    assert error.metadata["model_name"] == "test_resnet"


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [({"page_size": -1}, "page_size"), ({"page_size": 1001}, "page_size"), ({"page_token": "nonsense"}, "page_token")],
)
def test_pages_that_are_none(raw: Raw, request_fields: dict[str, Any], field: str) -> None:
    for call in (
        lambda: raw.training.ListJobs(training_pb2.ListJobsRequest(**request_fields), metadata=raw.metadata),
        lambda: raw.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest(**request_fields), metadata=raw.metadata),
    ):
        refused(call, Code.INVALID_ARGUMENT, "INVALID_REQUEST", field)
