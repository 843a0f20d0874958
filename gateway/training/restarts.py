"""Which failures another try may mend, and when it comes. docs/restarts.md has the same table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from visionmesh.v1 import common_pb2

DEFAULT_MAX_RESTARTS = 2
LARGEST_MAX_RESTARTS = 100

# Why another try may help: what failed was not the job.
MENDED_BY_A_RESTART: Mapping[str, str] = {
    "TRAINING_PROCESS_KILLED": "someone, a crash, or the machine in need of memory ended a process",
    "TRAINING_HUNG": "a lock, a device or a mount that never answered may answer next time",
    "LEASE_EXPIRED": "the machine or its network is gone; others may be there",
    "SHUTTING_DOWN": "the trainer was stopped, not the job",
    "DEVICE_FAILED": "accelerators fail for a moment, and others may be free",
    "TRAINER_IO_ERROR": "a disk that was taken away comes back, and another trainer has another one",
    "INTERNAL": "nobody knows what it was",
}

# Why it would not: the same job would fail the same way, hours later.
NOT_MENDED_BY_A_RESTART: Mapping[str, str] = {
    "TRAINING_DIVERGED": "random numbers derive from the seed: the loss would become NaN again",
    "TRAINING_ERROR": "the training raised an error of its own, which the same data raise again",
    "BAD_TRAINING_DATA": "the data stay as they are",
    "PRETRAINED_UNAVAILABLE": "the weights have to be put where they can be found",
    "OUT_OF_MEMORY": "the same batches need the same memory",
    "DISK_FULL": "someone has to make room on the trainer's disk",
    "EVENT_REFUSED": "the same run would tell the same again",
    "STORAGE_CORRUPT": "the store has to be restored; a damaged checkpoint of a restart is passed over",
    "START_REFUSED": "the trainer would refuse the same run again, unless the cause is INTERNAL",
    "CHECKPOINT_NOT_FOUND": "what it would begin with is deleted",
    "DATASET_NOT_FOUND": "what it would train on is deleted",
    "FRAMEWORK_NOT_FOUND": "no trainer of the configuration serves it",
}


def may_be_mended(failure: common_pb2.Failure) -> bool:
    """Whether another try may help. A reason that this release does not know is not tried again."""
    if failure.reason == "START_REFUSED":
        return failure.metadata.get("cause", "") == "INTERNAL"
    return failure.reason in MENDED_BY_A_RESTART


@dataclass(frozen=True)
class RestartPolicy:
    """How long a restart waits, in seconds: each further one of a job twice as long, up to a limit."""

    first_delay_seconds: float = 10.0
    longest_delay_seconds: float = 600.0

    def delay_seconds(self, restarts: int) -> float:
        """The wait before the next restart when so many were made."""
        # Beyond some dozens of doublings every wait is the longest.
        return min(self.first_delay_seconds * 2.0 ** min(restarts, 60), self.longest_delay_seconds)
