"""The spool: what a writer that dies leaves, and what readers make of it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.runs.agent_settings import AgentSettings
from trainer.runs.folder import RunFolder
from trainer.runs.pending import PendingEvents
from trainer.runs.reporter import SpoolReporter
from trainer.runs.spool import SpoolReader, SpoolWriter
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

REPOSITORY = Path(__file__).parents[2]
LOG, AGENT, TRAINING = run_pb2.EVENT_SOURCE_LOG, run_pb2.EVENT_SOURCE_AGENT, run_pb2.EVENT_SOURCE_TRAINING


def _line(message: str) -> run_pb2.RunEvent:
    # A time of its own keeps the bytes the same from run to run.
    return run_pb2.RunEvent(time=Timestamp(seconds=1), log=event_pb2.LogLine(message=message))


def _messages(path: Path) -> list[str]:
    reader, offset, messages = SpoolReader(path), 0, []
    while records := reader.read(offset, max_records=2):
        offset = records[-1].end_offset
        messages += [record.event.log.message for record in records]
    return messages


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    agent_settings = AgentSettings(
        adapter_path="",
        object_store="",
        mesh_target="",
        dataset_cache=tmp_path,
        dataset_cache_bytes=1,
        checkpoint_cache=tmp_path,
        checkpoint_cache_bytes=1,
        threads=1,
    )
    yield RunFolder.create(tmp_path / "run", run_pb2.RunSpec(run_id="run"), agent_settings)


def test_numbers_and_offsets_go_on_when_a_spool_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    assert SpoolReader(path).read(0) == []
    with SpoolWriter(path, LOG) as writer:
        assert [writer.append(_line(text)).source_sequence for text in ("a", "b")] == [1, 2]
        assert writer.append(_line("inside"), numbered=False).source_sequence == 0
    with SpoolWriter(path, LOG) as writer:
        assert writer.last_sequence == 2
        assert writer.append(_line("c")).source_sequence == 3
    assert _messages(path) == ["a", "b", "inside", "c"]
    first = SpoolReader(path).read(0, max_records=1)[0]
    assert [record.event.log.message for record in SpoolReader(path).read(first.end_offset)] == ["b", "inside", "c"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_or_damaged_tail_is_neither_read_nor_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "spool"
    with SpoolWriter(path, LOG) as writer:
        writer.append(_line("whole"))
        whole = path.stat().st_size
        writer.append(_line("torn"))
    torn = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut off"):
        torn = torn[: data.draw(st.integers(whole, len(torn) - 1))]
    else:
        torn[data.draw(st.integers(whole, len(torn) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(torn)

    assert _messages(path) == ["whole"]
    assert SpoolReader(path).tail_bytes(whole) == len(torn) - whole
    with SpoolWriter(path, LOG) as writer:
        assert writer.append(_line("next")).source_sequence == 2
    assert _messages(path) == ["whole", "next"]


def test_zeros_after_a_power_cut_are_no_events(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with SpoolWriter(path, LOG) as writer:
        writer.append(_line("a"))
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert _messages(path) == ["a"]


def test_a_writer_that_is_killed_loses_no_event_that_it_appended(tmp_path: Path) -> None:
    path, told = tmp_path / "spool", tmp_path / "told"
    script = (
        "import os, sys; from pathlib import Path; from tests.trainer.test_spool import _line, LOG\n"
        "from trainer.runs.spool import SpoolWriter\n"
        f"writer = SpoolWriter(Path({str(path)!r}), LOG); told = os.open({str(told)!r}, os.O_WRONLY | os.O_CREAT)\n"
        "while True: writer.append(_line('x' * 5000), durable=False); os.write(told, b'.')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 20
        while not told.exists() or told.stat().st_size < 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(_messages(path)) >= told.stat().st_size
    writer = SpoolWriter(path, LOG)
    assert writer.last_sequence == len(_messages(path))
    assert SpoolReader(path).tail_bytes(os.path.getsize(path)) == 0


def test_pending_events_merge_by_time_and_stay_until_acknowledged(folder: RunFolder) -> None:
    logs, agent = SpoolWriter(folder.log_spool, LOG), SpoolWriter(folder.agent_spool, AGENT)
    for second, (writer, text) in enumerate([(agent, "a1"), (logs, "l1"), (agent, "a2"), (logs, "l2")], start=1):
        event = _line(text)
        event.time.seconds = second
        writer.append(event)
    pending = PendingEvents(folder)
    assert [event.log.message for event in pending.next_batch()] == ["a1", "l1", "a2", "l2"]
    assert pending.in_flight and not pending.settled()
    pending.acknowledge({int(AGENT): 1, int(LOG): 2})
    assert pending.in_flight

    # A new connection: the gateway tells what is durable, and only the rest goes again.
    pending.rewind({int(AGENT): 1, int(LOG): 2})
    assert [event.log.message for event in pending.next_batch()] == ["a2"]
    pending.acknowledge({int(AGENT): 2})
    assert pending.settled()

    # A gateway that was set back to a backup gets again what it lost.
    pending.rewind({int(LOG): 1})
    assert [event.log.message for event in pending.next_batch()] == ["a1", "a2", "l2"]


def test_of_a_refused_source_only_the_end_goes_out_under_the_number_that_is_free(folder: RunFolder) -> None:
    agent, logs = SpoolWriter(folder.agent_spool, AGENT), SpoolWriter(folder.log_spool, LOG)
    for text in ("a1", "a2", "a3", "a4"):
        agent.append(_line(text))
    logs.append(_line("l1"))
    pending = PendingEvents(folder)
    assert len(pending.next_batch()) == 5
    assert pending.refuse(AGENT, 3) and not pending.refuse(AGENT, 3) and not pending.refuse(77, 1)
    pending.rewind({int(AGENT): 1, int(LOG): 1})
    assert [event.log.message for event in pending.next_batch()] == ["a2"]
    pending.acknowledge({int(AGENT): 2})
    assert pending.settled()
    agent.append(run_pb2.RunEvent(end=run_pb2.RunEnd()))
    assert not pending.settled()
    [end] = pending.next_batch()
    assert end.HasField("end") and end.source_sequence == 3
    # The connection breaks before the acknowledgement is read, and after it.
    pending.rewind({int(AGENT): 2, int(LOG): 1})
    assert [event.source_sequence for event in pending.next_batch()] == [3]
    pending.rewind({int(AGENT): 3, int(LOG): 1})
    assert pending.settled() and not pending.next_batch()


def test_batches_are_bounded_in_number_and_bytes(folder: RunFolder) -> None:
    with SpoolWriter(folder.log_spool, LOG) as logs:
        for _ in range(700):
            logs.append(_line("small"), durable=False)
        for _ in range(3):
            logs.append(_line("x" * 600_000), durable=False)
    pending, sizes = PendingEvents(folder), []
    while batch := pending.next_batch():
        sizes.append(len(batch))
        pending.acknowledge({int(LOG): batch[-1].source_sequence})
    assert sizes == [500, 201, 1, 1]
    assert pending.settled()


def test_the_reporter_tells_what_an_adapter_reports(folder: RunFolder) -> None:
    reporter = SpoolReporter(folder, ["cat", "dog"])
    reporter.began(3, 1, 100, "cpu")
    for step in range(1, 101):
        reporter.progress(1, step, 100, 0.5, 12.5)
    reporter.metrics(1, 100, 0.25, None, 0.1, {"val_loss": 0.5, "nan": math.nan})
    scores = {"precision": 0.5, "recall": 1.0, "f1": 0.75, "support": 4}
    wolf = {"label": "wolf", "ap50": 0.5, "ap50_95": 0.25, **scores}
    summary = {"per_class": [scores, wolf], "confusion_matrix": [[1, 2], [3, 4]]}
    reporter.validation(1, summary)
    checkpoint = folder.path / "checkpoints" / "one"
    reporter.checkpoint(1, checkpoint, True, {"accuracy": 0.5})
    reporter.log("warning", "two\nlines")
    with pytest.raises(ValueError):
        reporter.checkpoint(1, folder.path.parent / "elsewhere", True, {})

    events = [record.event for record in SpoolReader(folder.training_spool).read(0)]
    kinds = [event.WhichOneof("payload") for event in events]
    # Of a hundred quick batches only the first and the last are told.
    assert kinds == [
        "training_start",
        "progress",
        "progress",
        "metric",
        "validation",
        "local_checkpoint",
        "log",
        "log",
    ]
    # What stays in the folder has no number, and leaves no gap.
    assert [event.source_sequence for event in events] == [1, 2, 3, 4, 5, 0, 6, 7]
    assert {event.source for event in events} == {TRAINING}
    metric, validation, local = events[3].metric, events[4].validation, events[5].local_checkpoint
    assert metric.loss == 0.25 and not metric.HasField("accuracy") and dict(metric.extra_metrics) == {"val_loss": 0.5}
    assert [item.label for item in validation.classes] == ["cat", "wolf"]
    assert [(item.HasField("ap50"), item.ap50, item.ap50_95) for item in validation.classes] == [
        (False, 0.0, 0.0),
        (True, 0.5, 0.25),
    ]
    assert [list(row.counts) for row in validation.confusion_matrix] == [[1, 2], [3, 4]]
    assert (local.folder, local.is_best) == ("checkpoints/one", True)
    assert [event.log.message for event in events[6:]] == ["two", "lines"]

    assert not reporter.should_stop()
    folder.request_stop()
    assert reporter.should_stop()
