"""Which checkpoints are kept, in the records and in the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.checkpoint_readers import CheckpointReaders
from gateway.training.garbage import GarbageCollector
from tests.gateway.calls import refused
from tests.gateway.checkpoints import KEEP_ALL, listed, named, only_stored, published, stored, weights
from tests.gateway.conftest import Account
from tests.gateway.job_agent import Connection, Script
from tests.gateway.job_client import JobClient, answers_of
from tests.gateway.job_fixtures import Mesh
from tests.gateway.job_gateway import GatewayTimes
from visionmesh.v1 import checkpoint_pb2, training_pb2

Retention = checkpoint_pb2.CheckpointRetention


async def begun(mesh: Mesh, ada: JobClient, **fields: object) -> tuple[str, Script, Connection]:
    script, agent = await mesh.running(ada, epochs=20, **fields)
    return script.run.job_id, script, agent


async def test_best_and_last_are_kept_and_shown_with_metric_size_and_digest(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    told = {}
    for epoch, accuracy, kept in ((1, 0.5, [1]), (2, 0.8, [2]), (3, 0.7, [2, 3]), (4, 0.6, [2, 4]), (5, 0.9, [5])):
        told[epoch] = published(mesh, script, epoch, accuracy)
        await agent.send(told[epoch])
        assert await listed(ada, job_id) == kept  # with the record of the newer one, the older one is gone
        await only_stored(mesh, named(script, *kept))
    [shown] = (await ada.checkpoints(job_id)).checkpoints
    assert (dict(shown.metrics), shown.is_best) == ({"accuracy": 0.9}, True)
    assert (shown.size_bytes, shown.digest) == (len(weights(5) + b"state"), told[5].checkpoint.digest)
    assert [*shown.files] == [*told[5].checkpoint.files]


async def test_a_job_says_how_many_of_the_newest_and_every_how_manieth(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada, checkpoint_retention=Retention(every_n_epochs=3, keep_last=2))
    # In one batch, as after a gateway that was away.
    await agent.send(*(published(mesh, script, epoch, accuracy=1 / epoch) for epoch in range(1, 9)))
    assert await listed(ada, job_id) == [1, 3, 6, 7, 8]
    await only_stored(mesh, named(script, 1, 3, 6, 7, 8))
    assert (await ada.get(job_id)).checkpoint_retention == Retention(every_n_epochs=3, keep_last=2)


async def test_what_a_job_leaves_open_the_settings_say(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    await closed_mesh.open(GatewayTimes(checkpoint_every_n_epochs=4, checkpoint_keep_last=2))
    ada = closed_mesh.client(alice, pets)
    kept = [
        (await ada.create(ada.spec(checkpoint_retention=said), validate_only=only_look)).checkpoint_retention
        for said, only_look in ((None, False), (None, True), (Retention(keep_last=5), False), (KEEP_ALL, False))
    ]
    assert [(item.every_n_epochs, item.keep_last) for item in kept] == [(4, 2), (4, 2), (4, 5), (1, 2)]
    job_id, script, agent = await begun(closed_mesh, ada)
    await agent.send(*(published(closed_mesh, script, epoch, accuracy=0.1) for epoch in range(1, 8)))
    assert await listed(ada, job_id) == [1, 4, 6, 7]


async def test_retention_out_of_range_is_refused(ada: JobClient) -> None:
    for said, fields in (
        (Retention(every_n_epochs=-1, keep_last=0), ["every_n_epochs", "keep_last"]),
        (Retention(every_n_epochs=100_001), ["every_n_epochs"]),
        (Retention(keep_last=1001), ["keep_last"]),
    ):
        error = await refused(ada.create(ada.spec(checkpoint_retention=said)))
        assert [item.field for item in error.violations] == [f"job.checkpoint_retention.{field}" for field in fields]
    assert (await ada.create(ada.spec(checkpoint_retention=Retention(every_n_epochs=0, keep_last=1000)))).id


async def test_the_last_one_that_can_be_gone_on_from_is_kept(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    for epoch, resumable in ((1, True), (2, True), (3, False), (4, False)):
        await agent.send(published(mesh, script, epoch, accuracy=1 / epoch, resumable=resumable))
    assert await listed(ada, job_id) == [1, 2, 4]
    await agent.send(script.end("FAILED", "TRAINING_ERROR"))
    await ada.start(job_id, resume=True)
    assert (await mesh.run_of(job_id, attempt=2)).resume_from.epoch == 2


async def test_one_that_another_job_takes_from_is_held_until_that_one_has_ended(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    await agent.send(published(mesh, script, 1))
    mesh.trainer.free_slots = 0
    await mesh.gateway.fleet.trainers[0].refresh(5)
    taker = (await ada.create()).id
    [first] = named(script, 1)
    await ada.start(taker, checkpoint_id=first)
    await agent.send(published(mesh, script, 2, 0.6))
    assert await ada.state(taker) == "QUEUED" and await listed(ada, job_id) == [1, 2]
    mesh.trainer.free_slots = 1
    run = await mesh.run_of(taker)
    await agent.send(published(mesh, script, 3, 0.7))
    assert (run.start_from.checkpoint_id, await listed(ada, job_id)) == (first, [1, 3])
    theirs, beside = Script(run), await mesh.agent(run)
    await beside.send(theirs.start())
    await agent.send(published(mesh, script, 4, 0.8), script.end())
    await mesh.gateway.sweeper.release()
    assert await listed(ada, job_id) == [1, 4]  # it may be restarted, and begins with them again
    await beside.send(theirs.end("FAILED", "TRAINING_ERROR"))
    await mesh.gateway.sweeper.release()
    assert await listed(ada, job_id) == [4]
    await only_stored(mesh, named(script, 4))


async def test_what_a_job_went_on_from_goes_when_it_ends(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    await ada.stop(job_id)
    await agent.send(published(mesh, script, 1), script.end("STOPPED"))
    await ada.start(job_id, resume=True)
    again = Script(await mesh.run_of(job_id, attempt=2))
    agent = await mesh.agent(again.run)
    await agent.send(again.start(), published(mesh, again, 2, 0.6))
    assert await listed(ada, job_id) == [1, 2]
    await agent.send(published(mesh, again, 3, 0.7), again.end())
    assert await listed(ada, job_id) == [3]
    await only_stored(mesh, named(again, 3))


async def test_who_forgot_to_resume_loses_neither_best_nor_last(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada, checkpoint_retention=KEEP_ALL)
    sent = [published(mesh, script, epoch, accuracy) for epoch, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7))]
    await ada.stop(job_id)
    await agent.send(*sent, script.end("STOPPED"))
    await ada.start(job_id)  # afresh
    fresh = Script(await mesh.run_of(job_id, attempt=2))
    assert await listed(ada, job_id) == [1, 2, 3]  # as long as it has none of its own
    agent = await mesh.agent(fresh.run)
    await agent.send(fresh.start(), published(mesh, fresh, 1, 0.1))
    await only_stored(mesh, named(script, 2, 3), named(fresh, 1))
    await agent.send(fresh.end("FAILED", "TRAINING_ERROR"))

    [last] = named(script, 3)
    await ada.start(job_id, resume=True, checkpoint_id=last)
    resumed = Script(await mesh.run_of(job_id, attempt=3))
    assert (resumed.run.resume_from.checkpoint_id, resumed.run.best_metric) == (last, 0.9)
    agent = await mesh.agent(resumed.run)
    # They count again, so what is no longer the best goes as any other; and the fresh one was left behind this time.
    await agent.send(resumed.start(), published(mesh, resumed, 4, 0.95), resumed.end())
    await ada.update(job_id, "checkpoint_retention")
    await only_stored(mesh, named(fresh, 1), named(resumed, 4))


async def test_a_killed_gateway_leaves_no_garbage_behind(closed_mesh: Mesh, alice: Account, pets: str) -> None:
    mesh = closed_mesh
    await mesh.open(GatewayTimes(checkpoint_removal_delay_seconds=3600))
    ada = mesh.client(alice, pets)
    job_id, script, agent = await begun(mesh, ada)
    await agent.send(published(mesh, script, 1), published(mesh, script, 2, 0.6))
    assert await listed(ada, job_id) == [2]
    await mesh.gateway.garbage.collect()
    assert stored(mesh) == named(script, 1, 2)  # who looked it up just before can still read it
    await mesh.reopen()
    await only_stored(mesh, named(script, 2))


async def test_objects_that_nobody_recorded_are_swept(mesh: Mesh, ada: JobClient) -> None:
    ended_id, ended, agent = await begun(mesh, ada)
    await agent.send(published(mesh, ended, 1), ended.end())
    published(mesh, ended, 7)  # its agent died before it could tell
    _, running, _ = await begun(mesh, ada)
    untold = published(mesh, running, 1)
    mesh.store.put("checkpoints/default/job_of_another_database/c1/weights.safetensors", b"precious")
    mesh.store.put("checkpoints/readme.txt", b"a stray")
    assert await mesh.gateway.sweeper.sweep() == 1
    await mesh.gateway.garbage.collect()
    keys = {info.key for info in mesh.store.list("checkpoints/")}
    assert "checkpoints/readme.txt" in keys and any("another_database" in key for key in keys)
    left = {key.split("/")[3] for key in keys if key.count("/") == 4}
    assert left == named(ended, 1) | named(running, 1) | {"c1"}
    assert await mesh.gateway.sweeper.sweep() == 0
    await mesh.deliver(running.run, untold)
    assert await listed(ada, running.run.job_id) == [1]
    assert (await ada.download(ended_id))[1] == weights(1)


async def test_what_is_read_stays_whichever_gateway_reads_it(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    await agent.send(published(mesh, script, 1))
    path = (await ada.checkpoints(job_id)).checkpoints[0].storage_path
    reading = CheckpointReaders()
    beside = GarbageCollector(mesh.database, mesh.store, reading, delay_seconds=1.5)
    other = GarbageCollector(mesh.database, mesh.store, CheckpointReaders(), delay_seconds=1.5)
    await mesh.gateway.garbage.close()
    beside.start()
    other.start()
    with reading.reading(path):
        await agent.send(published(mesh, script, 2, 0.6))
        assert await listed(ada, job_id) == [2]
        await asyncio.sleep(3.0)  # longer than either would have waited
        assert stored(mesh) == named(script, 1, 2)
    await only_stored(mesh, named(script, 2))
    for collector in (beside, other):
        await collector.close()


async def test_a_download_under_way_is_not_cut_off(mesh: Mesh, ada: JobClient) -> None:
    job_id, script, agent = await begun(mesh, ada)
    size = 40 << 20
    await agent.send(published(mesh, script, 1, size_bytes=size))
    request = training_pb2.DownloadCheckpointRequest(job_id=job_id)
    call: Any = ada.stub.DownloadCheckpoint(request, metadata=ada.metadata, timeout=60)
    first = await call.read()
    data = (await call.read()).chunk
    await agent.send(published(mesh, script, 2, 0.9))
    assert await listed(ada, job_id) == [2]
    await mesh.gateway.garbage.collect()
    assert stored(mesh) == named(script, 1, 2)
    parts = [data, *[answer.chunk async for answer in answers_of(call)]]
    assert b"".join(parts) == weights(1, size) and first.epoch == 1
    await only_stored(mesh, named(script, 2))


async def test_what_the_store_does_not_give_up_now_goes_later(mesh: Mesh, ada: JobClient, tmp_path: Path) -> None:
    job_id, script, agent = await begun(mesh, ada)
    await agent.send(published(mesh, script, 1))
    second = published(mesh, script, 2, 0.9)
    folder, away = tmp_path / "objects", tmp_path / "away"
    folder.rename(away)
    await agent.send(second)
    assert await listed(ada, job_id) == [2]
    assert await mesh.gateway.garbage.collect() == 0
    away.rename(folder)
    await only_stored(mesh, named(script, 2))
