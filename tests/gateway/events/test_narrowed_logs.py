"""Log lines from a level on, and what a training takes of its machine."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

import gateway.training.reports
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from visionmesh.errors import from_rpc
from visionmesh.v1 import event_pb2, training_pb2

INFO, WARNING, ERROR = event_pb2.LOG_LEVEL_INFO, event_pb2.LOG_LEVEL_WARNING, event_pb2.LOG_LEVEL_ERROR


async def listed(ada: JobClient, job_id: str, **fields: Any) -> tuple[list[str], int]:
    """The lines of all pages, and how many pages there were."""
    lines: list[str] = []
    token, pages = "", 0
    while token or not pages:
        answer = await ada.logs(job_id, page_token=token, **fields)
        lines += [line.message for line in answer.lines]
        token, pages = answer.next_page_token, pages + 1
    return lines, pages


async def test_log_lines_are_listed_from_a_level_on(
    mesh: Mesh, ada: JobClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    levels = [INFO, WARNING, INFO, ERROR, *[INFO] * 20, WARNING, WARNING, INFO]
    await agent.send(*(script.line(f"{number}", level) for number, level in enumerate(levels)))
    grave = ["1", "3", "24", "25"]
    assert await listed(ada, job_id, minimum_level=WARNING) == (grave, 1)
    assert await listed(ada, job_id, minimum_level=ERROR) == (["3"], 1)
    assert (await listed(ada, job_id, minimum_level=INFO))[0] == [str(number) for number in range(len(levels))]
    assert (await listed(ada, job_id, minimum_level=WARNING, page_size=1))[0] == grave
    # A page is what a bounded look finds: none for a while, and yet nothing is missed.
    monkeypatch.setattr(gateway.training.reports, "FILTERED_LINES", 6)
    found, pages = await listed(ada, job_id, minimum_level=WARNING, page_size=3)
    assert found == grave and pages == 5
    token = (await ada.logs(job_id, minimum_level=WARNING, page_size=1)).next_page_token
    for fields, field in (
        ({"minimum_level": ERROR, "page_token": token}, "page_token"),
        ({"minimum_level": 7}, "minimum_level"),
    ):
        error = await refused(ada.logs(job_id, **fields))
        assert [violation.field for violation in error.violations] == [field]
    error = await refused(ada.logs(job_id, minimum_level=-1, page_size=1001))
    assert [violation.field for violation in error.violations] == ["page_size", "minimum_level"]


async def test_log_lines_are_watched_from_a_level_on(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    mesh = closed_mesh
    await mesh.open(GatewayTimes(heartbeat_seconds=0.3))
    ada = mesh.client(alice, pets)
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id

    def watch(**fields: Any) -> Any:
        request = training_pb2.WatchLogsRequest(job_id=job_id, **fields)
        return ada.stub.WatchLogs(request, metadata=ada.metadata, timeout=30)

    await agent.send(script.line("one"), script.line("two", WARNING), script.line("three"))
    watching = watch(minimum_level=WARNING)
    first = await watching.read()
    assert isinstance(first, training_pb2.WatchLogsResponse) and first.log.message == "two"

    over = asyncio.Event()

    async def chatter() -> None:
        while not over.is_set():
            await agent.send(script.line("nothing"))
            await asyncio.sleep(0.05)

    # While only lines are written that are not asked for, the watch shows that it lives.
    chattering = asyncio.create_task(chatter())
    answer = await watching.read()
    over.set()
    await chattering
    assert isinstance(answer, training_pb2.WatchLogsResponse)
    assert answer.heartbeat.last_sequence > first.log.sequence
    await agent.send(script.line("at last", ERROR), script.end())
    left = []
    while isinstance(answer := await watching.read(), training_pb2.WatchLogsResponse):
        left += [answer.log.message] if answer.HasField("log") else []
    assert left == ["at last"]
    late = [answer.log.message async for answer in watch(minimum_level=ERROR) if answer.HasField("log")]
    assert late == ["at last"]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watch(minimum_level=9).read()
    assert [violation.field for violation in from_rpc(raised.value).violations] == ["minimum_level"]


async def test_what_a_training_takes_is_watched(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    gpu = event_pb2.GpuUse(index=1, name="a GPU", memory_used_bytes=5 << 30, temperature_celsius=61.0)
    sent = script.resources(cpu_percent=250.0, cpu_count=8, memory_bytes=3 << 30, process_count=4, gpus=[gpu])
    await agent.send(script.progress(1, 1), sent, script.resources(), script.end())
    events = await ada.events(script.run.job_id, kinds=[event_pb2.EVENT_KIND_RESOURCES])
    assert [event.resource_use for event in events] == [sent.resource_use, event_pb2.ResourceUse()]
    assert events[0].HasField("resource_use") and events[0].time == sent.time
    assert not events[1].resource_use.HasField("cpu_percent")
