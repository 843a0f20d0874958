"""Trainings forked from the warm parent: like any other, and none is lost when the parent is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.trainer import preloading_adapters
from tests.trainer.run_place import RunPlace
from trainer.runs.folder import RunFolder
from trainer.runs.launcher import LocalLauncher
from trainer.runs.training_environment import training_environment
from trainer.runs.warm import parents
from trainer.runs.warm.messages import MAX_MESSAGE_BYTES, TrainingRequest
from trainer.runs.warm.parents import WarmParents
from visionmesh.v1 import event_pb2

COMPLETED, FAILED = event_pb2.ATTEMPT_OUTCOME_COMPLETED, event_pb2.ATTEMPT_OUTCOME_FAILED


def _parents(launcher: LocalLauncher) -> WarmParents:
    assert launcher._fast_start is not None
    return launcher._fast_start._parents


def _parent_of(launcher: LocalLauncher) -> psutil.Process:
    parent = _parents(launcher)._parent
    assert parent is not None
    return psutil.Process(parent.process.pid)


def _spare_of(launcher: LocalLauncher) -> psutil.Process | None:
    assert launcher._fast_start is not None
    spare = launcher._fast_start._spares._spare
    return psutil.Process(spare.process.pid) if spare is not None else None


def _how_started(folder: RunFolder) -> str:
    """What started the training, by the agent's own log."""
    lines = [json.loads(line) for line in folder.agent_log.read_text().splitlines() if line.startswith("{")]
    [started] = [line["by"] for line in lines if line["event"] == "training started"]
    return str(started)


def _warnings(folder: RunFolder) -> str:
    lines = [json.loads(line) for line in folder.agent_log.read_text().splitlines() if line.startswith("{")]
    return " ".join(str(line.get("because", "")) for line in lines)


async def _in_epoch(place: RunPlace, run_id: str, epoch: int = 1) -> psutil.Process:
    """The training process, in the midst of its work."""
    await place.gateway.until(lambda: any(m.epoch >= epoch for m in place.gateway.payloads(run_id, "metric")))
    training = place.folder(run_id).training_process()
    assert training is not None
    return psutil.Process(training.pid)


async def test_a_forked_training_is_a_process_like_one_with_its_own_interpreter(place: RunPlace) -> None:
    folder = place.start("run", epochs=500, step_seconds=0.02)
    training = await _in_epoch(place, "run")
    assert training.ppid() == _parent_of(place.launcher).pid and _how_started(folder) == "warm parent"
    # A group of its own, in its own folder, with a name that tells which run it is; and no way to talk to its parent.
    assert os.getpgid(training.pid) == training.pid
    words = [word for word in training.cmdline() if word]
    assert words[1:] == ["-m", "trainer.runs.process", str(folder.path), str(folder.dataset_file)]
    assert training.cwd() == str(folder.work)
    assert training.net_connections("unix") == []
    folder.request_stop()
    assert (await place.ended("run")).outcome == event_pb2.ATTEMPT_OUTCOME_STOPPED
    assert folder.exit_code() == 0 and not training.is_running()


async def test_runs_side_by_side_have_one_parent_and_each_its_own_end(place: RunPlace) -> None:
    place.start("good", epochs=40, step_seconds=0.02)
    place.start("killed", epochs=40, step_seconds=0.02)
    good, killed = await asyncio.gather(_in_epoch(place, "good"), _in_epoch(place, "killed"))
    assert good.ppid() == killed.ppid() == _parent_of(place.launcher).pid
    killed.kill()
    end = await place.ended("killed")
    assert (end.outcome, end.failure.metadata["exit_signal"]) == (FAILED, "SIGKILL")
    assert (await place.ended("good")).outcome == COMPLETED
    assert (place.folder("killed").exit_code(), place.folder("good").exit_code()) == (-9, 0)


async def test_what_importing_left_in_the_environment_is_there_and_what_was_the_parents_is_not(
    place: RunPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.launcher = place.new_launcher(adapter=f"{preloading_adapters.HERE}:LeavesVariables")
    monkeypatch.setenv("PARENT", "its own variable")
    _parents(place.launcher).start()
    monkeypatch.delenv("PARENT")
    folder = place.start("run", epochs=1)
    assert (await place.ended("run")).outcome == COMPLETED and _how_started(folder) == "warm parent"
    lines = [line.message for line in place.gateway.payloads("run", "log")]
    assert "library folder: of the import, left over: None" in lines


async def test_a_training_survives_its_parent_and_the_next_one_gets_another(place: RunPlace) -> None:
    folder = place.start("orphan", epochs=40, step_seconds=0.02)
    training = await _in_epoch(place, "orphan")
    first = _parent_of(place.launcher)
    first.kill()
    await place.gateway.until(lambda: training.ppid() != first.pid)
    # One that dies at once must not be started without end: until then, runs do without.
    place.start("without", epochs=1)
    assert (await place.ended("without")).outcome == COMPLETED
    assert _how_started(place.folder("without")) == "fresh interpreter"
    assert (await place.ended("orphan")).outcome == COMPLETED
    assert [item.epoch for item in place.gateway.payloads("orphan", "metric")] == list(range(1, 41))
    assert folder.exit_code() is None  # nobody was there to wait for it

    _parents(place.launcher)._due_seconds = 0.0
    place.start("with", epochs=1)
    assert (await place.ended("with")).outcome == COMPLETED
    assert _how_started(place.folder("with")) == "warm parent" and _parent_of(place.launcher) != first


async def test_a_training_that_dies_when_its_parent_is_gone_fails_the_run(place: RunPlace) -> None:
    place.start("run", epochs=500, step_seconds=0.02)
    training = await _in_epoch(place, "run")
    parent = _parent_of(place.launcher)
    parent.kill()
    await place.gateway.until(lambda: training.ppid() != parent.pid)
    training.kill()
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_PROCESS_KILLED")
    assert "how it ended" in end.failure.message and not end.failure.metadata


async def test_without_its_server_a_parent_stays_for_its_runs_and_no_longer(place: RunPlace) -> None:
    folder = place.start("run", epochs=500, step_seconds=0.02)
    await _in_epoch(place, "run")
    parent = _parent_of(place.launcher)
    place.launcher.close()
    await _in_epoch(place, "run", place.gateway.payloads("run", "metric")[-1].epoch + 5)
    assert parent.status() != psutil.STATUS_ZOMBIE
    folder.request_stop()
    await place.ended("run")
    assert folder.exit_code() == 0
    await place.gateway.until(lambda: not _lives(parent))


@pytest.mark.parametrize("adapter", ["CountingAdapter", "TakesLong"])
async def test_without_its_server_and_runs_a_parent_ends(place: RunPlace, adapter: str) -> None:
    launcher = place.new_launcher(adapter=f"{preloading_adapters.HERE}:{adapter}")
    launcher.warm_up()
    parent = _parent_of(launcher)
    await asyncio.sleep(1.0)  # it may be anywhere on its way
    assert _lives(parent)
    launcher.close()
    await place.gateway.until(lambda: not _lives(parent))


@pytest.mark.parametrize(
    ("adapter", "said"), [("StartsThreads", "worker of a library"), ("CannotBeImported", "no such library")]
)
async def test_a_framework_that_cannot_be_forked_is_imported_by_every_training(
    place: RunPlace, adapter: str, said: str
) -> None:
    place.launcher = place.new_launcher(adapter=f"{preloading_adapters.HERE}:{adapter}")
    folder = place.start("run", epochs=1)
    assert (await place.ended("run")).outcome == COMPLETED
    assert _how_started(folder) == "fresh interpreter" and folder.exit_code() == 0
    assert said in (place.root / "data" / "warm-parent.log").read_text()


async def test_a_parent_with_other_threads_refuses(place: RunPlace) -> None:
    place.launcher.warm_up()
    place.launcher._agent_settings = place.launcher._agent_settings.model_copy(update={"threads": 2})
    folder = place.start("run", epochs=1)
    assert (await place.ended("run")).outcome == COMPLETED
    assert _how_started(folder) == "fresh interpreter" and "OMP_NUM_THREADS" in _warnings(folder)
    assert any("threads: 2" in line.message for line in place.gateway.payloads("run", "log"))


async def test_by_a_setting_there_is_none(place: RunPlace) -> None:
    place.launcher = place.new_launcher(warm_parent=False)
    place.launcher.warm_up()
    folder = place.start("run", epochs=1)
    assert (await place.ended("run")).outcome == COMPLETED
    assert _how_started(folder) == "fresh interpreter" and not (place.root / "data" / "warm-parent.log").exists()
    assert place.new_launcher(slots=0)._fast_start is None


async def test_an_agent_that_dies_while_it_asks_leaves_nothing_that_trains(place: RunPlace, tmp_path: Path) -> None:
    agent = _parents(place.launcher).introduce()
    assert agent is not None
    folder = RunFolder.create(tmp_path / "run", place.spec("run"), place.launcher._agent_settings)
    assert await _said(agent) == {"ready": True}
    life_line, ours = os.pipe()
    with folder.stdout.open("ab") as stdout, folder.stderr.open("ab") as stderr:
        words = [str(folder.path), str(folder.dataset_file)]
        request = TrainingRequest(str(folder.path), words, str(folder.work), training_environment(1))
        request.send(agent, [life_line, stdout.fileno(), stderr.fileno()])
    os.close(life_line)
    training = psutil.Process((await _said(agent))["pid"])
    await asyncio.sleep(0.3)
    assert _lives(training)  # it waits for the word that others can find it
    os.close(ours)
    assert await _said(agent) == {"returncode": 1}
    assert not folder.training_spool.exists() and folder.exit_code() is None
    agent.close()


async def test_a_spare_agent_becomes_that_of_a_run_and_the_next_one_is_made_later(
    place: RunPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.launcher.warm_up()
    spare = _spare_of(place.launcher)
    assert spare is not None
    folder = place.start("run", epochs=40, step_seconds=0.02)
    await _in_epoch(place, "run")
    agent = folder.agent_process()
    assert agent is not None and agent.pid == spare.pid and os.getsid(agent.pid) == agent.pid
    words = [word for word in spare.cmdline() if word]
    assert words[1:4] == ["-m", "trainer.runs.agent", str(folder.path)]
    assert not [entry.path for entry in spare.memory_maps() if "torch" in entry.path]
    assert place.launcher.free_slots() == 1 and _spare_of(place.launcher) is None
    assert place.launcher._fast_start is not None
    monkeypatch.setattr(place.launcher._fast_start._spares, "_due_seconds", 0.0)
    place.launcher.free_slots()
    next_one = _spare_of(place.launcher)
    assert next_one is not None and next_one != spare
    # One that was killed is not waited for.
    next_one.kill()
    place.start("other", epochs=1)
    assert (await place.ended("other")).outcome == COMPLETED
    assert (await place.ended("run")).outcome == COMPLETED
    other = place.folder("other").agent_process()
    assert other is not None and other.pid not in (spare.pid, next_one.pid)


async def test_a_spare_agent_ends_with_its_server(place: RunPlace) -> None:
    place.launcher.warm_up()
    spare = _spare_of(place.launcher)
    assert spare is not None
    place.launcher.close()
    await place.gateway.until(lambda: not _lives(spare))


def test_a_parent_that_cannot_be_started_or_reached_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = WarmParents("nowhere:Nothing", 1, tmp_path / "no folder" / "log")
    assert kept.introduce() is None
    monkeypatch.setattr(parents, "RESTART_SECONDS", 0.0)
    kept = WarmParents("nowhere:Nothing", 1, tmp_path / "log")
    kept.start()
    assert kept._parent is not None and kept._parent.process.wait(30) == 1
    first = kept._parent.process
    kept.start()
    assert kept._parent.process.pid != first.pid
    kept._parent.process.send_signal(signal.SIGKILL)
    kept.close()


async def _said(agent: socket.socket) -> dict[str, Any]:
    agent.setblocking(False)
    async with asyncio.timeout(15):
        data = await asyncio.get_running_loop().sock_recv(agent, MAX_MESSAGE_BYTES)
    found: dict[str, Any] = json.loads(data)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
