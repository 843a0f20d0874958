"""Creating a job: what is filled in, and everything that is refused."""

from __future__ import annotations

import asyncio
import math

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from storage.database.engine import Database
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_client import JobClient, short
from tests.gateway.job_fixtures import Mesh, add_dataset
from tests.gateway.job_gateway import NO_PROGRESS_SECONDS, GatewayTimes
from tests.gateway.stand_in import CLASSIFICATION, DETECTION, StandInTrainer, model
from visionmesh.v1 import dataset_pb2, training_pb2


def struct(**fields: str | float) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(fields)
    return made


async def test_what_is_left_out_is_filled_in(ada: JobClient, alice: Account) -> None:
    job = await ada.create()
    assert job.id and job.user_id == alice.user_id
    assert (job.project_id, short(job.state), job.attempt, job.current_run_id) == ("default", "PENDING", 0, "")
    assert (job.batch_size, job.learning_rate, job.image_size) == (32, 1e-3, 32)
    assert job.task_type == CLASSIFICATION
    assert (job.primary_metric, job.primary_metric_mode) == ("accuracy", training_pb2.METRIC_MODE_MAX)
    assert json_format.MessageToDict(job.advanced_config) == {"counter.step": 1}
    assert (job.dataset_format, job.num_classes) == (dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER, 2)
    assert job.manifest_digest == "ab" * 32
    assert not job.HasField("best_metric") and not job.HasField("queue_time") and job.HasField("create_time")
    assert await ada.get(job.id) == job


async def test_what_the_caller_says_is_kept(ada: JobClient) -> None:
    said = ada.spec(
        project_id="pets",
        session_id="s-1",
        experiment_name="first",
        tags=["a", "b"],
        notes="see below",
        batch_size=8,
        learning_rate=0.25,
        image_size=64,
        seed=7,
        priority=-3,
        primary_metric="val_loss",
        advanced_config=struct(**{"counter.step": 3}),
    )
    job = await ada.create(said)
    for name in ("project_id", "session_id", "experiment_name", "tags", "notes", "batch_size", "learning_rate"):
        assert getattr(job, name) == getattr(said, name), name
    for name in ("image_size", "seed", "priority", "primary_metric", "epochs", "advanced_config"):
        assert getattr(job, name) == getattr(said, name), name
    assert job.primary_metric_mode == training_pb2.METRIC_MODE_MIN  # of a loss, the smaller is better
    turned = await ada.create(ada.spec(primary_metric="val_loss", primary_metric_mode=training_pb2.METRIC_MODE_MAX))
    assert turned.primary_metric_mode == training_pb2.METRIC_MODE_MAX


async def test_the_primary_metric_is_that_of_the_task(
    closed_mesh: Mesh, database: Database, alice: Account, pets: str
) -> None:
    boxes = StandInTrainer("boxes", [model("box_s", tasks=[DETECTION, CLASSIFICATION])])
    await boxes.start()
    await closed_mesh.open(None, closed_mesh.trainer, boxes)
    ada = closed_mesh.client(alice, pets)
    streets = await add_dataset(database, alice, task_types=["OBJECT_DETECTION"], format="COCO")
    wanted = {"framework": "boxes", "model_name": "box_s"}
    job = await ada.create(ada.spec(**wanted, dataset_id=streets))
    assert (job.task_type, job.primary_metric) == (DETECTION, "mAP50-95")
    job = await ada.create(ada.spec(**wanted, task_type=CLASSIFICATION))
    assert (job.task_type, job.primary_metric) == (CLASSIFICATION, "accuracy")

    error = await refused(ada.create(ada.spec(**wanted)))  # pets cannot train the model's first task
    assert [violation.field for violation in error.violations] == ["job.dataset_id"]
    assert "OBJECT_DETECTION" in error.violations[0].description
    await boxes.stop()


async def test_an_object_dataset_classifies_through_a_view(
    mesh: Mesh, ada: JobClient, database: Database, alice: Account
) -> None:
    streets = await add_dataset(database, alice, task_types=["OBJECT_DETECTION", "POSE_ESTIMATION"], format="COCO")
    plain = await refused(ada.create(ada.spec(dataset_id=streets)))
    [violation] = plain.violations
    assert violation.field == "job.dataset_id"
    for word in ("OBJECT_DETECTION", "POSE_ESTIMATION", "not IMAGE_CLASSIFICATION", "CROPS", "IMAGE_LABELS"):
        assert word in violation.description

    for view in (training_pb2.DATASET_VIEW_CROPS, training_pb2.DATASET_VIEW_IMAGE_LABELS):
        spec = ada.spec(dataset_id=streets, dataset_view=view)
        shown = await ada.create(spec, validate_only=True)
        assert (shown.dataset_view, shown.num_classes) == (view, 2)
        job = await ada.create(spec)
        assert job.dataset_view == view and await ada.get(job.id) == job
        await ada.start(job.id)
        assert (await mesh.run_of(job.id)).dataset_view == view


async def test_a_view_that_makes_no_sense_is_refused(
    closed_mesh: Mesh, database: Database, alice: Account, pets: str
) -> None:
    boxes = StandInTrainer("boxes", [model("box_s", tasks=[DETECTION, CLASSIFICATION])])
    await boxes.start()
    await closed_mesh.open(None, closed_mesh.trainer, boxes)
    ada = closed_mesh.client(alice, pets)
    streets = await add_dataset(database, alice, task_types=["OBJECT_DETECTION"], format="COCO")

    async def violations(**fields: object) -> list[tuple[str, str]]:
        error = await refused(ada.create(ada.spec(**fields)))
        return [(violation.field, violation.description) for violation in error.violations]

    crops = training_pb2.DATASET_VIEW_CROPS
    [(field, why)] = await violations(dataset_view=crops)  # pets are whole images
    assert field == "job.dataset_view" and "objects" in why and "IMAGE_CLASSIFICATION" in why
    detecting = {"framework": "boxes", "model_name": "box_s", "dataset_id": streets}
    [(field, why)] = await violations(**detecting, dataset_view=crops)
    assert field == "job.dataset_view" and "OBJECT_DETECTION" in why and "task_type" in why
    assert len(await violations(**{**detecting, "dataset_id": pets}, dataset_view=crops)) == 2
    [(field, why)] = await violations(dataset_view=77)
    assert (field, why) == ("job.dataset_view", "77 is not a view")
    cropped = await ada.create(ada.spec(**detecting, task_type=CLASSIFICATION, dataset_view=crops))
    assert cropped.primary_metric == "accuracy"
    await boxes.stop()


async def test_everything_wrong_is_named_at_once(ada: JobClient) -> None:
    error = await refused(
        ada.create(
            ada.spec(
                epochs=0,
                batch_size=-1,
                learning_rate=math.nan,
                image_size=5,
                seed=-1,
                primary_metric="beauty",
                max_restarts=101,
                no_progress_seconds=9,
                tags=["fine", ""],
                advanced_config=struct(colour="red"),
                experiment_name="x" * 201,
            ),
            request_id="r" * 201,
        )
    )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    fields = {violation.field: violation.description for violation in error.violations}
    assert set(fields) == {
        "job.epochs",
        "job.batch_size",
        "job.learning_rate",
        "job.image_size",
        "job.seed",
        "job.primary_metric",
        "job.max_restarts",
        "job.no_progress_seconds",
        "job.tags[1]",
        "job.advanced_config.colour",
        "job.experiment_name",
        "request_id",
    }
    assert "accuracy" in fields["job.primary_metric"] and "val_loss" in fields["job.primary_metric"]
    assert error.metadata["violation_count"] == "12"
    assert (await ada.jobs()).total_size == 0


@pytest.mark.parametrize("value", [0.0, -1e-3, math.inf, -math.inf, math.nan])
async def test_a_learning_rate_is_finite_and_above_zero(ada: JobClient, value: float) -> None:
    error = await refused(ada.create(ada.spec(learning_rate=value)))
    assert [violation.field for violation in error.violations] == ["job.learning_rate"]


async def test_no_number_of_a_configuration_is_nan(ada: JobClient) -> None:
    config = struct(**{"counter.step": math.nan})
    config.update({"deep": {"list": [1, math.inf]}})
    error = await refused(ada.create(ada.spec(advanced_config=config)))
    fields = {violation.field for violation in error.violations}
    assert {"job.advanced_config.counter.step", "job.advanced_config.deep.list[1]"} <= fields
    alone = await refused(ada.create(ada.spec(advanced_config=struct(**{"counter.step": math.nan}))))
    assert (alone.reason, [violation.field for violation in alone.violations]) == (
        "INVALID_REQUEST",
        ["job.advanced_config.counter.step"],
    )


async def test_restarts_and_patience_have_defaults_limits_and_a_zero_that_means_none(ada: JobClient) -> None:
    unset = await ada.create()
    assert (unset.max_restarts, unset.no_progress_seconds) == (2, NO_PROGRESS_SECONDS)
    none = await ada.create(ada.spec(max_restarts=0, no_progress_seconds=0))
    assert (none.max_restarts, none.no_progress_seconds) == (0, 0)
    most = await ada.create(ada.spec(max_restarts=100, no_progress_seconds=7 * 24 * 3600))
    assert (most.max_restarts, most.no_progress_seconds) == (100, 604_800)
    for restarts, seconds in ((-1, -1), (101, 9), (2**31 - 1, 604_801)):
        error = await refused(ada.create(ada.spec(max_restarts=restarts, no_progress_seconds=seconds)))
        told = {violation.field: violation.description for violation in error.violations}
        assert set(told) == {"job.max_restarts", "job.no_progress_seconds"}
        assert "0 to 100" in told["job.max_restarts"] and "10 to 604800, or 0" in told["job.no_progress_seconds"]


@pytest.mark.parametrize("name", ["framework", "model_name", "dataset_id", "epochs"])
async def test_what_is_required_is_said(ada: JobClient, name: str) -> None:
    spec = ada.spec()
    spec.ClearField(name)
    error = await refused(ada.create(spec))
    assert (error.reason, [violation.field for violation in error.violations]) == ("INVALID_REQUEST", [f"job.{name}"])


async def test_numbers_that_no_enum_has_are_refused(ada: JobClient) -> None:
    error = await refused(ada.create(ada.spec(task_type=99, primary_metric_mode=99)))
    assert {"job.task_type", "job.primary_metric_mode"} <= {violation.field for violation in error.violations}


async def test_what_a_job_names_must_be_there(
    ada: JobClient, ben: JobClient, database: Database, alice: Account
) -> None:
    async def reason(client: JobClient, **fields: object) -> tuple[str, grpc.StatusCode]:
        error = await refused(client.create(client.spec(**fields)))
        return error.reason, error.code

    nowhere = grpc.StatusCode.NOT_FOUND
    assert await reason(ada, dataset_id="ds_none") == ("DATASET_NOT_FOUND", nowhere)
    assert await reason(ada, framework="abacus") == ("FRAMEWORK_NOT_FOUND", nowhere)
    assert await reason(ada, model_name="count_z") == ("MODEL_NOT_FOUND", nowhere)
    assert await reason(ben) == ("DATASET_NOT_FOUND", nowhere)  # alice's, private
    early = await add_dataset(database, alice, state="ANALYZING", task_types=[])
    error = await refused(ada.create(ada.spec(dataset_id=early, task_type=CLASSIFICATION)))
    assert (error.reason, error.metadata["state"]) == ("DATASET_NOT_READY", "ANALYZING")
    # What can be put right without anyone else is told first.
    assert await reason(ada, dataset_id="ds_none", epochs=0) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
    assert (await ada.jobs()).total_size == (await ben.jobs()).total_size == 0


async def test_a_public_dataset_is_anyones(ben: JobClient, database: Database, alice: Account) -> None:
    public = await add_dataset(database, alice, visibility="PUBLIC")
    assert (await ben.create(ben.spec(dataset_id=public))).dataset_id == public


async def test_the_framework_may_be_away(mesh: Mesh, ada: JobClient) -> None:
    await mesh.trainer.stop()
    error = await refused(ada.create())
    assert (error.reason, error.code) == ("FRAMEWORK_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
    assert error.retry_seconds is not None
    await mesh.trainer.start()


async def test_a_replica_that_just_went_is_not_missed(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    replica = StandInTrainer("counters", closed_mesh.trainer.models, free_slots=9)  # asked first
    await replica.start()
    never_again = GatewayTimes(poll_seconds=600)
    await closed_mesh.open(never_again, closed_mesh.trainer, replica)
    ada = closed_mesh.client(alice, pets)
    assert replica.asked["ValidateConfig"] == 0
    await replica.stop()
    assert (await ada.create()).id


async def test_the_trainer_is_told_what_settings_must_fit(ada: JobClient, mesh: Mesh) -> None:
    job = await ada.create(ada.spec(epochs=7, image_size=64))
    asked = mesh.trainer.validate_requests[-1]
    assert (asked.epochs, asked.batch_size, asked.image_size) == (7, job.batch_size, 64)
    assert asked.num_classes == job.num_classes > 0


async def test_only_looking_stores_nothing(ada: JobClient) -> None:
    shown = await ada.create(validate_only=True, request_id="twice")
    assert (shown.id, short(shown.state), shown.batch_size, shown.primary_metric) == ("", "PENDING", 32, "accuracy")
    assert (await ada.jobs()).total_size == 0
    assert (await refused(ada.create(ada.spec(epochs=-1), validate_only=True))).reason == "INVALID_REQUEST"
    assert (await ada.create(request_id="twice")).id  # looking used the id up for nothing


async def test_a_repeated_request_gives_the_first_job(ada: JobClient, ben: JobClient, mesh: Mesh) -> None:
    first = await ada.create(request_id="one")
    assert (await ada.create(request_id="one")).id == first.id
    await ada.start(first.id)
    assert short((await ada.create(request_id="one")).state) != "PENDING"  # the job as it is now
    error = await refused(ada.create(ada.spec(epochs=9), request_id="one"))
    assert (error.reason, error.code) == ("REQUEST_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS)
    assert error.metadata["resource_id"] == first.id
    assert (await ada.create(request_id="two")).id != first.id
    assert (await ada.jobs()).total_size == 2
    # Ids of one caller mean nothing for another.
    assert (await refused(ben.create(request_id="one"))).reason == "DATASET_NOT_FOUND"


async def test_the_same_request_twice_at_once_makes_one_job(ada: JobClient) -> None:
    jobs = await asyncio.gather(*(ada.create(request_id="at once") for _ in range(8)))
    assert len({job.id for job in jobs}) == 1
    assert (await ada.jobs()).total_size == 1
