"""The fleet over real trainers that go, come back and fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.failover import first_answer
from gateway.fleet import Fleet, Trainer
from rpc.errors import DomainError
from tests.gateway.stand_in import MESH_TOKEN, StandInTrainer, model, unreadable_image
from tests.gateway.waiting import until
from visionmesh.mesh.v1 import trainer_pb2


@pytest.fixture
async def replica() -> AsyncIterator[StandInTrainer]:
    """A second trainer of `counters`, with more free slots."""
    trainer = StandInTrainer("counters", [model("count_a")], free_slots=2)
    await trainer.start()
    yield trainer
    await trainer.stop()


@pytest.fixture
async def fleet(counters: StandInTrainer, replica: StandInTrainer) -> AsyncIterator[Fleet]:
    addresses = [counters.address, replica.address]
    opened = Fleet(addresses, MESH_TOKEN, poll_seconds=0.1, answer_seconds=0.1, timeout_seconds=5)
    await opened.start()
    yield opened
    await opened.close()


def at(fleet: Fleet, stand_in: StandInTrainer) -> Trainer:
    """The fleet's side of a stand-in."""
    trainer = fleet.at(stand_in.address)
    assert trainer is not None
    return trainer


async def ask_for_model(trainer: Trainer) -> str:
    """The name of a model, asked of one trainer."""
    request = trainer_pb2.GetModelRequest(model_name="count_a")
    answer = await trainer.call(lambda stub, timeout: stub.GetModel(request, timeout=timeout))
    return answer.model.model_name


async def test_knows_its_trainers_after_start(fleet: Fleet, counters: StandInTrainer, replica: StandInTrainer) -> None:
    assert fleet.frameworks() == ["counters"]
    assert all(trainer.healthy for trainer in fleet.trainers)
    assert [trainer.address for trainer in fleet.serving("counters")] == [replica.address, counters.address]
    assert fleet.at("127.0.0.1:1") is None


async def test_unknown_framework_names_the_known(fleet: Fleet) -> None:
    with pytest.raises(DomainError) as caught:
        fleet.serving("yolo")
    assert caught.value.reason == "FRAMEWORK_NOT_FOUND"
    assert caught.value.metadata["known"] == "counters"


async def test_a_trainer_that_goes_and_comes_back(
    fleet: Fleet, counters: StandInTrainer, replica: StandInTrainer
) -> None:
    changes: list[None] = []
    fleet.on_change(lambda: changes.append(None))
    before = at(fleet, replica).description
    await replica.stop()
    await until(lambda: not at(fleet, replica).healthy)
    assert at(fleet, replica).framework == "counters"  # what it was is still known
    assert "UNAVAILABLE" in at(fleet, replica).problem
    assert [trainer.address for trainer in fleet.serving("counters")] == [counters.address]

    await counters.stop()
    await until(lambda: not at(fleet, counters).healthy)
    with pytest.raises(DomainError) as caught:
        fleet.serving("counters")
    assert caught.value.reason == "FRAMEWORK_UNAVAILABLE"
    assert caught.value.retry_seconds == 2.0
    assert caught.value.metadata["addresses"] == f"{counters.address}, {replica.address}"

    await replica.start()
    await until(lambda: at(fleet, replica).healthy)
    after = at(fleet, replica).description
    assert before is not None and after is not None and before.instance_id != after.instance_id
    assert [trainer.address for trainer in fleet.serving("counters")] == [replica.address]
    assert changes


async def test_starts_while_every_trainer_is_down(counters: StandInTrainer) -> None:
    await counters.stop()
    fleet = Fleet([counters.address], MESH_TOKEN, poll_seconds=0.1, answer_seconds=0.1)
    await fleet.start()
    assert fleet.frameworks() == []
    with pytest.raises(DomainError) as caught:
        fleet.serving("counters")  # it may be what the silent one serves
    assert caught.value.reason == "FRAMEWORK_UNAVAILABLE"
    await counters.start()
    await until(lambda: fleet.frameworks() == ["counters"])
    await fleet.close()


async def test_a_wrong_mesh_token_is_a_problem_with_its_reason(counters: StandInTrainer) -> None:
    fleet = Fleet([counters.address], "another-token-altogether")
    await fleet.start()
    (trainer,) = fleet.trainers
    assert not trainer.healthy
    assert "UNAUTHENTICATED" in trainer.problem
    assert "another-token" not in trainer.problem
    await fleet.close()


async def test_a_trainers_own_reason_is_kept(fleet: Fleet, counters: StandInTrainer) -> None:
    counters.fails["GetModel"] = unreadable_image()
    with pytest.raises(DomainError) as caught:
        await ask_for_model(at(fleet, counters))
    assert caught.value.reason == "IMAGE_UNREADABLE"
    assert [item.field for item in caught.value.violations] == ["image_bytes"]
    assert "request_id" not in caught.value.metadata  # the gateway's own call has another


async def test_a_bug_of_a_trainer_is_internal(fleet: Fleet, counters: StandInTrainer) -> None:
    counters.fails["GetModel"] = RuntimeError("secret of the trainer")
    with pytest.raises(DomainError) as caught:
        await ask_for_model(at(fleet, counters))
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in caught.value.message


async def test_a_replica_that_is_gone_is_passed_over(
    fleet: Fleet, counters: StandInTrainer, replica: StandInTrainer
) -> None:
    trainers = [at(fleet, replica), at(fleet, counters)]
    request = trainer_pb2.GetModelRequest(model_name="zeta")  # the replica does not have it
    await replica.stop()
    answer = await first_answer(trainers, lambda stub, timeout: stub.GetModel(request, timeout=timeout))
    assert answer.model.model_name == "zeta"

    counters.fails["GetModel"] = DomainError("SHUTTING_DOWN", "Going.", retry_seconds=1)
    with pytest.raises(DomainError) as caught:
        await first_answer(trainers, lambda stub, timeout: stub.GetModel(request, timeout=timeout))
    assert caught.value.reason == "SHUTTING_DOWN"


async def test_what_a_replica_says_of_the_request_counts(
    fleet: Fleet, counters: StandInTrainer, replica: StandInTrainer
) -> None:
    request = trainer_pb2.GetModelRequest(model_name="zeta")
    with pytest.raises(DomainError) as caught:
        await first_answer(
            [at(fleet, replica), at(fleet, counters)], lambda stub, timeout: stub.GetModel(request, timeout=timeout)
        )
    assert caught.value.reason == "MODEL_NOT_FOUND"
    assert counters.asked["GetModel"] == 0
