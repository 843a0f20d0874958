"""The launcher: slots, agents that outlive it, and runs whose agents died."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from rpc.errors import DomainError
from tests.trainer.fake_gateway import RUN_TOKEN
from tests.trainer.run_place import RunPlace
from trainer.runs.folder import RunFolder
from trainer.runs.launcher import KEPT_RUNS, LocalLauncher
from trainer.runs.processes import ProcessIdentity
from visionmesh.v1 import event_pb2

STOPPED, FAILED = event_pb2.ATTEMPT_OUTCOME_STOPPED, event_pb2.ATTEMPT_OUTCOME_FAILED


async def _training(place: RunPlace, run_id: str, **config: object) -> tuple[RunFolder, ProcessIdentity]:
    """Start a long run; return once it has published a checkpoint."""
    folder = place.start(run_id, epochs=1000, step_seconds=0.02, **config)
    await place.gateway.until(lambda: place.gateway.payloads(run_id, "checkpoint"))
    training = folder.training_process()
    assert training is not None and training.is_alive()
    return folder, training


def _kill_agent(folder: RunFolder) -> None:
    agent = folder.agent_process()
    assert agent is not None
    os.kill(agent.pid, signal.SIGKILL)


async def test_starting_twice_starts_once_and_full_slots_are_busy(place: RunPlace) -> None:
    launcher = place.launcher
    assert launcher.free_slots() == 2
    folder, training = await _training(place, "one")
    launcher.start(place.spec("one"), RUN_TOKEN)
    assert launcher.free_slots() == 1 and folder.training_process() == training
    launcher.start(place.spec("two", epochs=1000, step_seconds=0.02), RUN_TOKEN)
    assert launcher.free_slots() == 0
    with pytest.raises(DomainError) as refused:
        launcher.start(place.spec("three"), RUN_TOKEN)
    assert refused.value.reason == "BUSY" and not place.folder("three").exists()
    assert [(status.run_id, status.job_id, status.alive) for status in launcher.statuses()] == [
        ("one", "job", True),
        ("two", "job", True),
    ]
    assert not launcher.stop("three", kill=False) and not launcher.stop("../runs/one", kill=True)


async def test_a_graceful_stop_publishes_and_frees_the_slot(place: RunPlace) -> None:
    folder, training = await _training(place, "run")
    assert place.launcher.stop("run", kill=False)
    assert (await place.ended("run")).outcome == STOPPED
    assert not training.is_alive()
    assert place.launcher.stop("run", kill=False)
    await place.gateway.until(lambda: not place.launcher.statuses()[0].alive)
    assert place.launcher.free_slots() == 2 and folder.exit_code() == 0


async def test_killing_a_run_ends_agent_and_training_without_a_word(place: RunPlace) -> None:
    folder, training = await _training(place, "run")
    assert place.launcher.stop("run", kill=True)
    agent = folder.agent_process()
    assert agent is not None and not agent.is_alive() and not training.is_alive()
    assert folder.ended_why() == "killed" and place.gateway.end("run") is None
    assert place.launcher.free_slots() == 2 and not place.launcher.statuses()[0].alive


async def test_a_restarted_launcher_finds_living_agents_and_leaves_them_alone(place: RunPlace) -> None:
    folder, training = await _training(place, "run")
    agent = folder.agent_process()
    again = place.new_launcher()
    assert again.free_slots() == 1 and again.statuses()[0].alive
    again.start(place.spec("run"), RUN_TOKEN)
    assert folder.agent_process() == agent and training.is_alive()
    assert again.stop("run", kill=False)
    assert (await place.ended("run")).outcome == STOPPED


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_whose_agent_was_killed_is_published_and_ended(place: RunPlace, restarted: bool) -> None:
    folder, training = await _training(place, "run")
    _kill_agent(folder)
    # Nothing trains unseen: the training notices by itself.
    await place.gateway.until(lambda: not training.is_alive(), 5)
    told = len(place.gateway.events["run"])
    launcher: LocalLauncher = place.new_launcher() if restarted else place.launcher
    await place.gateway.until(lambda: launcher.free_slots() == 2)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "TRAINING_PROCESS_KILLED")
    assert "agent died" in end.failure.message
    gateway = place.gateway
    assert len(gateway.events["run"]) > told
    # Every checkpoint that was written is published exactly once, as are metrics and lines of the log.
    epochs = [item.epoch for item in gateway.payloads("run", "metric")]
    published = [item.epoch for item in gateway.payloads("run", "checkpoint")]
    assert epochs == list(range(1, len(epochs) + 1)) and published in (epochs, epochs[:-1])
    assert len({item.id for item in gateway.payloads("run", "checkpoint")}) == len(published)
    assert sum(line.source == "stdout" for line in gateway.payloads("run", "log")) == 1


async def test_an_agent_that_dies_after_the_training_does_not_change_how_the_run_ended(place: RunPlace) -> None:
    await place.gateway.stop()
    folder = place.start("run", epochs=2)
    await place.gateway.until(lambda: folder.exit_code() == 0)
    _kill_agent(folder)
    await place.gateway.start()
    await place.gateway.until(lambda: place.launcher.free_slots() == 2)
    assert (await place.ended("run")).outcome == event_pb2.ATTEMPT_OUTCOME_COMPLETED
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == [1, 2]


async def test_stop_all_kills_what_does_not_end_and_the_rest_is_published_later(place: RunPlace) -> None:
    (_, good), (deaf, busy) = await asyncio.gather(_training(place, "good"), _training(place, "deaf", ending="deaf"))
    await asyncio.to_thread(place.launcher.stop_all, 1.5)
    assert not good.is_alive() and not busy.is_alive()
    assert (await place.ended("good")).outcome == STOPPED and not deaf.is_ended()
    again = place.new_launcher()
    await place.gateway.until(lambda: again.free_slots() == 2)
    assert (await place.ended("deaf")).outcome == STOPPED


async def test_only_the_newest_ended_runs_are_kept(place: RunPlace) -> None:
    settings = place.launcher._agent_settings
    for number in range(KEPT_RUNS + 3):
        folder = RunFolder.create(place.folder(f"run-{number:02}").path, place.spec(f"run-{number:02}"), settings)
        folder.mark_ended("published")
        os.utime(folder.path / "ended", (number, number))
    assert {status.run_id for status in place.launcher.statuses()} == {f"run-{n:02}" for n in range(3, KEPT_RUNS + 3)}


def test_a_recycled_pid_is_not_taken_for_the_process_that_had_it() -> None:
    myself = ProcessIdentity.of(os.getpid())
    assert myself.is_alive()
    stranger = ProcessIdentity(myself.pid, "at another time")
    assert not stranger.is_alive()
    stranger.kill_group()  # would end this test run
