"""Which replica predicts, and what replicas keep in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.fleet import Trainer
from gateway.inference.placement import ranked
from storage.database.engine import Database
from tests.gateway.calls import add_job, predict
from tests.gateway.conftest import Account, OpenGateway
from tests.gateway.stand_in import StandInTrainer
from tests.gateway.waiting import until
from visionmesh.v1 import inference_pb2


@pytest.fixture
async def replica(counters: StandInTrainer) -> AsyncIterator[StandInTrainer]:
    """A second trainer of `counters`."""
    trainer = StandInTrainer("counters", counters.models, free_slots=2)
    await trainer.start()
    yield trainer
    await trainer.stop()


async def test_a_checkpoint_stays_on_one_replica_until_that_goes(
    open_gateway: OpenGateway,
    database: Database,
    alice: Account,
    counters: StandInTrainer,
    replica: StandInTrainer,
) -> None:
    gateway = await open_gateway(counters, replica)
    job_id, _ = await add_job(database, alice)
    for _ in range(5):
        await predict(gateway, alice, job_id=job_id)
    home, other = sorted((counters, replica), key=lambda trainer: -trainer.asked["Predict"])
    assert (home.asked["Predict"], other.asked["Predict"]) == (5, 0)
    await home.stop()
    assert (await predict(gateway, alice, job_id=job_id)).job_id == job_id  # before the fleet knows
    await until(lambda: sum(trainer.healthy for trainer in gateway.fleet.trainers) == 1)
    assert (await predict(gateway, alice, job_id=job_id)).job_id == job_id
    assert other.asked["Predict"] == 2
    await home.start()
    await until(lambda: all(trainer.healthy for trainer in gateway.fleet.trainers))
    await predict(gateway, alice, job_id=job_id)
    assert (home.asked["Predict"], other.asked["Predict"]) == (6, 2)


def test_checkpoints_spread_and_only_those_of_a_lost_replica_move() -> None:
    trainers = [cast(Trainer, SimpleNamespace(address=f"trainer-{number}:50061")) for number in range(4)]
    homes = {digest: ranked(digest, trainers)[0].address for digest in map(str, range(400))}
    assert min(Counter(homes.values()).values()) > 60  # of 100 each
    lost = trainers[2].address
    left = [trainer for trainer in trainers if trainer.address != lost]
    for digest, home in homes.items():
        assert home in (lost, ranked(digest, left)[0].address)
        assert ranked(digest, trainers) == ranked(digest, reversed(trainers))


async def test_loaded_models_of_the_caller_alone(
    open_gateway: OpenGateway,
    database: Database,
    alice: Account,
    bob: Account,
    counters: StandInTrainer,
    boxes: StandInTrainer,
) -> None:
    gateway = await open_gateway(counters, boxes)
    mine, (checkpoint_id, _) = await add_job(database, alice)
    others, _ = await add_job(database, bob)
    boxed, _ = await add_job(database, alice, framework="boxes")
    for account, job_id in ((alice, mine), (bob, others), (alice, boxed)):
        await predict(gateway, account, job_id=job_id)
    request = inference_pb2.ListLoadedModelsRequest()
    answer = await gateway.inference.ListLoadedModels(request, metadata=alice.metadata)
    assert [(item.framework, item.job_id, item.trainer_address) for item in answer.models] == [
        ("boxes", boxed, boxes.address),
        ("counters", mine, counters.address),
    ]
    assert answer.models[1].checkpoint_id == checkpoint_id
    assert answer.models[1].memory_bytes == 4000
    assert not answer.problems
    answer = await gateway.inference.ListLoadedModels(request, metadata=bob.metadata)
    assert [item.job_id for item in answer.models] == [others]

    counters.fails["ListLoadedModels"] = RuntimeError("secret of the trainer")
    answer = await gateway.inference.ListLoadedModels(request, metadata=alice.metadata)
    assert [item.job_id for item in answer.models] == [boxed]
    (problem,) = answer.problems
    assert (problem.framework, problem.address) == ("counters", counters.address)
    assert "secret" not in problem.message

    await boxes.stop()
    answer = await gateway.inference.ListLoadedModels(request, metadata=alice.metadata)
    assert not answer.models
    assert {item.framework for item in answer.problems} == {"boxes", "counters"}
