"""Changing a job that exists."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.gateway.calls import refused
from tests.gateway.checkpoints import KEEP_ALL, listed, named, only_stored, published
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from visionmesh.v1 import checkpoint_pb2

Retention = checkpoint_pb2.CheckpointRetention


async def test_what_the_mask_names_is_changed_and_nothing_else(ada: JobClient) -> None:
    made = await ada.create(ada.spec(experiment_name="first", tags=["a"], notes="see below", priority=2))
    changed = await ada.update(made.id, "experiment_name", "tags", experiment_name="good", tags=["b", "c"], notes="no")
    assert (changed.experiment_name, [*changed.tags], changed.notes, changed.priority) == (
        "good", ["b", "c"], "see below", 2
    )  # fmt: skip
    assert changed.update_time.ToDatetime() > made.update_time.ToDatetime()
    assert await ada.get(made.id) == changed
    emptied = await ada.update(made.id, "notes", "tags", "priority")
    assert (emptied.experiment_name, [*emptied.tags], emptied.notes, emptied.priority) == ("good", [], "", 0)
    assert [job.id for job in (await ada.jobs(text="GOOD")).jobs] == [made.id]


async def test_without_a_mask_what_is_set_is_changed(ada: JobClient) -> None:
    made = await ada.create(ada.spec(experiment_name="first", tags=["a"], checkpoint_retention=KEEP_ALL))
    changed = await ada.update(made.id, notes="good", checkpoint_retention=Retention(keep_last=3))
    assert (changed.experiment_name, [*changed.tags], changed.notes) == ("first", ["a"], "good")
    assert changed.checkpoint_retention == Retention(every_n_epochs=1, keep_last=3)
    assert [item.field for item in (await refused(ada.update(made.id))).violations] == ["update_mask"]
    error = await refused(ada.update(made.id, notes="good", epochs=9, framework="yolo"))
    assert [item.field for item in error.violations] == ["job.framework", "job.epochs"]


async def test_retention_is_changed_as_a_whole_or_in_part(ada: JobClient) -> None:
    made = await ada.create(ada.spec(checkpoint_retention=Retention(every_n_epochs=5, keep_last=4)))
    part = await ada.update(
        made.id, "checkpoint_retention.keep_last", checkpoint_retention=Retention(every_n_epochs=9, keep_last=2)
    )
    assert part.checkpoint_retention == Retention(every_n_epochs=5, keep_last=2)
    whole = await ada.update(made.id, "checkpoint_retention", checkpoint_retention=Retention(every_n_epochs=7))
    assert whole.checkpoint_retention == Retention(every_n_epochs=7, keep_last=1)
    settings = await ada.update(made.id, "checkpoint_retention.every_n_epochs")
    assert settings.checkpoint_retention == Retention(every_n_epochs=0, keep_last=1)


async def test_what_is_no_longer_kept_goes_at_once(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=9, checkpoint_retention=KEEP_ALL)
    job_id = script.run.job_id
    await agent.send(*(published(mesh, script, epoch, 1 / epoch) for epoch in range(1, 7)))
    assert await listed(ada, job_id) == [1, 2, 3, 4, 5, 6]
    await ada.update(job_id, "notes", notes="nothing goes for this")
    await ada.update(job_id, "checkpoint_retention", checkpoint_retention=Retention(every_n_epochs=4))
    assert await listed(ada, job_id) == [1, 4, 6]
    await only_stored(mesh, named(script, 1, 4, 6))
    await agent.send(script.end())
    await ada.update(job_id, "checkpoint_retention")  # also when it has ended
    assert await listed(ada, job_id) == [1, 6]


async def test_priority_moves_a_job_that_waits(mesh: Mesh, ada: JobClient) -> None:
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    first, second = [(await ada.create()).id for _ in range(2)]
    for job_id in (first, second):
        await ada.start(job_id)
    assert (await ada.update(second, "priority", priority=7)).priority == 7
    mesh.trainer.free_slots = 1
    assert (await mesh.run_of(second)).job_id == second
    assert await ada.state(first) == "QUEUED" or [run.job_id for run in mesh.trainer.runs.values()] == [second, first]


async def test_everything_wrong_is_named_at_once(ada: JobClient) -> None:
    job_id = (await ada.create()).id
    error = await refused(
        ada.update(
            job_id,
            "epochs", "experiment_name", "tags", "notes", "nothing", "checkpoint_retention", "x" * 5000, "tags.first",
            experiment_name="n" * 201,
            tags=["", "t" * 201, "good", "a\0b"],
            notes="n" * 10_001,
            session_id="s" * 999,
            checkpoint_retention=Retention(every_n_epochs=-1, keep_last=1001),
        )
    )  # fmt: skip
    assert (error.reason, error.code) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
    assert [item.field for item in error.violations] == [
        "update_mask.paths[0]",
        "update_mask.paths[4]",
        "update_mask.paths[6]",
        "update_mask.paths[7]",
        "job.experiment_name",
        "job.notes",
        "job.tags[0]",
        "job.tags[1]",
        "job.tags[3]",
        "job.checkpoint_retention.every_n_epochs",
        "job.checkpoint_retention.keep_last",
    ]
    said = {item.field: item.description for item in error.violations}
    assert "fixed when the job is created" in said["update_mask.paths[0]"]
    assert all("no field of a job" in said[f"update_mask.paths[{place}]"] for place in (4, 7))
    assert len(said["update_mask.paths[6]"]) < 500
    assert all("experiment_name, tags, notes, priority" in said[f"update_mask.paths[{place}]"] for place in (0, 4))
    error = await refused(ada.update(job_id, "tags", tags=["t"] * 51))
    assert [item.field for item in error.violations] == ["job.tags"]
    assert await ada.get(job_id) == (await ada.jobs()).jobs[0]  # nothing was changed


async def test_someone_elses_job_tells_nothing(ada: JobClient, ben: JobClient) -> None:
    job_id = (await ada.create()).id
    for fields in ({"notes": "mine"}, {"notes": "n" * 10_001}):
        for named_job in (job_id, "job_none", "job\0"):
            error = await refused(ben.update(named_job, "notes", **fields))
            assert (error.reason, error.code) == ("JOB_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize("how", ["update", "create"])
async def test_a_nul_in_a_text_is_refused(ada: JobClient, how: str) -> None:
    job_id = (await ada.create()).id
    fields = {"experiment_name": "a\0", "notes": "\0", "tags": ["a", "\0"]}
    error = await refused(ada.update(job_id, *fields, **fields) if how == "update" else ada.create(ada.spec(**fields)))
    assert [item.field for item in error.violations] == ["job.experiment_name", "job.notes", "job.tags[1]"]


async def test_changes_beside_a_run_are_not_lost(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=100)
    job_id = script.run.job_id

    async def train() -> None:
        for epoch in range(1, 21):
            await agent.send(script.metric(epoch), script.progress(epoch + 1, 1))

    async def change() -> None:
        for number in range(20):
            await ada.update(job_id, "notes", notes=f"note {number}")

    await asyncio.gather(train(), change())
    job = await ada.get(job_id)
    assert (job.notes, job.current_epoch) == ("note 19", 20)
