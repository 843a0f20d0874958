"""What can be said against a job's spec without asking anyone: types, ranges, lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from google.protobuf import struct_pb2

from gateway.enums import DATASET_VIEWS, METRIC_MODES, TASK_TYPES
from gateway.training.restarts import LARGEST_MAX_RESTARTS
from visionmesh.errors import Violation
from visionmesh.v1 import checkpoint_pb2, training_pb2

NAME_LENGTH = 200
NOTES_LENGTH = 10_000
MAX_TAGS = 50
MAX_EPOCHS = 100_000
MAX_KEPT = 1000
MAX_BATCH_SIZE = 65_536
IMAGE_SIZES = range(8, 4097)
INT31 = 2**31 - 1
# Ten seconds without a sign are ordinary; after a week nobody waits.
NO_PROGRESS_SECONDS = range(10, 7 * 24 * 3600 + 1)


def check_spec(spec: training_pb2.TrainingJobSpec) -> list[Violation]:
    """Everything wrong with ``spec`` by itself; paths begin with ``job.``."""
    return [Violation(f"job.{field}", description) for field, description in _problems(spec)]


def check_update(spec: training_pb2.TrainingJobSpec, paths: Sequence[str]) -> list[Violation]:
    """What is wrong with the fields of ``spec`` that an update mask names; paths begin with ``job.``."""
    roots = {path.partition(".")[0] for path in paths}
    found = [*_label_problems(spec), *_retention_problems(spec.checkpoint_retention)]
    return [Violation(f"job.{field}", text) for field, text in found if re.split(r"[.\[]", field)[0] in roots]


def _problems(spec: training_pb2.TrainingJobSpec) -> Iterator[tuple[str, str]]:
    yield from _label_problems(spec)
    for name, where in (("framework", "ListFrameworks"), ("model_name", "ListModels"), ("dataset_id", "ListDatasets")):
        if not getattr(spec, name):
            yield name, f"is required; {where} shows what there is"
    if TASK_TYPES.name(spec.task_type) is None:
        yield "task_type", f"{spec.task_type} is not a task type"
    if DATASET_VIEWS.name(spec.dataset_view) is None:
        yield "dataset_view", f"{spec.dataset_view} is not a view"
    if METRIC_MODES.name(spec.primary_metric_mode) is None:
        yield "primary_metric_mode", f"{spec.primary_metric_mode} is not a mode"
    if not 1 <= spec.epochs <= MAX_EPOCHS:
        yield "epochs", f"must be 1 to {MAX_EPOCHS}, not {spec.epochs}"
    if spec.batch_size and not 1 <= spec.batch_size <= MAX_BATCH_SIZE:
        yield "batch_size", f"must be 1 to {MAX_BATCH_SIZE} (or 0 for the default), not {spec.batch_size}"
    if spec.HasField("learning_rate") and not (math.isfinite(spec.learning_rate) and spec.learning_rate > 0):
        yield "learning_rate", f"must be a finite number above 0, not {spec.learning_rate}"
    if spec.image_size and spec.image_size not in IMAGE_SIZES:
        smallest, largest = IMAGE_SIZES[0], IMAGE_SIZES[-1]
        yield "image_size", f"must be {smallest} to {largest} (or 0 for the model's default), not {spec.image_size}"
    if not 0 <= spec.seed <= INT31:
        yield "seed", f"must be 0 to {INT31}, not {spec.seed}"
    if not 0 <= spec.max_restarts <= LARGEST_MAX_RESTARTS:
        yield "max_restarts", f"must be 0 to {LARGEST_MAX_RESTARTS}, not {spec.max_restarts}"
    if spec.no_progress_seconds and spec.no_progress_seconds not in NO_PROGRESS_SECONDS:
        shortest, longest = NO_PROGRESS_SECONDS[0], NO_PROGRESS_SECONDS[-1]
        yield "no_progress_seconds", f"must be {shortest} to {longest}, or 0 for never, not {spec.no_progress_seconds}"
    for path in non_finite(spec.advanced_config):
        yield f"advanced_config.{path}", "must be a finite number"
    yield from _retention_problems(spec.checkpoint_retention)


def _label_problems(spec: training_pb2.TrainingJobSpec) -> Iterator[tuple[str, str]]:
    for name in ("project_id", "session_id", "experiment_name", "primary_metric"):
        yield from _text_problems(name, getattr(spec, name), NAME_LENGTH)
    yield from _text_problems("notes", spec.notes, NOTES_LENGTH)
    if len(spec.tags) > MAX_TAGS:
        yield "tags", f"must be at most {MAX_TAGS}, not {len(spec.tags)}"
    for index, tag in enumerate(spec.tags):
        if not tag or len(tag) > NAME_LENGTH:
            yield f"tags[{index}]", f"must have 1 to {NAME_LENGTH} characters"
        else:
            yield from _text_problems(f"tags[{index}]", tag, NAME_LENGTH)


def _text_problems(field: str, text: str, longest: int) -> Iterator[tuple[str, str]]:
    if len(text) > longest:
        yield field, f"must have at most {longest} characters, not {len(text)}"
    if "\0" in text:
        yield field, "must hold no NUL character"


def _retention_problems(retention: checkpoint_pb2.CheckpointRetention) -> Iterator[tuple[str, str]]:
    if not 0 <= retention.every_n_epochs <= MAX_EPOCHS:
        yield (
            "checkpoint_retention.every_n_epochs",
            f"must be 1 to {MAX_EPOCHS} (or 0 for none), not {retention.every_n_epochs}",
        )
    if retention.HasField("keep_last") and not 1 <= retention.keep_last <= MAX_KEPT:
        yield "checkpoint_retention.keep_last", f"must be 1 to {MAX_KEPT}, not {retention.keep_last}"


def non_finite(struct: struct_pb2.Struct, prefix: str = "") -> Iterator[str]:
    """Paths of the numbers in ``struct`` that are NaN or infinite."""
    for name, value in struct.fields.items():
        yield from _non_finite_value(value, f"{prefix}{name}")


def _non_finite_value(value: struct_pb2.Value, path: str) -> Iterator[str]:
    kind = value.WhichOneof("kind")
    if kind == "number_value" and not math.isfinite(value.number_value):
        yield path
    elif kind == "struct_value":
        yield from non_finite(value.struct_value, f"{path}.")
    elif kind == "list_value":
        for index, item in enumerate(value.list_value.values):
            yield from _non_finite_value(item, f"{path}[{index}]")
