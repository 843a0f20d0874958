"""A real timm trainer as a process of its own, asked over gRPC as the gateway asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.channel import open_mesh_channel
from tests.trainer.servers import RUN_TOKEN, TOKEN, TrainerProcess, refusal, run_spec, running_trainer
from visionmesh.mesh.v1 import run_pb2, trainer_pb2
from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceStub
from visionmesh.v1 import common_pb2

if TYPE_CHECKING:  # a type of the stubs, which does not exist at run time
    from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION
DETECTION = common_pb2.TASK_TYPE_OBJECT_DETECTION
SERVICE = "visionmesh.mesh.v1.TrainerService"


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    with running_trainer(tmp_path_factory.mktemp("trainer"), slots="2", max_image_pixels="1000000") as running:
        yield running


@pytest.fixture
async def channel(trainer: TrainerProcess) -> AsyncIterator[grpc.aio.Channel]:
    async with open_mesh_channel(trainer.address, TOKEN) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> TrainerServiceAsyncStub:
    return TrainerServiceStub(channel)


async def test_its_health_is_open_and_serving_for_the_service(trainer: TrainerProcess) -> None:
    async with grpc.aio.insecure_channel(trainer.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(("token", "reason"), [(None, "TOKEN_MISSING"), ("another", "TOKEN_INVALID")])
async def test_without_the_mesh_token_nothing_is_told(trainer: TrainerProcess, token: str | None, reason: str) -> None:
    opened = open_mesh_channel(trainer.address, token) if token else grpc.aio.insecure_channel(trainer.address)
    async with opened as channel:
        error = await refusal(TrainerServiceStub(channel).Describe(trainer_pb2.DescribeRequest()))

    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


async def test_the_whole_catalogue_is_listed(stub: TrainerServiceAsyncStub) -> None:
    models = (await stub.ListModels(trainer_pb2.ListModelsRequest())).models

    by_name = {model.model_name: model for model in models}
    assert len(models) > 1000 and len(by_name) == len(models)
    assert by_name["resnet18"].framework == "timm"
    assert by_name["resnet18"].default_image_size == 224
    assert list(by_name["resnet18"].task_types) == [CLASSIFICATION]


async def test_one_model_comes_with_its_parameters(stub: TrainerServiceAsyncStub) -> None:
    model = (await stub.GetModel(trainer_pb2.GetModelRequest(model_name="resnet18"))).model

    assert model.parameters == 11_689_512


async def test_an_unknown_model_is_not_found_and_the_nearest_is_named(stub: TrainerServiceAsyncStub) -> None:
    error = await refusal(stub.GetModel(trainer_pb2.GetModelRequest(model_name="resnet_18")))

    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert "resnet18" in error.metadata["nearest"].split(", ")
    assert "Did you mean" in error.message
    empty = await refusal(stub.GetModel(trainer_pb2.GetModelRequest()))
    assert [violation.field for violation in empty.violations] == ["model_name"]


async def test_the_schema_has_fields_and_complete_presets(stub: TrainerServiceAsyncStub) -> None:
    schema = await stub.GetConfigSchema(trainer_pb2.GetConfigSchemaRequest())

    assert schema.task_type == CLASSIFICATION
    names = {field.name for field in schema.fields}
    assert "optimizer.type" in names
    assert {preset.name for preset in schema.presets} >= {"basic", "standard", "advanced"}
    assert all(set(preset.config.fields) == names for preset in schema.presets)


@pytest.mark.parametrize("task_type", [DETECTION, 99])
async def test_a_schema_of_another_task_is_refused(stub: TrainerServiceAsyncStub, task_type: int) -> None:
    request = trainer_pb2.GetConfigSchemaRequest()
    request.task_type = task_type  # type: ignore[assignment]
    error = await refusal(stub.GetConfigSchema(request))

    assert error.reason == "INVALID_REQUEST"
    assert [violation.field for violation in error.violations] == ["task_type"]


async def test_every_fault_of_a_job_is_found_at_once(stub: TrainerServiceAsyncStub) -> None:
    request = trainer_pb2.ValidateConfigRequest(task_type=DETECTION, model_name="test_resnet")
    request.config.update({"optimizer": {"type": "adamm", "weight_decay": -1}, "gradient.clip_mod": 1, "epochs": 3})
    answer = await stub.ValidateConfig(request)

    said = {violation.field: violation.description for violation in answer.violations}
    assert set(said) == {
        "task_type",
        "advanced_config.optimizer.type",
        "advanced_config.optimizer.weight_decay",
        "advanced_config.gradient.clip_mod",
        "advanced_config.epochs",
    }
    assert "IMAGE_CLASSIFICATION" in said["task_type"]
    assert "Did you mean gradient.clip_mode?" in said["advanced_config.gradient.clip_mod"]
    assert not answer.config.fields


async def test_settings_that_do_not_fit_the_job_are_found(stub: TrainerServiceAsyncStub) -> None:
    request = trainer_pb2.ValidateConfigRequest(model_name="test_vit", epochs=3, batch_size=7, image_size=40)
    request.config.update({"scheduler": {"warmup_epochs": 4}, "freeze.backbone_epochs": 3, "mixing.type": "cutmix"})
    answer = await stub.ValidateConfig(request)

    assert {violation.field for violation in answer.violations} == {
        "advanced_config.scheduler.warmup_epochs",
        "advanced_config.freeze.backbone_epochs",
        "advanced_config.mixing.type",
        "image_size",
    }
    # What is not known of the job is not held against it.
    request.ClearField("epochs")
    request.batch_size, request.image_size = -1, 0
    assert not (await stub.ValidateConfig(request)).violations


async def test_a_right_job_is_answered_with_everything_filled_in(stub: TrainerServiceAsyncStub) -> None:
    request = trainer_pb2.ValidateConfigRequest(model_name="resnet18")
    request.config.update({"optimizer": {"type": "sgd"}})
    answer = await stub.ValidateConfig(request)
    schema = await stub.GetConfigSchema(trainer_pb2.GetConfigSchemaRequest())

    assert not answer.violations
    assert set(answer.config.fields) == {field.name for field in schema.fields}
    assert answer.config["optimizer.type"] == "sgd"
    assert (answer.task_type, answer.default_image_size) == (CLASSIFICATION, 224)
    assert answer.primary_metric == "accuracy"
    assert answer.metrics["accuracy"] is True and answer.metrics["loss"] is False


async def test_a_job_with_an_unknown_model_or_weights_out_of_reach_is_refused(stub: TrainerServiceAsyncStub) -> None:
    unknown = await refusal(stub.ValidateConfig(trainer_pb2.ValidateConfigRequest(model_name="resnet_18")))
    weights = await refusal(
        stub.ValidateConfig(trainer_pb2.ValidateConfigRequest(model_name="resnet18", pretrained=True))
    )

    assert unknown.reason == "MODEL_NOT_FOUND"
    assert (weights.code, weights.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PRETRAINED_UNAVAILABLE")
    assert weights.metadata["model_name"] == "resnet18"


async def test_a_run_that_cannot_be_is_refused_and_none_is_listed(stub: TrainerServiceAsyncStub) -> None:
    error = await refusal(stub.StartRun(trainer_pb2.StartRunRequest(run=run_pb2.RunSpec(run_id="../escape"))))

    assert error.reason == "INVALID_REQUEST"
    assert {"run.run_id", "run.epochs", "run.task_type", "run_token"} <= {
        violation.field for violation in error.violations
    }
    assert not (await stub.ListRuns(trainer_pb2.ListRunsRequest())).runs
    assert not (await stub.StopRun(trainer_pb2.StopRunRequest(run_id="unknown"))).found
    assert (await stub.Describe(trainer_pb2.DescribeRequest())).free_slots == 2


@pytest.mark.parametrize(("task_type", "view"), [(DETECTION, 1), (CLASSIFICATION, 99)])
async def test_a_run_with_a_view_that_it_cannot_have_is_refused(
    stub: TrainerServiceAsyncStub, task_type: common_pb2.TaskType, view: int
) -> None:
    run = run_spec("viewing")
    run.task_type, run.dataset_view = task_type, view  # type: ignore[assignment]
    error = await refusal(stub.StartRun(trainer_pb2.StartRunRequest(run=run, run_token=RUN_TOKEN)))

    assert error.reason == "INVALID_REQUEST"
    assert [violation.field for violation in error.violations] == ["run.dataset_view"]
    assert not (await stub.ListRuns(trainer_pb2.ListRunsRequest())).runs


async def test_a_run_is_started_once_listed_and_ended(stub: TrainerServiceAsyncStub) -> None:
    for _ in range(2):
        await stub.StartRun(trainer_pb2.StartRunRequest(run=run_spec("started"), run_token=RUN_TOKEN))
    runs = (await stub.ListRuns(trainer_pb2.ListRunsRequest())).runs
    free_slots = (await stub.Describe(trainer_pb2.DescribeRequest())).free_slots
    stopped = await stub.StopRun(trainer_pb2.StopRunRequest(run_id="started", kill=True))

    assert [(run.run_id, run.job_id, run.alive) for run in runs] == [("started", "job", True)]
    assert runs[0].start_time.seconds > 0
    assert free_slots == 1
    assert stopped.found
    assert not (await stub.ListRuns(trainer_pb2.ListRunsRequest())).runs[0].alive
    assert (await stub.Describe(trainer_pb2.DescribeRequest())).free_slots == 2
