"""Events that no honest agent sends, each with the field that is refused of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from storage.objects import keys
from storage.objects.digest import files_digest
from tests.gateway.job_agent import AGENT, LOG, TRAINING, Script
from tests.gateway.telemetry.real_runs import EPOCHS
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, common_pb2, event_pb2

Forgery = tuple[str, run_pb2.RunEvent]


def forgeries(run: run_pb2.RunSpec, other: run_pb2.RunSpec) -> Iterator[Forgery]:
    """All of them, by ``run`` about itself and ``other``, with numbers that are new to the gateway."""
    yield from _strange(run)
    for epoch in (-5, 0, EPOCHS + 1, 2**31 - 1):
        yield "metric.epoch", Script(run).metric(epoch)
        yield "progress.epoch", Script(run).progress(epoch, 1)
        yield "validation.epoch", Script(run).validation(epoch)
        yield "checkpoint.epoch", Script(run).checkpoint(epoch)
    yield from _absurd(run)
    yield from _checkpoints(run, other)


def _strange(run: run_pb2.RunSpec) -> Iterator[Forgery]:
    point = event_pb2.MetricPoint(epoch=1)
    yield "source", run_pb2.RunEvent(source_sequence=1, metric=point)
    yield "source", run_pb2.RunEvent(source=77, source_sequence=1, metric=point)  # type: ignore[arg-type]
    for number in (0, -1, -(2**63)):
        yield "source_sequence", run_pb2.RunEvent(source=TRAINING, source_sequence=number, metric=point)
    yield "payload", run_pb2.RunEvent(source=TRAINING, source_sequence=1)
    yield "payload", run_pb2.RunEvent.FromString(_bare(TRAINING) + b"\xfa\x06\x03new")  # field 111, of a later contract
    local = run_pb2.LocalCheckpoint(epoch=1, folder="checkpoints/1")
    yield "payload", run_pb2.RunEvent(source=TRAINING, source_sequence=1, local_checkpoint=local)
    # What is another part's to tell.
    yield "source", Script(run).event(AGENT, metric=point)
    yield "source", Script(run).event(LOG, progress=event_pb2.TrainingProgress(epoch=1))
    yield "source", Script(run).event(TRAINING, end=run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_COMPLETED))
    yield "source", Script(run).event(TRAINING, checkpoint=Script(run).checkpoint(1).checkpoint)
    for seconds, nanos in ((1 << 60, 0), (-(1 << 60), 0), (0, -1), (0, 1_000_000_000)):
        for field in ("time", "metric.time"):
            event = Script(run).metric(1)
            stamp = event.time if field == "time" else event.metric.time
            stamp.seconds, stamp.nanos = seconds, nanos
            yield field, event


def _bare(source: int) -> bytes:
    return run_pb2.RunEvent(source=source, source_sequence=1).SerializeToString()  # type: ignore[arg-type]


def _absurd(run: run_pb2.RunSpec) -> Iterator[Forgery]:
    def start(**fields: int) -> run_pb2.RunEvent:
        good: dict[str, Any] = {"total_epochs": EPOCHS, "start_epoch": 1, "steps_per_epoch": 4}
        return Script(run).event(TRAINING, training_start=event_pb2.TrainingStart(**{**good, **fields}))

    yield "training_start.total_epochs", start(total_epochs=EPOCHS + 1)
    yield "training_start.total_epochs", start(total_epochs=-1)
    yield "training_start.start_epoch", start(start_epoch=0)
    yield "training_start.start_epoch", start(start_epoch=EPOCHS + 2)
    yield "training_start.steps_per_epoch", start(steps_per_epoch=-1)
    yield "progress.step", Script(run).progress(1, -1)
    yield "progress.steps", Script(run).progress(1, 1, -1)
    for rate in (math.nan, math.inf, -1.0):
        event = Script(run).progress(1, 1)
        event.progress.images_per_second = rate
        yield "progress.images_per_second", event
    event = Script(run).metric(1)
    event.metric.step = -1
    yield "metric.step", event
    yield "metric.extra_metrics", Script(run).metric(1, **{f"m{number}": 1.0 for number in range(2000)})
    yield "metric.extra_metrics", Script(run).metric(1, **{"m" * 1000: 1.0})
    yield "log.message", Script(run).line("x" * (10 << 20))
    yield "log.message", Script(run).line("é" * (200 << 10))
    yield "log.source", Script(run).event(LOG, log=event_pb2.LogLine(level=2, source="s" * 1000))  # type: ignore[arg-type]
    yield "log.level", Script(run).event(LOG, log=event_pb2.LogLine(level=9))  # type: ignore[arg-type]
    yield "preparation.total", Script(run).event(AGENT, preparation=event_pb2.Preparation(total=-1))
    score = event_pb2.ClassScore(label="cat", support=-3)
    yield (
        "validation.classes",
        Script(run).event(TRAINING, validation=event_pb2.ValidationResult(epoch=1, classes=[score])),
    )
    row = event_pb2.ConfusionRow(counts=[3, -1])
    matrix = event_pb2.ValidationResult(epoch=1, confusion_matrix=[row])
    yield "validation.confusion_matrix", Script(run).event(TRAINING, validation=matrix)
    yield "end.outcome", Script(run).event(AGENT, end=run_pb2.RunEnd(outcome=44))  # type: ignore[arg-type]
    for reason in ("", "out of luck", "A" * 100):
        failure = common_pb2.Failure(reason=reason, message="why")
        yield "end.failure.reason", Script(run).event(AGENT, end=run_pb2.RunEnd(outcome=3, failure=failure))  # type: ignore[arg-type]
    long = common_pb2.Failure(reason="TRAINING_ERROR", message="x" * (1 << 20))
    yield "end", Script(run).event(AGENT, end=run_pb2.RunEnd(outcome=3, failure=long))  # type: ignore[arg-type]


def _checkpoints(run: run_pb2.RunSpec, other: run_pb2.RunSpec) -> Iterator[Forgery]:
    def told(**fields: object) -> run_pb2.RunEvent:
        event = Script(run).checkpoint(1)
        for name, value in fields.items():
            setattr(event.checkpoint, name, value)
        return event

    yield "checkpoint.run_id", told(run_id=other.run_id)
    yield "checkpoint.job_id", told(job_id=other.job_id)
    for identity in ("", "..", "a/b", "x" * 41, "ü"):
        yield "checkpoint.id", told(id=identity)
    own = Script(run).checkpoint(1).checkpoint
    for path in (
        "",
        "/",
        own.storage_path.rstrip("/"),
        own.storage_path + "more/",
        Script(other).checkpoint(1).checkpoint.storage_path,
        keys.checkpoint_prefix("another project", run.job_id, own.id),
        f"checkpoints/{run.project_id}/{run.job_id}/../{other.job_id}/{own.id}/",
        "datasets/ds_1/",
    ):
        yield "checkpoint.storage_path", told(storage_path=path)
    yield "checkpoint.size_bytes", told(size_bytes=9)
    yield "checkpoint.digest", told(digest="")
    yield "checkpoint.digest", told(digest="cd" * 32)
    for field, change in (
        ("files", {"name": None}),
        ("files.name", {"name": "../weights.safetensors"}),
        ("files.name", {"name": ""}),
        ("files.name", {"name": "."}),
        ("files.name", {"name": "a\0b"}),
        ("files.size_bytes", {"size_bytes": -10}),
        ("files.sha256", {"sha256": "AB" * 32}),
        ("files.sha256", {"sha256": "ab"}),
    ):
        yield f"checkpoint.{field}", _with_file(told(), change)
    twice = told(size_bytes=20)
    twice.checkpoint.files.append(twice.checkpoint.files[0])
    yield "checkpoint.files.name", _digested(twice)
    for field, change in (
        ("storage_path", {"storage_path": keys.validation_images(run.project_id, other.job_id, own.id)}),
        ("storage_path", {"storage_path": "manifests/ds_1.json"}),
        ("size_bytes", {"size_bytes": -1}),
        ("sha256", {"sha256": "no"}),
    ):
        event = told()
        images = {"storage_path": keys.validation_images(run.project_id, run.job_id, own.id), "sha256": "ab" * 32}
        event.checkpoint.validation_images.CopyFrom(checkpoint_pb2.StoredObject(**{**images, **change}))  # type: ignore[arg-type]
        yield f"checkpoint.validation_images.{field}", event


def _with_file(event: run_pb2.RunEvent, change: Mapping[str, object]) -> run_pb2.RunEvent:
    """The event with its file changed, or without it; digest and size are those of what is there."""
    [file] = event.checkpoint.files
    if change == {"name": None}:
        event.checkpoint.ClearField("files")
    else:
        for name, value in change.items():
            setattr(file, name, value)
    event.checkpoint.size_bytes = sum(each.size_bytes for each in event.checkpoint.files)
    return _digested(event)


def _digested(event: run_pb2.RunEvent) -> run_pb2.RunEvent:
    event.checkpoint.digest = files_digest((file.name, file.sha256) for file in event.checkpoint.files)
    return event
