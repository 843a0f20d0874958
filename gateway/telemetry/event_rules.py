"""What the events of a run must be before anything of them is kept.

An agent is let in by its token; what it says is looked at all the same. One event that breaks a rule refuses its batch.
The loss and other metrics may be NaN or infinite: a training that diverges says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.telemetry.checkpoint_rules import checkpoint_objections
from rpc.errors import DomainError, invalid_request
from visionmesh.errors import Violation
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

# Twice what agents send.
MAX_BATCH_EVENTS = 1000
# Agents cut lines at a small part of it.
MAX_TEXT_BYTES = 256 << 10
MAX_NAME_BYTES = 200
MAX_METRICS = 1000
MAX_GPUS = 256
LOWEST_CELSIUS = -273
MAX_END_BYTES = 128 << 10
# What a Timestamp may hold: 0001-01-01 to 9999-12-31. Which time it is, is the training machine's own affair.
TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)

SOURCES: Mapping[run_pb2.EventSource, str] = {
    run_pb2.EVENT_SOURCE_TRAINING: "training",
    run_pb2.EVENT_SOURCE_LOG: "log",
    run_pb2.EVENT_SOURCE_AGENT: "agent",
}
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

Objections: TypeAlias = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run since it began, and its events are held against."""

    run_id: str
    job_id: str
    project_id: str
    epochs: int


def check_batch(run: RunFacts, events: Sequence[run_pb2.RunEvent]) -> None:
    """Raises EVENT_REFUSED, naming the first event that breaks a rule, with every rule that it breaks;
    INVALID_REQUEST for a batch of too many events."""
    if len(events) > MAX_BATCH_EVENTS:
        raise invalid_request(
            [Violation("batch.events", f"are {len(events)}; a batch holds {MAX_BATCH_EVENTS} at most")]
        )
    ended = False
    for index, event in enumerate(events):
        found = [("", "comes behind the end of its run")] if ended else [*_objections(run, event)]
        if found:
            where = f"batch.events[{index}]"
            violations = [Violation(f"{where}.{field}" if field else where, why) for field, why in found]
            raise event_refused(event, violations)
        ended = event.HasField("end")


def event_refused(event: run_pb2.RunEvent, violations: Sequence[Violation]) -> DomainError:
    """EVENT_REFUSED for one event; agents go by the metadata."""
    said = "; ".join(f"{violation.field} {violation.description}" for violation in violations[:5])
    return DomainError(
        "EVENT_REFUSED",
        f"An event of the run was refused, and its batch with it: {said}.",
        metadata={"source": SOURCES.get(event.source, ""), "source_sequence": str(event.source_sequence)},
        violations=violations,
    )


def _objections(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    payload = event.WhichOneof("payload") or ""
    if event.source not in SOURCES:
        yield "source", "is not a source of a run"
    if event.source_sequence < 1:
        yield "source_sequence", "must be at least 1"
    rule = _RULES.get(payload)
    if rule is None:
        yield "payload", "is missing, unknown to this gateway or not for publication"
        return
    tellers, look = rule
    if event.source in SOURCES and event.source not in tellers:
        names = " or ".join(SOURCES[teller] for teller in tellers)
        yield "source", f"is {SOURCES[event.source]}; {payload} comes from {names}"
    for name, stamp in _times(event, payload):
        if stamp.seconds not in TIMESTAMP_SECONDS or not 0 <= stamp.nanos < 1_000_000_000:
            yield name, "is not a time of the years 1 to 9999"
    yield from look(run, event)


def _times(event: run_pb2.RunEvent, payload: str) -> Iterator[tuple[str, Timestamp]]:
    yield "time", event.time
    if payload == "metric":
        yield "metric.time", event.metric.time
    elif payload == "log":
        yield "log.time", event.log.time
    elif payload == "checkpoint":
        yield "checkpoint.create_time", event.checkpoint.create_time


def _preparation(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.preparation
    yield from _text("preparation.message", told.message)
    yield from _not_negative("preparation", done=told.done, total=told.total)


def _training_start(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.training_start
    yield from _text("training_start.device", told.device, MAX_NAME_BYTES)
    if not 0 <= told.total_epochs <= run.epochs:
        yield "training_start.total_epochs", f"is {told.total_epochs}; the job has {run.epochs}"
    # One beyond the last: there is nothing left to train.
    if not 1 <= told.start_epoch <= run.epochs + 1:
        yield "training_start.start_epoch", f"is {told.start_epoch}; the job has epochs 1 to {run.epochs}"
    yield from _not_negative("training_start", steps_per_epoch=told.steps_per_epoch)


def _progress(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.progress
    yield from _epoch(run, "progress.epoch", told.epoch)
    yield from _not_negative("progress", step=told.step, steps=told.steps)
    if not (math.isfinite(told.images_per_second) and told.images_per_second >= 0):
        yield "progress.images_per_second", f"is {told.images_per_second}; a rate is finite and not negative"


def _metric(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.metric
    yield from _epoch(run, "metric.epoch", told.epoch)
    yield from _not_negative("metric", step=told.step)
    yield from _names("metric.extra_metrics", told.extra_metrics)


def _log(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.log
    yield from _text("log.message", told.message)
    yield from _text("log.source", told.source, MAX_NAME_BYTES)
    if told.level not in event_pb2.LogLevel.values():
        yield "log.level", f"is {told.level}, which is no level"


def _checkpoint(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.checkpoint
    yield from _epoch(run, "checkpoint.epoch", told.epoch)
    yield from _names("checkpoint.metrics", told.metrics)
    for field, why in checkpoint_objections(told, run.run_id, run.job_id, run.project_id):
        yield f"checkpoint.{field}", why


def _validation(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.validation
    yield from _epoch(run, "validation.epoch", told.epoch)
    yield from _names("validation.metrics", told.metrics)
    if any(score.support < 0 for score in told.classes):
        yield "validation.classes", "have a negative support"
    if any(min(row.counts, default=0) < 0 for row in told.confusion_matrix):
        yield "validation.confusion_matrix", "has negative counts"


def _resources(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.resource_use
    if len(told.gpus) > MAX_GPUS:
        yield "resource_use.gpus", f"are {len(told.gpus)}; {MAX_GPUS} are the most"
        return
    yield from _amounts("resource_use", told)
    for index, gpu in enumerate(told.gpus):
        yield from _text(f"resource_use.gpus[{index}].name", gpu.name, MAX_NAME_BYTES)
        yield from _amounts(f"resource_use.gpus[{index}]", gpu)


def _end(run: RunFacts, event: run_pb2.RunEvent) -> Objections:
    told = event.end
    if told.outcome not in event_pb2.AttemptOutcome.values():
        yield "end.outcome", f"is {told.outcome}, which is no outcome"
    if told.HasField("failure") and not _REASON.fullmatch(told.failure.reason):
        yield "end.failure.reason", "must be a name in capitals, for example TRAINING_ERROR"
    if told.ByteSize() > MAX_END_BYTES:
        yield "end", f"has {told.ByteSize()} bytes; {MAX_END_BYTES} are the most"


# By payload: which sources may tell it, and how it is looked at. What does not stand here is refused.
_RULES: Mapping[str, tuple[tuple[run_pb2.EventSource, ...], Callable[[RunFacts, run_pb2.RunEvent], Objections]]] = {
    "preparation": ((run_pb2.EVENT_SOURCE_AGENT,), _preparation),
    "training_start": ((run_pb2.EVENT_SOURCE_TRAINING,), _training_start),
    "progress": ((run_pb2.EVENT_SOURCE_TRAINING,), _progress),
    "metric": ((run_pb2.EVENT_SOURCE_TRAINING,), _metric),
    "log": (tuple(SOURCES), _log),
    "checkpoint": ((run_pb2.EVENT_SOURCE_AGENT,), _checkpoint),
    "validation": ((run_pb2.EVENT_SOURCE_TRAINING,), _validation),
    "resource_use": ((run_pb2.EVENT_SOURCE_AGENT,), _resources),
    "end": ((run_pb2.EVENT_SOURCE_AGENT,), _end),
}


def _epoch(run: RunFacts, field: str, epoch: int) -> Objections:
    if not 1 <= epoch <= run.epochs:
        yield field, f"is {epoch}; the job has epochs 1 to {run.epochs}"


def _not_negative(of: str, **numbers: int) -> Objections:
    for name, number in numbers.items():
        if number < 0:
            yield f"{of}.{name}", f"is {number}; it cannot be negative"


def _amounts(of: str, told: Message) -> Objections:
    """What is measured: finite, and never below zero but for temperatures."""
    for field, value in told.ListFields():
        if isinstance(value, int | float):
            lowest = LOWEST_CELSIUS if field.name == "temperature_celsius" else 0
            if not (math.isfinite(value) and value >= lowest):
                yield f"{of}.{field.name}", f"is {value}, which cannot be"


def _text(field: str, text: str, most: int = MAX_TEXT_BYTES) -> Objections:
    # No character has more than four bytes: most texts need no counting.
    if 4 * len(text) > most and len(text.encode()) > most:
        yield field, f"has {len(text.encode())} bytes; {most} are the most"


def _names(field: str, metrics: Mapping[str, float]) -> Objections:
    if len(metrics) > MAX_METRICS:
        yield field, f"are {len(metrics)}; {MAX_METRICS} are the most"
    for name in metrics:
        yield from _text(field, name, MAX_NAME_BYTES)
