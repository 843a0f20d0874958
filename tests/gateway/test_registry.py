"""RegistryService over real gRPC, with trainers that go and come back."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from tests.gateway.calls import ALL, list_models, names, refused
from tests.gateway.conftest import Account, Gateway, OpenGateway
from tests.gateway.stand_in import CLASSIFICATION, DETECTION, StandInTrainer
from tests.gateway.waiting import until
from visionmesh.v1 import registry_pb2


async def test_frameworks_of_the_fleet(gateway: Gateway, alice: Account) -> None:
    answer = await gateway.registry.ListFrameworks(registry_pb2.ListFrameworksRequest(), metadata=alice.metadata)
    assert [item.framework for item in answer.frameworks] == ["boxes", "counters"]
    boxes, counters = answer.frameworks
    assert dict(counters.versions) == {"counters": "1.0"}
    assert list(boxes.task_types) == [DETECTION]
    assert (counters.healthy_trainers, counters.free_slots, counters.unavailable_reason) == (1, 1, "")
    assert not answer.problems


async def test_slots_of_replicas_are_summed(
    open_gateway: OpenGateway, counters: StandInTrainer, alice: Account
) -> None:
    replica = StandInTrainer("counters", counters.models, free_slots=2)
    await replica.start()
    gateway = await open_gateway(counters, replica)
    request = registry_pb2.ListFrameworksRequest()
    (framework,) = (await gateway.registry.ListFrameworks(request, metadata=alice.metadata)).frameworks
    assert (framework.healthy_trainers, framework.free_slots) == (2, 3)

    await replica.stop()
    await until(lambda: not gateway.fleet.trainers[1].healthy)
    answer = await gateway.registry.ListFrameworks(request, metadata=alice.metadata)
    (framework,) = answer.frameworks
    assert (framework.healthy_trainers, framework.free_slots, framework.unavailable_reason) == (1, 1, "")
    assert [problem.address for problem in answer.problems] == [replica.address]
    # No model is missing for it, so the listing of models has nothing to report.
    models = await list_models(gateway, alice)
    assert (models.total_size, len(models.problems)) == (7, 0)


async def test_models_of_all_frameworks_sorted(gateway: Gateway, alice: Account) -> None:
    answer = await list_models(gateway, alice)
    assert names(answer) == ALL
    assert (answer.total_size, answer.next_page_token) == (len(ALL), "")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"framework": "boxes"}, ALL[:2]),
        ({"task_type": DETECTION}, ALL[:2]),
        ({"task_type": CLASSIFICATION, "framework": "boxes"}, []),
        ({"text": "COUNT_b"}, [("counters", "Count_Big"), ("counters", "count_b")]),
        ({"pretrained": True}, [("counters", "Count_Big")]),
        ({"pretrained": False, "text": "big"}, []),
    ],
)
async def test_filters(
    gateway: Gateway, alice: Account, filters: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    answer = await list_models(gateway, alice, **filters)
    assert names(answer) == expected
    assert answer.total_size == len(expected)


async def test_a_catalogue_is_asked_for_once_per_start(
    gateway: Gateway, alice: Account, counters: StandInTrainer
) -> None:
    for _ in range(3):
        await list_models(gateway, alice)
    assert counters.asked["ListModels"] == 1


async def test_a_trainer_that_is_down_is_reported_and_not_served(
    gateway: Gateway, alice: Account, counters: StandInTrainer
) -> None:
    assert (await list_models(gateway, alice)).total_size == len(ALL)  # its catalogue is kept from now on
    await counters.stop()
    await until(lambda: not gateway.fleet.trainers[0].healthy)

    answer = await list_models(gateway, alice)
    assert names(answer) == ALL[:2]
    (problem,) = answer.problems
    assert (problem.framework, problem.address) == ("counters", counters.address)
    assert "UNAVAILABLE" in problem.message
    narrowed = await list_models(gateway, alice, framework="counters")
    assert (narrowed.total_size, len(narrowed.problems)) == (0, 1)
    assert not (await list_models(gateway, alice, framework="boxes")).problems

    frameworks = await gateway.registry.ListFrameworks(registry_pb2.ListFrameworksRequest(), metadata=alice.metadata)
    down = frameworks.frameworks[1]
    assert (down.framework, down.healthy_trainers, down.free_slots) == ("counters", 0, 0)
    assert counters.address in down.unavailable_reason
    assert [item.address for item in frameworks.problems] == [counters.address]

    request = registry_pb2.GetModelRequest(framework="counters", model_name="zeta")
    error = await refused(gateway.registry.GetModel(request, metadata=alice.metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "FRAMEWORK_UNAVAILABLE")
    assert error.retry_seconds

    await counters.start()
    await until(lambda: gateway.fleet.trainers[0].healthy)
    answer = await list_models(gateway, alice)
    assert (names(answer), len(answer.problems)) == (ALL, 0)


async def test_a_catalogue_that_fails_is_a_problem(gateway: Gateway, alice: Account, counters: StandInTrainer) -> None:
    counters.fails["ListModels"] = RuntimeError("secret of the trainer")
    answer = await list_models(gateway, alice)
    assert names(answer) == ALL[:2]
    (problem,) = answer.problems
    assert problem.address == counters.address
    assert "secret" not in problem.message
    del counters.fails["ListModels"]
    assert (await list_models(gateway, alice)).total_size == len(ALL)


async def test_a_trainer_that_never_answered_is_reported(
    open_gateway: OpenGateway, counters: StandInTrainer, boxes: StandInTrainer, alice: Account
) -> None:
    await boxes.stop()
    gateway = await open_gateway(counters, boxes)
    answer = await list_models(gateway, alice)
    assert names(answer) == ALL[2:]
    assert [(item.framework, item.address) for item in answer.problems] == [("", boxes.address)]
    narrowed = await list_models(gateway, alice, framework="boxes")
    assert [item.address for item in narrowed.problems] == [boxes.address]


async def test_unknown_framework(gateway: Gateway, alice: Account) -> None:
    registry, metadata = gateway.registry, alice.metadata
    schema = registry_pb2.GetConfigSchemaRequest(framework="yolo")
    check = registry_pb2.ValidateConfigRequest(framework="yolo")
    found = registry_pb2.GetModelRequest(framework="yolo", model_name="n")
    for call in (
        registry.ListModels(registry_pb2.ListModelsRequest(framework="yolo"), metadata=metadata),
        registry.GetModel(found, metadata=metadata),
        registry.GetConfigSchema(schema, metadata=metadata),
        registry.ValidateConfig(check, metadata=metadata),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "FRAMEWORK_NOT_FOUND")
        assert error.metadata["known"] == "boxes, counters"


async def test_a_model_with_its_parameters(gateway: Gateway, alice: Account) -> None:
    request = registry_pb2.GetModelRequest(framework="counters", model_name="zeta")
    answer = await gateway.registry.GetModel(request, metadata=alice.metadata)
    assert (answer.model.framework, answer.model.model_name, answer.model.parameters) == ("counters", "zeta", 1000)


async def test_an_unknown_model_names_the_nearest(gateway: Gateway, alice: Account) -> None:
    request = registry_pb2.GetModelRequest(framework="counters", model_name="zetta")
    error = await refused(gateway.registry.GetModel(request, metadata=alice.metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert error.metadata["nearest"] == "zeta"
    assert "'zetta'. Nearest: zeta." in error.message
    far = registry_pb2.GetModelRequest(framework="counters", model_name="q" * 100_000)
    error = await refused(gateway.registry.GetModel(far, metadata=alice.metadata))
    assert (error.reason, error.metadata["nearest"]) == ("MODEL_NOT_FOUND", "")


async def test_schema_of_a_framework(gateway: Gateway, alice: Account) -> None:
    request = registry_pb2.GetConfigSchemaRequest(framework="counters")
    answer = await gateway.registry.GetConfigSchema(request, metadata=alice.metadata)
    assert (answer.framework, answer.task_type) == ("counters", CLASSIFICATION)
    assert [field.name for field in answer.fields] == ["counter.step"]


async def test_a_configuration_is_completed_or_named_wrong(gateway: Gateway, alice: Account) -> None:
    request = registry_pb2.ValidateConfigRequest(framework="counters", model_name="zeta")
    answer = await gateway.registry.ValidateConfig(request, metadata=alice.metadata)
    assert (dict(answer.config), len(answer.violations)) == ({"counter.step": 1}, 0)

    config = struct_pb2.Struct()
    config.update({"optimizer": "adam", "depth": 3})
    request = registry_pb2.ValidateConfigRequest(framework="counters", config=config)
    answer = await gateway.registry.ValidateConfig(request, metadata=alice.metadata)
    assert {item.field for item in answer.violations} == {"advanced_config.optimizer", "advanced_config.depth"}
    assert not answer.HasField("config")


async def test_an_unknown_model_is_a_violation_of_a_configuration(gateway: Gateway, alice: Account) -> None:
    request = registry_pb2.ValidateConfigRequest(framework="counters", model_name="nothing")
    answer = await gateway.registry.ValidateConfig(request, metadata=alice.metadata)
    assert [item.field for item in answer.violations] == ["model_name"]


async def test_required_fields(gateway: Gateway, alice: Account) -> None:
    registry, metadata = gateway.registry, alice.metadata
    for call, fields in (
        (registry.GetModel(registry_pb2.GetModelRequest(), metadata=metadata), ["framework", "model_name"]),
        (registry.GetConfigSchema(registry_pb2.GetConfigSchemaRequest(), metadata=metadata), ["framework"]),
        (
            registry.ValidateConfig(
                registry_pb2.ValidateConfigRequest(task_type=99),  # type: ignore[arg-type]
                metadata=metadata,
            ),
            ["framework", "task_type"],
        ),
    ):
        error = await refused(call)
        assert error.reason == "INVALID_REQUEST"
        assert [item.field for item in error.violations] == fields


async def test_every_rpc_needs_a_token(gateway: Gateway) -> None:
    for call in (
        gateway.registry.ListFrameworks(registry_pb2.ListFrameworksRequest()),
        gateway.registry.ListModels(registry_pb2.ListModelsRequest()),
        gateway.registry.GetModel(registry_pb2.GetModelRequest()),
        gateway.registry.GetConfigSchema(registry_pb2.GetConfigSchemaRequest()),
        gateway.registry.ValidateConfig(registry_pb2.ValidateConfigRequest()),
    ):
        assert (await refused(call)).reason == "TOKEN_MISSING"
