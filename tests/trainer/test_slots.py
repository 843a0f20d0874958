"""Slots and GPUs: one for each that the driver's tool lists, each run its own, whichever server looks after it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from rpc.errors import DomainError
from tests.trainer.fake_gateway import RUN_TOKEN
from tests.trainer.run_place import RunPlace
from trainer.runs.devices import VISIBLE_DEVICES, visible_gpus
from trainer.runs.folder import RunFolder

GPUS = ("GPU-aaaa", "GPU-bbbb")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the tool of NVIDIA's driver, on the PATH: this machine has no GPU."""
    path = tmp_path / "tools" / "nvidia-smi"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n[ "$1" = --query-gpu=uuid ] && printf "%s\\n" {" ".join(GPUS)}\n')
    path.chmod(0o755)
    monkeypatch.delenv(VISIBLE_DEVICES, raising=False)
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    return path


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, GPUS),
        ("3,1", ("3", "1")),
        ("MIG-1, MIG-2", ("MIG-1", "MIG-2")),
        ("0,-1,2", ("0",)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
    ],
)
def test_gpus_are_those_that_are_named_or_listed(
    tool: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, expected: tuple[str, ...]
) -> None:
    if variable is not None:
        monkeypatch.setenv(VISIBLE_DEVICES, variable)
    assert visible_gpus() == expected


def test_without_a_driver_or_a_gpu_there_is_none(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.write_text("#!/bin/sh\necho No devices were found\nexit 6\n")
    assert visible_gpus() == ()
    tool.unlink()
    monkeypatch.setenv("PATH", str(tool.parent))
    assert visible_gpus() == ()


async def _device_of(place: RunPlace, folder: RunFolder) -> str | None:
    """What the training process of a run sees."""
    await place.gateway.until(lambda: place.gateway.payloads(folder.path.name, "metric"))
    training = folder.training_process()
    assert training is not None
    return psutil.Process(training.pid).environ().get(VISIBLE_DEVICES)


async def test_each_run_has_a_gpu_of_its_own_also_after_the_server_was_started_again(
    place: RunPlace, tool: Path
) -> None:
    launcher = place.new_launcher(slots=None, warm_parent=False)
    assert (launcher.slots, launcher.free_slots()) == (2, 2)
    for run_id in ("one", "two"):
        launcher.start(place.spec(run_id, epochs=1000, step_seconds=0.02), RUN_TOKEN)
    one, two = place.folder("one"), place.folder("two")
    assert [await _device_of(place, folder) for folder in (one, two)] == [*GPUS]
    assert [folder.settings().slot for folder in (one, two)] == [0, 1]
    with pytest.raises(DomainError, match="All 2 slots"):
        launcher.start(place.spec("three"), RUN_TOKEN)

    launcher.stop("one", kill=True)
    again = place.new_launcher(slots=None, warm_parent=False)
    assert again.free_slots() == 1
    again.start(place.spec("three", epochs=1000, step_seconds=0.02), RUN_TOKEN)
    three = place.folder("three")
    # The slot that is free now, not that of the run that went on.
    assert (three.settings().slot, await _device_of(place, three)) == (0, GPUS[0])
    assert await _device_of(place, two) == GPUS[1]
    again.stop("two", kill=True)


async def test_without_a_gpu_there_is_one_slot_and_nothing_is_hidden(
    place: RunPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE_DEVICES, "")
    launcher = place.new_launcher(slots=None, warm_parent=False)
    assert launcher.slots == 1
    launcher.start(place.spec("one", epochs=1000, step_seconds=0.02), RUN_TOKEN)
    assert (place.folder("one").settings().device, await _device_of(place, place.folder("one"))) == ("", "")


def test_more_slots_than_gpus_share_them_and_none_serves_predictions_only(place: RunPlace, tool: Path) -> None:
    launcher = place.new_launcher(slots=3)
    assert [launcher._settings_of(slot).device for slot in range(3)] == [*GPUS, GPUS[0]]
    assert place.new_launcher(slots=0).free_slots() == 0
