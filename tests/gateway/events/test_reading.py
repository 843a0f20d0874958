"""Lists of metrics, log lines and checkpoints."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.gateway.calls import refused
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from visionmesh.v1 import checkpoint_pb2, event_pb2


async def test_metrics_come_in_pages_by_epoch(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=100)
    job_id = script.run.job_id
    await agent.send(*(script.metric(epoch, epoch / 100) for epoch in range(1, 12)))
    seen: list[event_pb2.MetricPoint] = []
    token = ""
    while True:
        answer = await ada.metrics(job_id, page_size=4, page_token=token)
        seen += answer.metrics
        if not (token := answer.next_page_token):
            break
        await agent.send(script.metric(len(seen) + 20))  # more come in while the pages are read
    assert [point.epoch for point in seen][:11] == [*range(1, 12)]
    assert len({point.epoch for point in seen}) == len(seen)
    assert (await ada.metrics(job_id)).total_size == len(seen)
    first = seen[0]
    assert (first.step, first.loss, first.accuracy, first.sequence) == (4, 0.125, 0.01, 6)
    assert not first.HasField("learning_rate") and first.HasField("time")


@pytest.mark.parametrize(
    ("points", "most"), [(1, 5), (2, 2), (9, 2), (10, 3), (100, 7), (100, 99), (100, 100), (7, 99)]
)
async def test_thinning_keeps_the_first_and_the_last(mesh: Mesh, ada: JobClient, points: int, most: int) -> None:
    script, agent = await mesh.running(ada, epochs=100)
    await agent.send(*(script.metric(epoch) for epoch in range(1, points + 1)))
    answer = await ada.metrics(script.run.job_id, max_points=most)
    epochs = [point.epoch for point in answer.metrics]
    assert len(epochs) == min(points, most)
    assert (epochs[0], epochs[-1]) == (1, points)
    assert epochs == sorted(set(epochs))
    gaps = [after - before for before, after in pairwise(epochs)]
    assert not gaps or max(gaps) - min(gaps) <= 1  # evenly spread
    assert (answer.total_size, answer.next_page_token) == (points, "")


async def test_a_thinning_that_makes_no_sense_is_refused(ada: JobClient) -> None:
    job_id = (await ada.create()).id
    for fields in ({"max_points": 1}, {"max_points": -3}, {"max_points": 5, "page_size": 2}):
        error = await refused(ada.metrics(job_id, **fields))
        assert [violation.field for violation in error.violations] == ["max_points"]
    assert (await ada.metrics(job_id, max_points=5)).total_size == 0


async def test_log_lines_come_in_pages(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    for number in range(10):
        await agent.send(script.line(f"line {number}"), script.progress(1, number))
    seen: list[event_pb2.LogLine] = []
    token = ""
    while True:
        answer = await ada.logs(job_id, page_size=4, page_token=token)
        seen += answer.lines
        assert len(answer.lines) <= 4
        if not (token := answer.next_page_token):
            break
    assert [line.message for line in seen] == [f"line {number}" for number in range(10)]
    assert [line.sequence for line in seen] == [*range(6, 26, 2)]
    assert {line.source for line in seen} == {"stdout"}
    exact = await ada.logs(job_id, page_size=10)
    assert (len(exact.lines), exact.next_page_token) == (10, "")
    for read in (ada.logs, ada.metrics, ada.checkpoints):
        error = await refused(read(job_id, page_size=1001))
        assert [violation.field for violation in error.violations] == ["page_size"]
        error = await refused(read(job_id, page_token="nonsense"))
        assert [violation.field for violation in error.violations] == ["page_token"]


async def test_checkpoints_come_in_pages_by_epoch(mesh: Mesh, ada: JobClient) -> None:
    kept = checkpoint_pb2.CheckpointRetention(every_n_epochs=1)
    script, agent = await mesh.running(ada, epochs=9, checkpoint_retention=kept)
    sent = [script.checkpoint(epoch) for epoch in range(1, 6)]
    await agent.send(*sent)
    first = await ada.checkpoints(script.run.job_id, page_size=3)
    rest = await ada.checkpoints(script.run.job_id, page_size=3, page_token=first.next_page_token)
    assert (first.total_size, rest.next_page_token) == (5, "")
    listed = [*first.checkpoints, *rest.checkpoints]
    for found, event in zip(listed, sent, strict=True):
        told = event.checkpoint
        told.create_time.nanos -= told.create_time.nanos % 1000  # kept to the microsecond
        found.is_best = False
        assert found == told
