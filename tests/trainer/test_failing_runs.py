"""Trainings that fail in ways of their own: what the run is told to have ended with, and what of it is published."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

import psutil

from storage.objects import keys
from tests.trainer.fake_gateway import RUN_TOKEN
from tests.trainer.run_place import RunPlace
from trainer.cache.locks import FileLock
from trainer.runs.folder import RunFolder
from trainer.runs.progress import no_progress
from visionmesh.v1 import event_pb2

FAILED = event_pb2.ATTEMPT_OUTCOME_FAILED
COMPLETED = event_pb2.ATTEMPT_OUTCOME_COMPLETED
# Enough for a training to start on a busy machine.
PATIENT_SECONDS = 6


def lines_of(place: RunPlace, run_id: str) -> list[str]:
    return [line.message for line in place.gateway.payloads(run_id, "log")]


async def training_of(place: RunPlace, folder: RunFolder, epoch: int = 1) -> psutil.Process:
    """The training process of a run that has told an epoch."""
    run_id = folder.path.name
    await place.gateway.until(lambda: any(m.epoch >= epoch for m in place.gateway.payloads(run_id, "metric")))
    training = folder.training_process()
    assert training is not None
    return psutil.Process(training.pid)


async def test_a_training_that_raises_in_its_third_epoch(place: RunPlace) -> None:
    place.start("run", epochs=3, ending="raise")
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_ERROR")
    assert end.failure.message == "The training raised RuntimeError: the abacus is broken"
    assert [metric.epoch for metric in place.gateway.payloads("run", "metric")] == [1, 2, 3]
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == [1, 2, 3]
    assert "RuntimeError: the abacus is broken" in lines_of(place, "run")


async def test_a_training_without_enough_memory_says_what_to_lower(place: RunPlace) -> None:
    folder = place.start("run", epochs=20, step_seconds=0.05, ending="hoard")
    training = await training_of(place, folder)
    limit = training.memory_info().vms + (128 << 20)
    training.rlimit(psutil.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    end = await place.ended("run", 30)
    assert (end.outcome, end.failure.reason) == (FAILED, "OUT_OF_MEMORY")
    assert "Batches of 2 images of 8 pixels" in end.failure.message and "MemoryError" in end.failure.message
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == list(range(1, 21))


async def test_a_library_that_gets_no_memory_aborts_the_training(place: RunPlace) -> None:
    place.start("run", epochs=1, ending="no memory for a library")
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "OUT_OF_MEMORY")
    assert "lower batch_size or image_size" in end.failure.message


async def test_a_crash_in_native_code_leaves_the_stack_in_the_log(place: RunPlace) -> None:
    place.start("run", epochs=1, ending="crash")
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_PROCESS_KILLED")
    assert end.failure.metadata["exit_signal"] == "SIGSEGV"
    lines = lines_of(place, "run")
    assert any("Segmentation fault" in line for line in lines)
    assert any("counting_adapter.py" in line and "in _end" in line for line in lines)


async def test_a_disk_that_is_full_for_the_training(place: RunPlace) -> None:
    folder = place.start("run", epochs=500, step_seconds=0.05)
    training = await training_of(place, folder)
    await place.gateway.until(lambda: place.gateway.payloads("run", "checkpoint"))
    # No file of it may grow any more: neither the next checkpoint nor its spool.
    training.rlimit(psutil.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "DISK_FULL")
    # It ends by itself, unless its agent sees first that the disk is full, and ends it.
    assert folder.exit_code() in (os.EX_IOERR, -signal.SIGKILL)
    published = [item.epoch for item in place.gateway.payloads("run", "checkpoint")]
    assert published and published == list(range(1, len(published) + 1)) and not place.gateway.gaps


async def test_a_training_that_hangs_is_ended_and_its_log_says_where(place: RunPlace) -> None:
    spec = place.spec("run", epochs=2, ending="hang")
    spec.no_progress_seconds = PATIENT_SECONDS
    # Slow, and never silent for so long.
    slow = place.spec("slow", epochs=2, steps=45, step_seconds=0.1)
    slow.no_progress_seconds = PATIENT_SECONDS
    place.launcher.start(spec, RUN_TOKEN)
    place.launcher.start(slow, RUN_TOKEN)
    end = await place.ended("run", 60)
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_HUNG")
    assert end.failure.message.startswith(f"The training gave no sign of progress for {PATIENT_SECONDS} seconds")
    assert end.failure.metadata["no_progress_seconds"] == str(PATIENT_SECONDS)
    assert any("in _wait_for_what_never_comes" in line for line in lines_of(place, "run"))
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == [1, 2]
    assert place.folder("run").exit_code() == -9
    assert (await place.ended("slow", 60)).outcome == COMPLETED


async def test_a_preparation_that_hangs_is_ended_and_one_that_waits_is_not(place: RunPlace) -> None:
    # Another run of this machine fetches the same dataset, and takes its time.
    locks = place.root / "data" / "cache" / "datasets" / "locks"
    locks.mkdir(parents=True)
    builder = FileLock.acquire(locks / place.manifest_digest, exclusive=True)
    spec = place.spec("run")
    spec.no_progress_seconds = 1
    place.launcher.start(spec, RUN_TOKEN)
    await place.gateway.until(lambda: place.gateway.payloads("run", "preparation"))
    await asyncio.sleep(2.5)
    assert place.gateway.end("run") is None
    # A mount that does not answer: whoever opens this waits for a writer.
    image = place.root / "store" / keys.dataset_file("digits", "train/cat/1.png")
    image.unlink()
    os.mkfifo(image)
    builder.release()
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_HUNG")
    assert end.failure.message.startswith("The preparation gave no sign of progress")
    assert place.folder("run").training_process() is None


async def test_progress_is_a_file_that_grows_or_an_excuse(tmp_path: Path) -> None:
    spool, log = tmp_path / "spool", tmp_path / "log"
    excuses = [True]
    growing = asyncio.create_task(no_progress([spool, log], 1))
    excused = asyncio.create_task(no_progress([tmp_path / "nothing"], 1, lambda: bool(excuses)))
    never = asyncio.create_task(no_progress([tmp_path / "nothing"], 0))
    silent = asyncio.create_task(no_progress([tmp_path / "nothing"], 1))
    for number in range(25):
        with (log if number % 2 else spool).open("ab") as file:
            file.write(b"x")
        await asyncio.sleep(0.1)
    assert silent.done() and not growing.done() and not excused.done()
    excuses.clear()
    await asyncio.wait_for(asyncio.gather(growing, excused), 30)
    assert not never.done()
    never.cancel()
