"""How a run ended, where the training process could not say it."""

from __future__ import annotations

from trainer.runs.folder import signal_name
from trainer.runs.full_disk import MESSAGE
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, event_pb2

KILLED = "TRAINING_PROCESS_KILLED"
DISK_FULL = "DISK_FULL"


def stopped() -> run_pb2.RunEnd:
    """The run was stopped on request."""
    return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_STOPPED)


def failed(reason: str, message: str, **metadata: str) -> run_pb2.RunEnd:
    """The run failed."""
    failure = common_pb2.Failure(reason=reason, message=message, metadata=metadata)
    return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_FAILED, failure=failure)


def process_gone(returncode: int) -> run_pb2.RunEnd:
    """The training process ended without a word; ``returncode`` is negative for a signal."""
    name = signal_name(returncode)
    if name is None:
        return failed(
            KILLED,
            f"The training process ended with exit code {returncode} without saying why; the job's log tells more.",
            exit_code=str(returncode),
        )
    message = f"The training process was ended by {name}."
    if name == "SIGKILL":
        message += (
            " Often this means that the machine ran out of memory: a smaller batch size or image size needs less."
        )
    return failed(KILLED, message, exit_signal=name)


def disk_full() -> run_pb2.RunEnd:
    """The disk of the run folder took no more bytes."""
    return failed(DISK_FULL, MESSAGE)


def agent_gone() -> run_pb2.RunEnd:
    """The agent died, and the training with it."""
    return failed(
        KILLED,
        "The run agent died and the training was ended with it; what was trained until then is published. "
        "Often this means that the machine ran out of memory or was restarted.",
    )
