"""An agent whose gateway does not want what it says ends its run, and says so where it still can."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.trainer.fake_gateway import RUN_TOKEN
from tests.trainer.run_place import MESH_TOKEN, RunPlace
from trainer.runs.folder import RunFolder
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

COMPLETED = event_pb2.ATTEMPT_OUTCOME_COMPLETED
FAILED = event_pb2.ATTEMPT_OUTCOME_FAILED
STORE_SECRET = "key-of-the-object-store"


def impatient(place: RunPlace, refusal_seconds: float) -> None:
    """Agents believe a refusal that goes on for so long."""
    settings = place.launcher._agent_settings
    place.launcher._agent_settings = settings.model_copy(update={"refusal_seconds": refusal_seconds})


def token_file(place: RunPlace, run_id: str) -> Path:
    return place.root / "data" / "run_tokens" / run_id


def training_is_over(folder: RunFolder) -> bool:
    training = folder.training_process()
    return training is None or not training.is_alive()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_a_refused_event_of_the_training_ends_the_run_with_the_reason(place: RunPlace) -> None:
    place.gateway.refuses = lambda event: event.HasField("metric") and event.metric.epoch == 3
    folder = place.start("run", epochs=500, step_seconds=0.02)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "EVENT_REFUSED")
    assert "not to this gateway's liking" in end.failure.message
    refused = int(end.failure.metadata["source_sequence"])
    assert end.failure.metadata["source"] == "training"
    assert place.gateway.position("run", run_pb2.EVENT_SOURCE_TRAINING) == refused - 1
    assert [item.epoch for item in place.gateway.payloads("run", "metric")] == [1, 2]
    # The training stopped by itself, and what else there was to tell was told.
    assert folder.exit_code() == 0 and folder.ended_why() == "published"
    assert len(place.gateway.payloads("run", "checkpoint")) >= 3


async def test_the_end_takes_the_number_of_a_refused_event_of_the_agent(place: RunPlace) -> None:
    place.gateway.refuses = lambda event: event.HasField("checkpoint") and event.checkpoint.epoch >= 2
    folder = place.start("run", epochs=500, step_seconds=0.02)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason, end.failure.metadata["source"]) == (FAILED, "EVENT_REFUSED", "agent")
    numbers = [event.source_sequence for event in place.gateway.events["run"] if event.source == 3]
    assert numbers == [*range(1, int(end.failure.metadata["source_sequence"]) + 1)]
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == [1]
    assert folder.ended_why() == "published" and training_is_over(folder)


async def test_a_run_whose_very_end_is_refused_does_not_hang(place: RunPlace) -> None:
    place.gateway.refuses = lambda event: event.HasField("end")
    folder = place.start("run", epochs=2)
    await place.gateway.until(folder.is_ended)
    assert folder.ended_why() == "refused" and place.gateway.end("run") is None
    assert [item.epoch for item in place.gateway.payloads("run", "checkpoint")] == [1, 2]
    assert b"EVENT_REFUSED" in folder.agent_log.read_bytes()


async def test_a_recovered_run_ends_as_its_first_agent_would_have_ended_it(place: RunPlace) -> None:
    """The agent dies between the refusal and its end: the next one is refused again."""
    place.gateway.refuses = lambda event: event.HasField("checkpoint") or event.HasField("end")
    folder = place.start("run", epochs=3)
    await place.gateway.until(folder.is_ended)
    place.gateway.refuses = lambda event: event.HasField("checkpoint")
    (folder.path / "ended").unlink()
    await place.gateway.until(lambda: place.launcher.free_slots() == 2)
    end = await place.ended("run")
    assert (end.outcome, end.failure.reason) == (FAILED, "EVENT_REFUSED")


async def test_an_agent_without_a_good_token_gives_up_and_its_training_ends(place: RunPlace) -> None:
    impatient(place, 0.5)
    folder = place.launch(place.spec("run", epochs=1000, step_seconds=0.02), "the-token-of-no-run")
    await place.gateway.until(folder.is_ended)
    assert folder.ended_why() == "refused"
    await place.gateway.until(lambda: training_is_over(folder))
    assert not place.gateway.events["run"] and b"TOKEN_INVALID" in folder.agent_log.read_bytes()
    assert place.launcher.free_slots() == 2
    assert not token_file(place, "run").exists()


async def test_a_refusal_that_passes_is_waited_out(place: RunPlace) -> None:
    folder = place.start("run", epochs=30, step_seconds=0.01)
    await place.gateway.until(lambda: place.gateway.payloads("run", "metric"))
    await place.gateway.stop()
    await place.gateway.start(token="the-token-of-another-run")
    await place.gateway.until(lambda: b"TOKEN_INVALID" in folder.agent_log.read_bytes())
    await place.gateway.stop()
    await place.gateway.start()
    assert (await place.ended("run")).outcome == COMPLETED


@pytest.mark.parametrize("warm_parent", [False, True])
async def test_an_agent_holds_the_token_of_its_run_and_nothing_else(
    place: RunPlace, monkeypatch: pytest.MonkeyPatch, warm_parent: bool
) -> None:
    place.launcher.close()
    place.launcher = place.new_launcher(warm_parent=warm_parent)
    # The environment of a trainer server.
    monkeypatch.setenv("VISIONMESH_MESH_TOKEN", MESH_TOKEN)
    monkeypatch.setenv("VISIONMESH_MESH_TOKEN_FILE", f"/run/secrets/{MESH_TOKEN}")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"VISIONMESH_S3_{name}", STORE_SECRET)
        monkeypatch.setenv(f"AWS_{name}", STORE_SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", STORE_SECRET)
    place.launcher.warm_up()
    folder = place.start("run", epochs=1000, step_seconds=0.02)
    await place.gateway.until(lambda: place.gateway.payloads("run", "metric"))
    agent, training = folder.agent_process(), folder.training_process()
    assert agent is not None and training is not None
    held = environment_of(agent.pid)
    # A spare agent was told its token, not born with it.
    assert warm_parent or RUN_TOKEN.encode() in held
    assert MESH_TOKEN.encode() not in held and STORE_SECRET.encode() not in held
    held = environment_of(training.pid)
    assert not any(secret.encode() in held for secret in (RUN_TOKEN, MESH_TOKEN, STORE_SECRET))
    file = token_file(place, "run")
    assert file.read_text() == RUN_TOKEN and file.stat().st_uid == os.getuid()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    # A start that is repeated changes nothing.
    place.launch(place.spec("run"), "another-token-of-the-run")
    assert file.read_text() == RUN_TOKEN and folder.agent_process() == agent
    assert place.launcher.stop("run", kill=True)
    assert not file.exists()
