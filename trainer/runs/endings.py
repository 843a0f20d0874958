"""How a run ended, where the training process could not say it."""

from __future__ import annotations

import os

from trainer.runs.failures import out_of_memory, speaks_of_memory
from trainer.runs.folder import signal_name
from trainer.runs.full_disk import DISK_FULL, MESSAGE
from visionmesh.errors import VisionMeshError
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, event_pb2

KILLED = "TRAINING_PROCESS_KILLED"


def stopped() -> run_pb2.RunEnd:
    """The run was stopped on request."""
    return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_STOPPED)


def failed(reason: str, message: str, **metadata: str) -> run_pb2.RunEnd:
    """The run failed."""
    failure = common_pb2.Failure(reason=reason, message=message, metadata=metadata)
    return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_FAILED, failure=failure)


def process_gone(run: run_pb2.RunSpec, returncode: int | None, last_output: str) -> run_pb2.RunEnd:
    """The training process ended without a word of its own; ``returncode`` is negative for a signal, None
    where unknown.

    ``last_output`` is the end of what it wrote to standard error: a library in C++ that gets no memory aborts.
    """
    if returncode is None:
        return failed(
            KILLED,
            "The training process is gone, and so is the one that could have said how it ended. "
            "Often this means that the machine ran out of memory: a smaller batch size or image size needs less.",
        )
    name = signal_name(returncode)
    if name == "SIGABRT" and speaks_of_memory(last_output):
        said = "A library ended the training for want of memory; the job's log tells more."
        return run_pb2.RunEnd(outcome=event_pb2.ATTEMPT_OUTCOME_FAILED, failure=out_of_memory(run, said))
    if returncode == os.EX_IOERR:
        return failed(
            "TRAINER_IO_ERROR", "The trainer's disk refused what the training had to tell; the job's log tells more."
        )
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


def refused(refusal: VisionMeshError) -> run_pb2.RunEnd:
    """The gateway refused an event of the run."""
    return failed(
        refusal.reason,
        f"The gateway refused what the run told, so the run was ended: {refusal.message}",
        **{name: text for name, text in refusal.metadata.items() if name in ("source", "source_sequence")},
    )


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


def hung(seconds: int, what: str) -> run_pb2.RunEnd:
    """The run gave no sign of progress for so long; ``what`` names the part of it that did not."""
    return failed(
        "TRAINING_HUNG",
        f"{what} gave no sign of progress for {seconds} seconds and was ended; the job's log says where it stood. "
        "If it was only slow, create the job with a larger `no_progress_seconds`, or 0 for no limit.",
        no_progress_seconds=str(seconds),
    )
