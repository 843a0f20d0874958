"""What a training raised, as the failure of its job. The reason decides whether the job is restarted."""

from __future__ import annotations

import errno
import re

from trainer.adapter import BadTrainingData, PretrainedUnavailable, TrainingDiverged
from trainer.runs.full_disk import DISK_FULL, MESSAGE, is_disk_full
from trainer.runs.system_errors import came_from, error_number
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2

MAX_MESSAGE_CHARACTERS = 2000

# What adapters say themselves.
_SAID: dict[type[BaseException], str] = {
    TrainingDiverged: "TRAINING_DIVERGED",
    BadTrainingData: "BAD_TRAINING_DATA",
    PretrainedUnavailable: "PRETRAINED_UNAVAILABLE",
}

# A worker of the training was killed or crashed: torch's loader, its thread, and concurrent.futures say it so.
_WORKER_DIED = re.compile(
    r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)|Pin memory thread exited unexpectedly", re.DOTALL
)
_WORKER_DIED_TYPES = {"BrokenProcessPool"}

# Python, torch's allocators and those of NVIDIA's libraries, the C++ library, and the loader of shared libraries.
_OUT_OF_MEMORY = re.compile(
    r"can(no|')t allocate memory|out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|std::bad_alloc"
    r"|failed to map segment from shared object$",
    re.IGNORECASE | re.MULTILINE,
)
_OUT_OF_MEMORY_TYPES = {"MemoryError", "OutOfMemoryError"}

_DEVICE_FAILED = re.compile(r"(CUDA|cuDNN|HIP|NCCL|driver) error|(CUBLAS|CUDNN|CUFFT|CUSOLVER)_STATUS_", re.IGNORECASE)
_DEVICE_FAILED_TYPES = {"AcceleratorError"}
# A label out of range, a device too old, a wrong call: what the same training does again.
_NOT_THE_DEVICE = re.compile(
    r"device-side assert|no kernel image|invalid (device function|argument|configuration)|NOT_SUPPORTED|BAD_PARAM"
    r"|INVALID_VALUE",
    re.IGNORECASE,
)

# Broken, taken away, or too much open: the machine's, and not the job's.
_IO_ERRORS = {
    errno.EIO, errno.EROFS, errno.ENFILE, errno.EMFILE, errno.ESTALE,
    errno.EAGAIN, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOLCK,
}  # fmt: skip
_NO_THREAD = "can't start new thread"


def failure_of(error: BaseException, run: run_pb2.RunSpec) -> common_pb2.Failure:
    """The failure of a run whose training raised ``error``: by what that, or an error behind it, is."""
    for kind, reason in _SAID.items():
        if isinstance(error, kind):
            return _failure(reason, str(error))
    reason = next(filter(None, map(_reason, came_from(error))), "TRAINING_ERROR")
    said = f"{type(error).__name__}: {error}"
    if is_disk_full(error):
        return _failure(DISK_FULL, f"{MESSAGE} {said}")
    if reason == "OUT_OF_MEMORY":
        return out_of_memory(run, said)
    return _failure(reason, f"{_MEANINGS[reason]} {said}")


def out_of_memory(run: run_pb2.RunSpec, said: str) -> common_pb2.Failure:
    """The failure of a training that needs more memory than there is; ``said`` is how that showed."""
    return _failure(
        "OUT_OF_MEMORY",
        f"Batches of {run.batch_size} images of {run.image_size} pixels need more memory than there is: lower "
        f"batch_size or image_size, or choose a smaller model. {said}",
    )


def speaks_of_memory(text: str) -> bool:
    """Whether some library says that it got no memory."""
    return _OUT_OF_MEMORY.search(text) is not None


_MEANINGS = {
    "TRAINING_ERROR": "The training raised",
    "TRAINING_PROCESS_KILLED": "A worker of the training was killed or crashed.",
    "DEVICE_FAILED": "The accelerator failed.",
    "TRAINER_IO_ERROR": "The trainer's disk or system refused what the training needed.",
}


def _reason(error: BaseException) -> str:
    """The reason when it is no error of the training itself; else empty."""
    text, types = str(error), {kind.__name__ for kind in type(error).__mro__}
    if types & _WORKER_DIED_TYPES or _WORKER_DIED.search(text):
        return "TRAINING_PROCESS_KILLED"
    if types & _OUT_OF_MEMORY_TYPES or error_number(error) == errno.ENOMEM or speaks_of_memory(text):
        return "OUT_OF_MEMORY"
    if (types & _DEVICE_FAILED_TYPES or _DEVICE_FAILED.search(text)) and not _NOT_THE_DEVICE.search(text):
        return "DEVICE_FAILED"
    return "TRAINER_IO_ERROR" if is_io_error(error) or _NO_THREAD in text else ""


def is_io_error(error: BaseException) -> bool:
    """Whether disk or system of this machine refused, so that another time or another machine may do."""
    return error_number(error) in _IO_ERRORS


def _failure(reason: str, message: str) -> common_pb2.Failure:
    return common_pb2.Failure(reason=reason, message=message[:MAX_MESSAGE_CHARACTERS])
