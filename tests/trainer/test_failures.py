"""What a training raised, as the reason of its job's failure."""

from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import pytest

from trainer.adapter import BadTrainingData, PretrainedUnavailable, TrainingDiverged
from trainer.runs.failures import MAX_MESSAGE_CHARACTERS, failure_of, is_io_error
from visionmesh.mesh.v1 import run_pb2

RUN = run_pb2.RunSpec(batch_size=32, image_size=224)


class OutOfMemoryError(RuntimeError):
    """Called as torch's."""


class AcceleratorError(RuntimeError):
    """Called as torch's."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDiverged("out of memory"), "TRAINING_DIVERGED"),
        (BadTrainingData("CUDA error"), "BAD_TRAINING_DATA"),
        (PretrainedUnavailable("no weights"), "PRETRAINED_UNAVAILABLE"),
        (MemoryError(), "OUT_OF_MEMORY"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "OUT_OF_MEMORY"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes."), "OUT_OF_MEMORY"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), "OUT_OF_MEMORY"),
        (RuntimeError("CUDA error: out of memory"), "OUT_OF_MEMORY"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "OUT_OF_MEMORY"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "OUT_OF_MEMORY"),
        (RuntimeError("DataLoader worker (pid 77) is killed by signal: Killed. "), "TRAINING_PROCESS_KILLED"),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers "
                "are out of shared memory."
            ),
            "TRAINING_PROCESS_KILLED",
        ),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "TRAINING_PROCESS_KILLED"),
        (BrokenProcessPool("a process in the pool was terminated abruptly"), "TRAINING_PROCESS_KILLED"),
        (AcceleratorError("unspecified launch failure"), "DEVICE_FAILED"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "DEVICE_FAILED"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "DEVICE_FAILED"),
        (AcceleratorError("CUDA error: device-side assert triggered"), "TRAINING_ERROR"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "TRAINING_ERROR"),
        (OSError(errno.ENOSPC, "No space left on device", "/run/spool"), "DISK_FULL"),
        (OSError("Caught OSError in a worker.\nOSError: [Errno 5] Input/output error"), "TRAINER_IO_ERROR"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "DISK_FULL"),
        (RuntimeError("can't start new thread"), "TRAINER_IO_ERROR"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.png"), "TRAINING_ERROR"),
        (PermissionError(errno.EACCES, "Permission denied", "x.png"), "TRAINING_ERROR"),
        (OSError("image file is truncated"), "TRAINING_ERROR"),
        (ValueError("shapes (3,) and (4,) do not fit"), "TRAINING_ERROR"),
        (SystemExit(3), "TRAINING_ERROR"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)  # fmt: skip
def test_the_reason_of_an_error(error: BaseException, reason: str) -> None:
    failure = failure_of(error, RUN)
    assert failure.reason == reason
    assert str(error) in failure.message
    if reason == "OUT_OF_MEMORY":
        assert "32 images of 224 pixels" in failure.message and "lower batch_size or image_size" in failure.message


def test_what_an_error_was_raised_from_counts_too() -> None:
    try:
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError as full:
            raise RuntimeError("the checkpoint could not be written") from full
    except RuntimeError as error:
        failure = failure_of(error, RUN)
    assert failure.reason == "DISK_FULL"
    assert "the checkpoint could not be written" in failure.message


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert failure_of(first, RUN).reason == "TRAINING_ERROR"


def test_a_long_message_is_cut() -> None:
    for error in (ValueError("x" * 10_000), MemoryError("x" * 10_000), BadTrainingData("x" * 10_000)):
        assert len(failure_of(error, RUN).message) == MAX_MESSAGE_CHARACTERS


def test_a_file_that_is_not_there_is_no_fault_of_the_disk() -> None:
    assert not is_io_error(FileNotFoundError("the folder has no files"))
    assert is_io_error(OSError(errno.EIO, "Input/output error"))
