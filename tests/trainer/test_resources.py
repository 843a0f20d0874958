"""What a training takes of its machine: of real processes, and of GPUs that a stand-in for their driver has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.trainer.run_place import RunPlace
from trainer.runs.gpus import Gpus
from trainer.runs.processes import ProcessIdentity
from trainer.runs.resources import ResourceMeter

MIB = 1 << 20
# A process with a worker: 64 MiB and no work here, a processor kept busy there, until standard input ends.
PROGRAM = """
import subprocess, sys
held = bytearray(b"1") * (64 << 20)
worker = subprocess.Popen([sys.executable, "-c", "print(flush=True)\\nwhile True: pass"], stdout=sys.stdout)
sys.stdin.read()
worker.kill()
"""


@pytest.fixture
def training() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # the worker works
    yield process
    process.communicate()


def test_a_process_is_measured_with_its_workers(training: subprocess.Popen[bytes]) -> None:
    meter, identity = ResourceMeter(Gpus()), ProcessIdentity.of(training.pid)
    began = time.monotonic()
    first = meter.look(identity)
    assert first is not None and not first.HasField("cpu_percent")  # since when?
    worker = psutil.Process(training.pid).children()[0]
    before = sum(worker.cpu_times()[:2])
    while sum(worker.cpu_times()[:2]) < before + 0.3:
        time.sleep(0.01)
    second = meter.look(identity)
    longest = time.monotonic() - began
    assert second is not None
    # At least what the worker spent, in the longest time that can have passed; and no more than one of it can spend.
    assert 100 * 0.3 / longest * 0.9 < second.cpu_percent < 200
    assert second.process_count == 2
    assert 64 * MIB < second.memory_bytes < psutil.virtual_memory().total
    assert second.cpu_count == psutil.cpu_count()
    assert second.machine_memory_total_bytes == psutil.virtual_memory().total > second.machine_memory_used_bytes > 0


def test_another_process_begins_a_new_count_and_one_that_is_gone_has_none(training: subprocess.Popen[bytes]) -> None:
    meter, identity = ResourceMeter(Gpus()), ProcessIdentity.of(training.pid)
    assert meter.look(ProcessIdentity.of(os.getpid())) is not None
    other = meter.look(identity)
    assert other is not None and not other.HasField("cpu_percent")
    for child in psutil.Process(training.pid).children():
        child.kill()
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert meter.look(identity) is None
    assert meter.look(ProcessIdentity(os.getpid(), started="another time")) is None  # the number of another process


async def test_a_run_tells_what_it_takes_until_it_ends(place: RunPlace) -> None:
    place.launcher = place.new_launcher(resource_seconds=0.1)
    place.start("run", epochs=2, steps=10, step_seconds=0.1)
    await place.ended("run")
    told = place.gateway.payloads("run", "resource_use")
    assert len(told) >= 3
    assert all(use.memory_bytes > MIB and use.process_count >= 1 for use in told)
    assert told[-1].HasField("cpu_percent")
    # What is left of the training is told too, from the second epoch on with what lies between epochs.
    progress = place.gateway.payloads("run", "progress")
    assert progress[-1].step == 10 and progress[-1].HasField("seconds_left") and progress[-1].elapsed_seconds > 1.5


async def test_a_run_that_is_not_looked_at_tells_nothing(place: RunPlace) -> None:
    place.launcher = place.new_launcher(resource_seconds=0)
    place.start("run", epochs=1)
    await place.ended("run")
    assert place.gateway.payloads("run", "resource_use") == []


class NVMLError(Exception):
    """As the library raises it."""


class StandInNvml(ModuleType):
    """A stand-in for the driver of GPUs, which this machine may not have: two GPUs, of which the second one is old."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *, works: bool = True) -> None:
        super().__init__("pynvml")
        self.works = works
        self.starts = 0

    def nvmlInit(self) -> None:
        self.starts += 1
        if not self.works:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        if not self.works:
            raise NVMLError("GPU is lost")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index not in (0, 1):
            raise NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        return {"GPU-aaaa": 0, "GPU-bbbb": 1}[name]

    def nvmlDeviceGetIndex(self, handle: int) -> int:
        return handle

    def nvmlDeviceGetName(self, handle: int) -> Any:
        return ("New GPU", b"Old GPU")[handle]

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=self._new(handle, 87), memory=30)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=12 * MIB, total=80 * MIB, free=68 * MIB)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return self._new(handle, 61)

    def _new(self, handle: int, value: int) -> int:
        if handle == 1:
            raise NVMLError("Not Supported")
        return value


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("1, 0", [1, 0]),
        ("GPU-bbbb", [1]),
        ("", []),
        ("-1", []),
        ("0,7,1", [0]),
        ("NoDevFiles", []),
    ],
)
def test_gpus_are_those_that_the_training_sees(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, indices: list[int]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", StandInNvml())
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [gpu.index for gpu in Gpus().use(environment)] == indices


def test_what_a_gpu_does_not_measure_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", StandInNvml())
    new, old = Gpus().use({})
    assert (new.name, new.utilization_percent, new.temperature_celsius) == ("New GPU", 87, 61)
    assert (new.memory_used_bytes, new.memory_total_bytes) == (12 * MIB, 80 * MIB)
    assert (old.name, old.memory_used_bytes) == ("Old GPU", 12 * MIB)
    assert not old.HasField("utilization_percent") and not old.HasField("temperature_celsius")


def test_without_library_or_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # what an import of a missing library comes to
    assert Gpus().use({}) == []
    driver = StandInNvml(works=False)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    gpus = Gpus()
    assert [gpus.use({}), gpus.use({})] == [[], []]
    assert driver.starts == 1  # it is asked once, not every few seconds
    driver.works = True
    found = Gpus()
    assert len(found.use({})) == 2
    driver.works = False
    assert found.use({}) == []  # and a GPU that is lost takes nothing with it
