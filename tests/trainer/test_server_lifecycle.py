"""How a trainer server starts, refuses to start, and ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import psutil
import pytest

from rpc.channel import open_mesh_channel
from tests.trainer.servers import RUN_TOKEN, TOKEN, environment, refusal, run_spec, run_to_end, running_trainer
from visionmesh.mesh.v1 import trainer_pb2
from visionmesh.mesh.v1.trainer_service_pb2_grpc import TrainerServiceStub
from visionmesh.v1 import common_pb2

CLASSIFICATION = common_pb2.TASK_TYPE_IMAGE_CLASSIFICATION


async def test_it_says_who_it_is_at_once_while_the_framework_is_being_imported(tmp_path: Path) -> None:
    with running_trainer(tmp_path) as fresh:
        async with open_mesh_channel(fresh.address, TOKEN) as channel:
            described: trainer_pb2.DescribeResponse = await TrainerServiceStub(channel).Describe(
                trainer_pb2.DescribeRequest(), timeout=3
            )
        assert "framework imported" not in fresh.log.read_text()

    assert described.framework == "timm"
    assert list(described.task_types) == [CLASSIFICATION]
    assert (described.slots, described.free_slots) == (1, 1)
    assert {"timm", "torch"} <= set(described.versions)
    assert described.instance_id


async def test_runs_end_with_the_server_where_that_is_set(tmp_path: Path) -> None:
    with running_trainer(tmp_path, stop_runs_on_exit="true", drain_seconds="1") as ending:
        async with open_mesh_channel(ending.address, TOKEN) as channel:
            stub = TrainerServiceStub(channel)
            await stub.StartRun(trainer_pb2.StartRunRequest(run=run_spec("last"), run_token=RUN_TOKEN))
            busy = await refusal(
                stub.StartRun(trainer_pb2.StartRunRequest(run=run_spec("another"), run_token=RUN_TOKEN))
            )
        children = psutil.Process(ending.process.pid).children()
        (agent,) = [child for child in children if "trainer.runs.agent" in child.cmdline()]
        (parent,) = [child for child in children if "trainer.runs.warm.parent" in child.cmdline()]
        ending.terminate()
        assert await asyncio.to_thread(ending.process.wait, 30) == 0, ending.log.read_text()
        # It does not wait for the import that it had only begun.
        assert "framework imported" not in ending.log.read_text()

    assert (busy.code, busy.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
    assert busy.retry_seconds
    assert not agent.is_running()
    # Amid its import, which nobody waits for any more.
    psutil.wait_procs([parent], timeout=10)
    assert not parent.is_running()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mesh_token": ""}, ["VISIONMESH_MESH_TOKEN is not set"]),
        ({"kill_at": "nowhere"}, ["VISIONMESH_KILL_AT is wrong", "'nowhere'", "checkpoint.uploaded"]),
        ({"slots": "many", "listen_address": "nowhere"}, ["VISIONMESH_SLOTS", "VISIONMESH_LISTEN_ADDRESS"]),
        ({"data_folder": "/dev/null/data"}, ["A folder cannot be used", "/dev/null"]),
        ({"listen_address": "203.0.113.1:1"}, ["The address 203.0.113.1:1 cannot be listened on"]),
    ],
)
def test_wrong_settings_end_it_with_one_clear_line(tmp_path: Path, settings: dict[str, str], said: list[str]) -> None:
    ended = run_to_end(environment(tmp_path, **settings))

    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if line.startswith("python -m trainer_timm: ")]
    assert len(lines) == 1 and "Traceback" not in ended.stderr
    assert all(text in lines[0] for text in said)
    assert TOKEN not in ended.stderr


def test_help_lists_every_variable() -> None:
    ended = run_to_end({}, "--help")

    assert ended.returncode == 0
    for name in ("MESH_TOKEN", "LISTEN_ADDRESS", "DRAIN_SECONDS", "OBJECT_STORE"):
        assert f"VISIONMESH_{name}\n" in ended.stdout
    assert "required" in ended.stdout
