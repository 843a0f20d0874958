"""Enum values of the protos and their short names, which is how the database keeps them (``READY``)."""

from __future__ import annotations

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from visionmesh.v1 import common_pb2, dataset_pb2, event_pb2, job_state_pb2, training_pb2


class ShortNames:
    """Short names of one enum: those of its values without ``prefix``. UNSPECIFIED is the empty string."""

    def __init__(self, enum: EnumTypeWrapper, prefix: str) -> None:
        self._by_number = {
            number: "" if name == f"{prefix}UNSPECIFIED" else name.removeprefix(prefix) for name, number in enum.items()
        }
        self._by_name = {name: number for number, name in self._by_number.items()}

    def name(self, number: int) -> str | None:
        """The short name of a value; None for a number that this release does not know."""
        return self._by_number.get(number)

    def number(self, name: str) -> int:
        """The value of a short name. Raises KeyError."""
        return self._by_name[name]

    @property
    def names(self) -> list[str]:
        """All short names but the empty one."""
        return [name for name in self._by_name if name]


TASK_TYPES = ShortNames(common_pb2.TaskType, "TASK_TYPE_")
DATASET_FORMATS = ShortNames(dataset_pb2.DatasetFormat, "DATASET_FORMAT_")
JOB_STATES = ShortNames(job_state_pb2.JobState, "JOB_STATE_")
EVENT_KINDS = ShortNames(event_pb2.EventKind, "EVENT_KIND_")
OBJECT_OUTCOMES = ShortNames(training_pb2.ObjectOutcome, "OBJECT_OUTCOME_")
VALIDATION_IMAGE_ORDERS = ShortNames(training_pb2.ValidationImageOrder, "VALIDATION_IMAGE_ORDER_")
DATASET_VIEWS = ShortNames(training_pb2.DatasetView, "DATASET_VIEW_")
METRIC_MODES = ShortNames(training_pb2.MetricMode, "METRIC_MODE_")
ATTEMPT_OUTCOMES = ShortNames(event_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")
