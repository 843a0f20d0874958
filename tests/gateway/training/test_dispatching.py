"""From the queue to a trainer: free slots, trainers that refuse or are away, answers that get lost."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from rpc.channel import open_mesh_channel
from rpc.errors import DomainError
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.jobs import JobRepository
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import ABANDON, STOP, Script
from tests.gateway.job_client import JobClient, log_of, short, transitions
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from tests.gateway.stand_in import StandInTrainer, model
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.mesh.v1 import trainer_pb2, trainer_service_pb2_grpc


async def full(mesh: Mesh) -> None:
    """The trainer has no slot left, and the gateway knows."""
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)


async def queued(ada: JobClient, **fields: object) -> str:
    job = await ada.create(ada.spec(**fields))
    assert short((await ada.start(job.id)).state) == "QUEUED"
    return job.id


async def looked(mesh: Mesh) -> None:
    """Wait until the gateway has asked the trainer once more and thought about the answer."""
    asked = mesh.trainer.asked["Describe"]
    await until(lambda: mesh.trainer.asked["Describe"] >= asked + 2)


async def test_a_job_waits_for_a_free_slot(mesh: Mesh, ada: JobClient) -> None:
    await full(mesh)
    job_id = await queued(ada)
    await looked(mesh)
    assert await ada.state(job_id) == "QUEUED"
    assert not mesh.trainer.runs
    mesh.trainer.free_slots = 1
    await mesh.run_of(job_id)
    assert (await ada.get(job_id)).attempt == 1


async def test_priority_comes_first_then_who_waits_longest(mesh: Mesh, ada: JobClient) -> None:
    await full(mesh)
    waiting = [await queued(ada), await queued(ada, priority=-1), await queued(ada), await queued(ada, priority=5)]
    mesh.trainer.free_slots = 1
    await until(lambda: len(mesh.trainer.runs) == 4)
    first, low, second, high = waiting
    assert [run.job_id for run in mesh.trainer.runs.values()] == [high, first, second, low]


@pytest.mark.parametrize("reason", ["BUSY", "SHUTTING_DOWN", "FRAMEWORK_UNAVAILABLE"])
async def test_a_trainer_that_cannot_now_is_asked_again(mesh: Mesh, ada: JobClient, reason: str) -> None:
    mesh.trainer.fails["StartRun"] = DomainError(reason, "not now")
    job_id = await queued(ada)
    await until(lambda: mesh.trainer.asked["StartRun"] >= 2)
    del mesh.trainer.fails["StartRun"]
    await until(lambda: bool(mesh.trainer.runs))
    job = await ada.until_state(job_id, "PREPARING")
    [run] = mesh.trainer.runs.values()
    assert (run.run_id, run.attempt) == (job.current_run_id, job.attempt)
    script = Script(run)
    await mesh.deliver(run, script.start(), script.end())
    assert await ada.state(job_id) == "COMPLETED"
    changes = transitions(await log_of(mesh.database, job_id))
    assert changes[:3] == [("PENDING", "QUEUED"), ("QUEUED", "PREPARING"), ("PREPARING", "QUEUED")]


async def test_a_trainer_that_is_away_is_waited_for(mesh: Mesh, ada: JobClient) -> None:
    job = await ada.create()
    await mesh.trainer.stop()
    await until(lambda: not mesh.gateway.fleet.trainers[0].healthy)
    await ada.start(job.id)
    watched = mesh.gateway.fleet.trainers[0]
    for _ in range(3):
        await watched.refresh(1)
    assert (await ada.get(job.id)).attempt == 0 and await ada.state(job.id) == "QUEUED"
    await mesh.trainer.start()
    await mesh.run_of(job.id)


async def test_a_start_that_is_refused_for_good_fails_the_job(mesh: Mesh, ada: JobClient) -> None:
    mesh.trainer.fails["StartRun"] = DomainError("INVALID_REQUEST", "the run asks for the moon", metadata={"is": "far"})
    job_id = await queued(ada)
    job = await ada.until_state(job_id, "FAILED")
    assert job.failure.reason == "START_REFUSED"
    assert "the run asks for the moon" in job.failure.message
    assert dict(job.failure.metadata) == {"is": "far", "cause": "INVALID_REQUEST"}
    del mesh.trainer.fails["StartRun"]
    await ada.start(job_id)
    await mesh.run_of(job_id, attempt=2)


async def test_a_dataset_that_is_gone_fails_the_job(mesh: Mesh, ada: JobClient, database: Database) -> None:
    await full(mesh)
    jobs = [await queued(ada), await queued(ada)]
    await database.write(lambda session: DatasetRepository(session).delete(ada.dataset_id))
    mesh.trainer.free_slots = 2
    for job_id in jobs:
        job = await ada.until_state(job_id, "FAILED")
        assert (job.failure.reason, job.attempt, job.HasField("end_time")) == ("DATASET_NOT_FOUND", 0, True)
        assert transitions(await log_of(mesh.database, job_id)) == [("PENDING", "QUEUED"), ("QUEUED", "FAILED")]
    assert (await refused(ada.start(jobs[0]))).reason == "DATASET_NOT_FOUND"
    assert await ada.state(jobs[0]) == "FAILED"
    assert not mesh.trainer.runs


async def test_a_framework_that_is_gone_fails_its_jobs(mesh: Mesh, ada: JobClient, alice: Account) -> None:
    await full(mesh)
    jobs = [await queued(ada) for _ in range(5)]
    beads = StandInTrainer("beads", [model("bead")])
    await beads.start()
    await mesh.gateway.kill()
    # Looking again takes it as long as the test may last: all must fail in one look.
    await mesh.open(GatewayTimes(recheck_seconds=600, poll_seconds=600), beads)
    ada = mesh.client(alice, ada.dataset_id)
    for job_id in jobs:
        assert (await ada.until_state(job_id, "FAILED")).failure.reason == "FRAMEWORK_NOT_FOUND"
    await beads.stop()


async def test_a_start_whose_answer_was_lost_counts_once(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    mesh, trainer = closed_mesh, closed_mesh.trainer
    await mesh.open(GatewayTimes(timeout_seconds=0.5))
    ada = mesh.client(alice, pets)
    trainer.answers_starts.clear()
    lost = await mesh.preparing(ada)
    await full(mesh)
    job = await ada.until_state(lost.job_id, "QUEUED")  # the gateway had to believe that nothing was started
    trainer.answers_starts.set()
    trainer.free_slots = 1
    second = await mesh.run_of(job.id, attempt=2)
    orphan = mesh.connect(lost)
    await orphan.say_hello()
    assert await orphan.told() == ABANDON
    await mesh.deliver(second, Script(second).start())
    assert await ada.state(job.id) == "RUNNING"
    assert len(trainer.runs) == 2 and (await ada.get(job.id)).attempt == 2


async def test_a_start_whose_answer_was_lost_goes_on_where_the_run_trains_already(
    closed_mesh: Mesh, alice: Account, pets: str
) -> None:
    mesh = closed_mesh
    await mesh.open(GatewayTimes(timeout_seconds=3.0))
    ada = mesh.client(alice, pets)
    mesh.trainer.answers_starts.clear()
    run = await mesh.preparing(ada)
    script, agent = Script(run), await mesh.agent(run)
    await agent.send(script.start())
    # The next start begins when the answer to this one is no longer waited for.
    await mesh.preparing(ada)
    assert await ada.state(run.job_id) == "RUNNING"
    await agent.send(script.metric(1), script.end())
    assert agent.commands == []
    job = await ada.get(run.job_id)
    assert (short(job.state), job.attempt) == ("COMPLETED", 1)


async def test_a_gateway_that_dies_while_it_starts_a_run_starts_the_same_run(mesh: Mesh, ada: JobClient) -> None:
    mesh.trainer.answers_starts.clear()
    run = await mesh.preparing(ada)
    await mesh.reopen()
    await until(lambda: mesh.trainer.asked["StartRun"] == 2)
    mesh.trainer.answers_starts.set()
    assert list(mesh.trainer.runs) == [run.run_id]
    await mesh.deliver(run, Script(run).start())
    jobs = await mesh.database.read(lambda session: JobRepository(session).in_states(["RUNNING"]))
    assert [(job.current_run_id, job.attempt) for job in jobs] == [(run.run_id, 1)]


async def test_a_start_brings_a_token_and_a_repeated_one_another_that_is_as_good(
    mesh: Mesh, ada: JobClient, alice: Account
) -> None:
    mesh.trainer.answers_starts.clear()
    run = await mesh.preparing(ada)
    await mesh.gateway.kill()
    mesh.trainer.answers_starts.set()
    await mesh.open()
    other = await mesh.preparing(mesh.client(alice, ada.dataset_id))
    tokens = mesh.trainer.tokens[run.run_id]
    await until(lambda: len(tokens) == 2)
    assert len({*tokens, mesh.token_of(other)}) == 3 and all(len(token) > 40 for token in tokens)
    # The trainer may have taken the one or the other.
    for token in tokens:
        assert await mesh.connect(run, token=token).hello() == {}
        stranger = mesh.connect(other, token=token)
        await stranger.say_hello()
        assert from_rpc(await stranger.refusal()).reason == "RUN_NOT_ALLOWED"


async def test_the_token_of_a_run_opens_no_trainer(mesh: Mesh, ada: JobClient) -> None:
    run = await mesh.preparing(ada)
    async with open_mesh_channel(mesh.trainer.address, mesh.token_of(run)) as channel:
        stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.StopRun(trainer_pb2.StopRunRequest(run_id=run.run_id, kill=True))
    assert from_rpc(caught.value).reason == "TOKEN_INVALID"
    assert not mesh.trainer.stopped


async def test_a_gateway_that_died_before_it_dispatched_dispatches(mesh: Mesh, ada: JobClient) -> None:
    await full(mesh)
    job_id = await queued(ada)
    await mesh.gateway.kill()
    mesh.trainer.free_slots = 1
    await mesh.open()
    assert (await mesh.run_of(job_id)).attempt == 1


async def test_a_stop_while_the_run_is_being_started(mesh: Mesh, ada: JobClient) -> None:
    mesh.trainer.answers_starts.clear()
    run = await mesh.preparing(ada)
    assert short((await ada.stop(run.job_id)).state) == "STOPPING"
    mesh.trainer.answers_starts.set()
    agent = mesh.connect(run)
    await agent.say_hello()
    assert await agent.told() == STOP
    await agent.send(Script(run).end("STOPPED"))
    assert await ada.state(run.job_id) == "STOPPED"


async def test_a_stop_of_a_run_that_was_never_started(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    await closed_mesh.open(GatewayTimes(timeout_seconds=1.0))
    ada = closed_mesh.client(alice, pets)
    closed_mesh.trainer.answers_starts.clear()
    run = await closed_mesh.preparing(ada)
    await full(closed_mesh)
    await ada.stop(run.job_id)
    job = await ada.until_state(run.job_id, "STOPPED")  # its start was given up: nothing is left to wait for
    assert job.HasField("end_time")
    assert len(closed_mesh.trainer.runs) == 1


async def test_two_jobs_that_start_at_once_get_runs_of_their_own(mesh: Mesh, ada: JobClient) -> None:
    jobs = [await ada.create() for _ in range(2)]
    await asyncio.gather(*(ada.start(job.id) for job in jobs))
    runs = [await mesh.run_of(job.id) for job in jobs]
    assert len({run.run_id for run in runs}) == len(mesh.trainer.runs) == 2
