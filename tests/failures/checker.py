"""What must hold of a job's log and of what is made from it, whatever died meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gateway.training.states import ENDED, TRANSITIONS
from tests.failures.mesh import Mesh
from trainer.runs.folder import RunFolder
from trainer.runs.spool import SpoolReader
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2, job_state_pb2

Payload = tuple[str, bytes]
# The gateway's own; every other event was told by a run.
GATEWAY_KINDS = ("state_change", "attempt_start", "attempt_end", "roll_back")


def check_job(mesh: Mesh, job_id: str) -> list[event_pb2.JobEvent]:
    """A job that has ended: its log is without a gap and legal, every run's tellings stand in it once and in order, and
    metrics and checkpoints are those told last. Returns the log."""
    events = list(mesh.client.watch_job(job_id))
    job = mesh.client.get_job(job_id)
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    assert all(event.job_id == job_id for event in events)
    assert states(events)[-1] == _name(job.state) and states(events)[-1] in ENDED
    _check_states(events)
    _check_attempts(events, job.attempt)
    for folder in mesh.run_folders(job_id):
        _check_run(folder, [event for event in events if event.run_id == folder.path.name])
    _check_metrics(mesh, job_id, events, job.current_epoch)
    _check_checkpoints(mesh, job_id, events, job.last_checkpoint_id)
    return events


def states(events: Sequence[event_pb2.JobEvent]) -> list[str]:
    """The states that a job went through, from PENDING."""
    changes = [event.state_change for event in events if event.HasField("state_change")]
    return [_name(changes[0].from_state), *(_name(change.to_state) for change in changes)]


def told_by_run(folder: RunFolder) -> dict[str, list[Payload]]:
    """What a run has in its spools to be published, by source; its end is published as a line of the log."""
    told: dict[str, list[Payload]] = defaultdict(list)
    for path in (folder.training_spool, folder.log_spool, folder.agent_spool):
        reader, offset = SpoolReader(path), 0
        while records := reader.read(offset):
            offset = records[-1].end_offset
            for record in records:
                if record.event.source_sequence:
                    told[_source(record.event.source)].append(_payload(record.event))
    return dict(told)


def told_by_gateway(events: Sequence[event_pb2.JobEvent]) -> dict[str, list[Payload]]:
    """What a log has of one run, by the source that told it."""
    told: dict[str, list[Payload]] = defaultdict(list)
    for event in events:
        kind = event.WhichOneof("payload") or ""
        if kind not in GATEWAY_KINDS:
            told[_source_of(event)].append(_payload(event))
    return dict(told)


def _check_states(events: Sequence[event_pb2.JobEvent]) -> None:
    now = "PENDING"
    for event in events:
        if event.HasField("state_change"):
            change = event.state_change
            assert _name(change.from_state) == now
            now = _name(change.to_state)
            assert now in TRANSITIONS[_name(change.from_state)]
            assert (now == "FAILED") == change.HasField("failure")


def _check_attempts(events: Sequence[event_pb2.JobEvent], attempts: int) -> None:
    assert [e.attempt_start.attempt for e in events if e.HasField("attempt_start")] == list(range(1, attempts + 1))
    # One that a trainer did not take has no end of its own: the job went back to the queue.
    ends = [e.attempt_end.attempt for e in events if e.HasField("attempt_end")]
    assert ends == sorted(set(ends)) and (not ends or ends[-1] == attempts)


def _check_run(folder: RunFolder, events: Sequence[event_pb2.JobEvent]) -> None:
    published, told = told_by_gateway(events), told_by_run(folder)
    if folder.ended_why() == "published":
        assert published == told, folder.path.name
        return
    # It was given up: what came until then stands there, and nothing else.
    for source, payloads in published.items():
        assert payloads == told[source][: len(payloads)], (folder.path.name, source)


def _check_metrics(mesh: Mesh, job_id: str, events: Sequence[event_pb2.JobEvent], epochs: int) -> None:
    last: dict[int, event_pb2.MetricPoint] = {}
    for event in events:
        if event.HasField("metric"):
            last[event.metric.epoch] = event.metric
        elif event.HasField("roll_back"):
            last = {epoch: point for epoch, point in last.items() if epoch <= event.roll_back.to_epoch}
    listed = list(mesh.client.metrics(job_id))
    assert [point.epoch for point in listed] == sorted(last) == list(range(1, epochs + 1))
    for point in listed:
        told = last[point.epoch]
        assert (point.loss, point.accuracy, point.step) == (told.loss, told.accuracy, told.step)


def _check_checkpoints(mesh: Mesh, job_id: str, events: Sequence[event_pb2.JobEvent], last_id: str) -> None:
    told = {event.checkpoint.id: event.checkpoint for event in events if event.HasField("checkpoint")}
    assert len(told) == sum(event.HasField("checkpoint") for event in events), "each is told once"
    listed = list(mesh.client.checkpoints(job_id))
    assert {checkpoint.id for checkpoint in listed} <= set(told)
    assert not listed or last_id in told
    store = mesh.store()
    for checkpoint in listed:
        for file in checkpoint.files:
            assert store.stat(checkpoint.storage_path + file.name).size_bytes == file.size_bytes


def _name(state: int) -> str:
    return job_state_pb2.JobState.Name(state).removeprefix("JOB_STATE_")


def _source(source: int) -> str:
    return run_pb2.EventSource.Name(source).removeprefix("EVENT_SOURCE_").lower()


def _source_of(event: event_pb2.JobEvent) -> str:
    if event.HasField("log"):
        return {"stdout": "log", "stderr": "log"}.get(event.log.source, event.log.source)
    return "agent" if event.WhichOneof("payload") in ("preparation", "checkpoint", "resource_use") else "training"


def _payload(event: run_pb2.RunEvent | event_pb2.JobEvent) -> Payload:
    kind = event.WhichOneof("payload") or ""
    if kind == "end":
        return "log", b"the end"
    if kind == "log" and event.log.source == "agent" and event.log.message.startswith("run "):
        return "log", b"the end"
    message = getattr(event, kind)
    if "sequence" in message.DESCRIPTOR.fields_by_name:
        # The gateway's number, which the run does not know.
        message = type(message).FromString(message.SerializeToString())
        message.ClearField("sequence")
    return kind, message.SerializeToString(deterministic=True)
