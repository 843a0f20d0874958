"""Lists of jobs, and what others may see of a job: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from storage.database.engine import Database
from storage.database.jobs import JobRepository
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from tests.gateway.stand_in import StandInTrainer, model
from visionmesh.v1 import job_state_pb2, training_pb2

OLDEST_FIRST = training_pb2.JOB_ORDER_OLDEST_FIRST


async def names(client: JobClient, **filters: object) -> list[str]:
    """The names that a list holds, oldest first."""
    answer = await client.jobs(order=OLDEST_FIRST, **filters)
    assert answer.total_size == len(answer.jobs)
    return [job.experiment_name for job in answer.jobs]


@pytest.fixture
async def other_framework(closed_mesh: Mesh) -> AsyncIterator[StandInTrainer]:
    trainer = StandInTrainer("beads", [model("bead")])
    await trainer.start()
    yield trainer
    await trainer.stop()


async def test_filters_narrow_a_list(
    closed_mesh: Mesh, other_framework: StandInTrainer, alice: Account, bob: Account, pets: str
) -> None:
    await closed_mesh.open(None, closed_mesh.trainer, other_framework)
    ada, ben = closed_mesh.client(alice, pets), closed_mesh.client(bob, pets)
    first = await ada.create(ada.spec(experiment_name="first", project_id="cats", tags=["red", "big"]))
    await ada.create(ada.spec(experiment_name="second", project_id="cats", tags=["red"], notes="100% Größe"))
    await ada.create(ada.spec(experiment_name="third", framework="beads", model_name="bead", tags=["red-ish"]))
    await ada.stop(first.id)

    assert await names(ada) == ["first", "second", "third"]
    assert await names(ada, project_id="cats") == ["first", "second"]
    assert await names(ada, project_id="default") == ["third"]
    assert await names(ada, state=job_state_pb2.JOB_STATE_STOPPED) == ["first"]
    assert await names(ada, framework="beads") == ["third"]
    assert await names(ada, tags=["red"]) == ["first", "second"]
    assert await names(ada, tags=["big", "red"]) == ["first"]
    assert await names(ada, text="grösse") == []
    assert await names(ada, text="GRÖSSE") == await names(ada, text="größe".upper())
    assert await names(ada, text="0% g") == ["second"]  # a percent sign is no wildcard
    assert await names(ada, text="COUNT_A") == ["first", "second"]
    assert await names(ada, project_id="cats", tags=["big"], state=job_state_pb2.JOB_STATE_PENDING) == []
    assert await names(ben) == []


async def test_order_is_by_creation(ada: JobClient) -> None:
    made = [(await ada.create()).id for _ in range(4)]
    assert [job.id for job in (await ada.jobs()).jobs] == made[::-1]
    assert [job.id for job in (await ada.jobs(order=training_pb2.JOB_ORDER_NEWEST_FIRST)).jobs] == made[::-1]
    assert [job.id for job in (await ada.jobs(order=OLDEST_FIRST)).jobs] == made


@pytest.mark.parametrize("order", [training_pb2.JOB_ORDER_NEWEST_FIRST, OLDEST_FIRST])
async def test_pages_do_not_shift_while_jobs_are_made(ada: JobClient, order: training_pb2.JobOrder) -> None:
    before = [(await ada.create()).id for _ in range(7)]
    seen: list[str] = []
    token = ""
    while True:
        answer = await ada.jobs(page_size=3, page_token=token, order=order)
        seen += [job.id for job in answer.jobs]
        token = answer.next_page_token
        if not token or len(seen) > 20:
            break
        before_count = answer.total_size
        made = (await ada.create()).id
        assert (await ada.jobs(page_size=1)).total_size == before_count + 1
        if order == OLDEST_FIRST:
            before.append(made)  # it comes after all the others, so its page is still to come
        if len(before) > 9:
            break
    assert len(set(seen)) == len(seen)
    expected = before if order == OLDEST_FIRST else before[::-1]
    assert seen == expected[: len(seen)] and len(seen) >= 7


async def test_a_bad_page_is_refused(ada: JobClient) -> None:
    for _ in range(3):
        await ada.create()
    token = (await ada.jobs(page_size=2)).next_page_token
    assert len((await ada.jobs(page_size=2, page_token=token)).jobs) == 1

    async def fields(**request: object) -> list[str]:
        error = await refused(ada.jobs(**request))
        assert (error.reason, error.code) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
        return [violation.field for violation in error.violations]

    assert await fields(page_token="nonsense") == ["page_token"]
    assert await fields(page_token=token[:-2]) == ["page_token"]
    assert await fields(page_token=token, project_id="cats") == ["page_token"]
    assert await fields(page_token=token, order=OLDEST_FIRST) == ["page_token"]
    assert await fields(page_size=-1, state=99, order=99) == ["page_size", "state", "order"]
    assert await fields(page_size=1001) == ["page_size"]


async def test_a_token_of_one_job_is_no_token_of_another(mesh: Mesh, ada: JobClient) -> None:
    tokens = []
    for _ in range(2):
        script, agent = await mesh.running(ada)
        await agent.send(
            *(script.metric(epoch) for epoch in (1, 2)),
            *(script.line(f"line {number}") for number in (1, 2)),
            *(script.checkpoint(epoch) for epoch in (1, 2)),
        )
        job_id = script.run.job_id
        lists = (ada.metrics, ada.logs, ada.checkpoints)
        tokens.append((job_id, [(await read(job_id, page_size=1)).next_page_token for read in lists]))
    (first, _), (_, of_second) = tokens
    for read, token in zip((ada.metrics, ada.logs, ada.checkpoints), of_second, strict=True):
        error = await refused(read(first, page_token=token))
        assert [violation.field for violation in error.violations] == ["page_token"]


async def test_a_job_of_someone_else_is_not_found(mesh: Mesh, ada: JobClient, ben: JobClient) -> None:
    script, _ = await mesh.running(ada)
    job_id = script.run.job_id

    async def read(call: object) -> None:
        async for _ in call:  # type: ignore[attr-defined]
            raise AssertionError("something was told")

    def narrowed(method: Callable[..., object], request: object) -> Awaitable[None]:
        return read(method(request, metadata=ben.metadata, timeout=10))

    calls: list[Callable[[str], Awaitable[object]]] = [
        ben.get,
        ben.start,
        ben.stop,
        ben.metrics,
        ben.logs,
        ben.checkpoints,
        ben.update,
        ben.delete,
        ben.download,
        lambda job_id: read(ben.watch(job_id)),
        lambda job_id: narrowed(ben.stub.WatchMetrics, training_pb2.WatchMetricsRequest(job_id=job_id)),
        lambda job_id: narrowed(ben.stub.WatchLogs, training_pb2.WatchLogsRequest(job_id=job_id)),
    ]
    for call in calls:
        error = await refused(call(job_id))
        assert (error.reason, error.code) == ("JOB_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
        unknown = await refused(call("job_none"))
        assert (unknown.reason, unknown.code) == (error.reason, error.code)
        assert unknown.message.replace("job_none", job_id) == error.message  # nothing tells the two apart
    assert (await ben.jobs()).total_size == 0
    assert await ada.state(job_id) == "RUNNING"


async def test_no_token_no_jobs(mesh: Mesh, ada: JobClient, database: Database) -> None:
    request = training_pb2.CreateJobRequest(job=ada.spec())
    assert (await refused(ada.stub.CreateJob(request))).reason == "TOKEN_MISSING"
    wrong = (("authorization", "Bearer vm_nobody"),)
    assert (await refused(ada.stub.CreateJob(request, metadata=wrong))).reason == "TOKEN_INVALID"
    watch = ada.stub.WatchJob(training_pb2.WatchJobRequest(job_id="job_1"), metadata=wrong)
    assert (await refused(watch.read())).reason == "TOKEN_INVALID"
    everything = ["PENDING", "QUEUED", "PREPARING", "RUNNING"]
    assert not await database.read(lambda session: JobRepository(session).in_states(everything))
