"""Whoever watches a training, from whenever, sees the same: everything once, in order, to the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.end_to_end import digits
from tests.end_to_end.refusals import Code, Raw, refused
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2, event_pb2, job_state_pb2, training_pb2

METRIC = event_pb2.EVENT_KIND_METRIC
STATE_CHANGE = event_pb2.EVENT_KIND_STATE
EPOCHS = 5


def test_many_who_watch_at_once_see_the_same(client: Client, dataset: dataset_pb2.Dataset) -> None:
    job = client.create_job(digits.spec(dataset.id, epochs=EPOCHS))
    with ThreadPoolExecutor(8) as threads:
        # Some wait before there is anything to see, some from beyond the end of what there is.
        early = [threads.submit(lambda: list(client.watch_job(job.id))) for _ in range(2)]
        behind = threads.submit(lambda: list(client.watch_job(job.id, after_sequence=10)))
        narrow = threads.submit(lambda: list(client.watch_job(job.id, kinds=[STATE_CHANGE, METRIC])))
        metrics = threads.submit(lambda: list(client.watch_metrics(job.id)))
        logs = threads.submit(lambda: list(client.watch_logs(job.id)))
        client.start_job(job.id)
        next(client.watch_metrics(job.id))
        # And some come when it is under way.
        late = threads.submit(lambda: list(client.watch_job(job.id)))
        events, same = (future.result(120) for future in early)
        done = client.get_job(job.id)
        assert done.state == job_state_pb2.JOB_STATE_COMPLETED
        assert [event.sequence for event in events] == list(range(1, done.last_sequence + 1))
        assert all(event.job_id == job.id for event in events)
        assert events == same == late.result(120)
        assert behind.result(120) == events[10:]
        kinds = [event for event in events if event.HasField("state_change") or event.HasField("metric")]
        assert narrow.result(120) == kinds
        assert metrics.result(120) == [event.metric for event in events if event.HasField("metric")]
        assert metrics.result() == list(client.metrics(job.id))
        assert logs.result(120) == [event.log for event in events if event.HasField("log")]
        assert logs.result() == list(client.logs(job.id))
    # Who comes late sees the history; who reconnects sees no gap and no repeat.
    for after in (None, 0, 1, len(events) // 2, len(events) - 1, len(events)):
        assert list(client.watch_job(job.id, after_sequence=after)) == events[after or 0 :]
    assert [point.epoch for point in client.metrics(job.id, max_points=2)] == [1, EPOCHS]


@pytest.mark.parametrize("narrowed", ["metrics", "logs"])
def test_the_narrowed_watches_are_taken_up_from_a_sequence_too(
    client: Client, trained: training_pb2.TrainingJob, narrowed: str
) -> None:
    watch: Any = client.watch_metrics if narrowed == "metrics" else client.watch_logs
    everything = list(watch(trained.id))
    assert everything
    for place, item in enumerate(everything):
        assert list(watch(trained.id, after_sequence=item.sequence)) == everything[place + 1 :]
        assert list(watch(trained.id, after_sequence=item.sequence - 1)) == everything[place:]


def test_a_watch_of_what_has_ended_ends(client: Client, trained: training_pb2.TrainingJob) -> None:
    assert list(client.watch_job(trained.id))[-1].sequence == trained.last_sequence
    for after in (trained.last_sequence, trained.last_sequence + 1000):
        assert list(client.watch_job(trained.id, after_sequence=after)) == []
    assert list(client.watch_job(trained.id, kinds=[event_pb2.EVENT_KIND_PREPARATION], after_sequence=20)) == []


def test_a_watch_that_makes_no_sense_is_refused(client: Client, raw: Raw, trained: training_pb2.TrainingJob) -> None:
    refused(
        lambda: list(client.watch_job(trained.id, after_sequence=-1)),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "after_sequence",
    )
    request = training_pb2.WatchJobRequest(job_id=trained.id)
    request.kinds.append(99)  # type: ignore[arg-type]
    refused(
        lambda: list(raw.training.WatchJob(request, metadata=raw.metadata)),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "kinds",
    )


def test_metrics_are_thinned_and_paged(client: Client, raw: Raw, trained: training_pb2.TrainingJob) -> None:
    whole = list(client.metrics(trained.id))
    request = training_pb2.ListMetricsRequest(job_id=trained.id, page_size=1)
    paged: list[event_pb2.MetricPoint] = []
    while True:
        answer = raw.training.ListMetrics(request, metadata=raw.metadata)
        paged += answer.metrics
        assert (len(answer.metrics), answer.total_size) == (1, len(whole))
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert paged == whole
    assert list(client.metrics(trained.id, max_points=1000)) == whole
    request = training_pb2.ListMetricsRequest(job_id=trained.id, max_points=1, page_size=5)
    refused(
        lambda: raw.training.ListMetrics(request, metadata=raw.metadata),
        Code.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "max_points",
        "max_points",
    )
