"""What a job leaves, on PostgreSQL and in an S3 server, also where two want the same at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import grpc
import pytest

from storage.database.engine import Database
from storage.database.migrate import migrate
from tests import postgresql_server, s3_server
from tests.gateway.calls import refused
from tests.gateway.checkpoints import listed, named, only_stored, published, weights
from tests.gateway.conftest import make_account
from tests.gateway.job_agent import Script
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh, add_dataset
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.stand_in import StandInTrainer
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.v1 import checkpoint_pb2

SIZE = 3_000_000


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, s3_server.S3Server]]:
    with (
        postgresql_server.running() as database,
        s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as store,
    ):
        url = database.new_database()
        migrate(url)
        yield url, store


@pytest.fixture
async def team(servers: tuple[str, s3_server.S3Server], trainer: StandInTrainer) -> AsyncIterator[Mesh]:
    url, s3 = servers
    database = Database(url)
    mesh = Mesh(database, url, s3.new_store(), trainer)
    await mesh.open(GatewayTimes(poll_seconds=10.0))  # `slots` tells at once
    yield mesh
    await mesh.close()
    await database.close()


@pytest.fixture
async def cleo(team: Mesh, tmp_path: Path) -> JobClient:
    account = await make_account(team.database, f"cleo of {tmp_path.name}")
    return team.client(account, await add_dataset(team.database, account))


async def test_checkpoints_are_kept_sent_and_deleted(team: Mesh, cleo: JobClient) -> None:
    retention = checkpoint_pb2.CheckpointRetention(every_n_epochs=3)
    script, agent = await team.running(cleo, epochs=9, checkpoint_retention=retention)
    job_id = script.run.job_id
    await agent.send(*(published(team, script, epoch, epoch / 10, size_bytes=SIZE) for epoch in range(1, 6)))
    assert await listed(cleo, job_id) == [3, 5]
    await only_stored(team, named(script, 3, 5))
    first, data = await cleo.download(job_id)
    assert (first.epoch, data) == (5, weights(5, SIZE))
    assert (await cleo.download(job_id, offset=SIZE - 7))[1] == data[-7:]
    team.store.put(f"{(await cleo.checkpoints(job_id)).checkpoints[0].storage_path}weights.safetensors", data)
    [third] = named(script, 3)
    assert (await refused(cleo.download(job_id, checkpoint_id=third))).reason == "STORAGE_CORRUPT"

    published(team, Script(script.run), 8)  # nobody tells of it
    await agent.send(script.end("FAILED", "TRAINING_ERROR"))
    assert await team.gateway.sweeper.sweep() == 1
    await only_stored(team, named(script, 3, 5))
    await cleo.delete(job_id)
    await only_stored(team)
    for call in (cleo.get(job_id), cleo.delete("job\0"), cleo.download("job\0")):
        assert (await refused(call)).reason == "JOB_NOT_FOUND"


async def slots(team: Mesh, free: int) -> None:
    """Let the trainer offer so many slots."""
    team.trainer.free_slots = free
    await team.gateway.fleet.trainers[0].refresh(10)


async def outcome(call: Awaitable[object]) -> VisionMeshError | None:
    """What a call was refused with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc(error)
    return None


async def test_a_start_and_what_would_take_its_weights_away_never_both_succeed(team: Mesh, cleo: JobClient) -> None:
    """Both sides lock the checkpoint before they look."""
    for number in range(12):
        await slots(team, 1)
        script, agent = await team.running(cleo, epochs=9)
        await slots(team, 0)
        source, [first] = script.run.job_id, named(script, 1)
        await agent.send(published(team, script, 1))
        taker = (await cleo.create()).id
        if number % 2:  # a better one is recorded at the same time
            sending = agent.send(published(team, script, 2, 0.9))
            started, _ = await asyncio.gather(outcome(cleo.start(taker, checkpoint_id=first)), sending)
            kept = (await cleo.checkpoints(source)).total_size == 2
            await agent.send(script.end())
        else:  # its job is deleted at the same time
            await agent.send(script.end())
            started, deleted = await asyncio.gather(
                outcome(cleo.start(taker, checkpoint_id=first)), outcome(cleo.delete(source))
            )
            kept = deleted is not None
            assert deleted is None or (deleted.reason, deleted.metadata["used_by"]) == ("JOB_IN_USE", taker)
        assert (started is None) == kept
        assert started is None or started.reason == "CHECKPOINT_NOT_FOUND"
        if started is None:
            await cleo.stop(taker)


async def test_a_job_that_ended_is_taken_from_by_many_at_once(team: Mesh, cleo: JobClient) -> None:
    """Their locks on one checkpoint do not wait for each other for ever."""
    script, agent = await team.running(cleo, epochs=9)
    await agent.send(published(team, script, 1), script.end())
    await slots(team, 0)
    [first] = named(script, 1)
    takers = [(await cleo.create()).id for _ in range(6)]
    await asyncio.gather(*(cleo.start(taker, checkpoint_id=first) for taker in takers))
    assert {await cleo.state(taker) for taker in takers} == {"QUEUED"}
    assert (await refused(cleo.delete(script.run.job_id))).metadata["used_by"] in takers
    for taker in takers:
        await cleo.stop(taker)
    await cleo.delete(script.run.job_id)
