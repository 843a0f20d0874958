"""A gateway that was killed, stopped or left with unfinished uploads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import grpc
from sqlalchemy.orm import Session

from gateway.datasets.service import DatasetService
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import now
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client, SlowStore, serving
from tests.gateway.datasets.pictures import files_to, header, pets, spec, whole
from tests.gateway.waiting import until
from visionmesh.v1 import dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
ANALYZING = dataset_pb2.DATASET_STATE_ANALYZING
Message = dataset_pb2.UploadFilesRequest

# A gateway's datasets in a process of their own, which a test can kill.
SERVER = """
import asyncio, sys
from pathlib import Path
from storage.database.engine import Database
from tests.gateway.datasets.conftest import SlowStore, serving

async def main(database, objects):
    async with serving(Database(database), SlowStore(Path(objects), 1.0)) as (_, address):
        print(address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_kill_at_any_moment_leaves_what_the_next_start_puts_right(
    database: Database, store: LocalObjectStore, tmp_path: Path, alice: Account
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, f"sqlite:///{tmp_path / 'gateway.db'}", str(tmp_path / "objects"),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    async with grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        uploading = await client.create(spec("uploading"))
        adding = client.stub.UploadFiles(metadata=alice.metadata)
        await adding.write(Message(dataset_id=uploading.id))
        await adding.write(Message(header=header("train/cat/whole.png", b"whole")))
        await adding.write(Message(chunk=b"whole"))
        await adding.read()
        await adding.write(Message(header=header("train/cat/half.png", bytes(3 << 20))))
        await adding.write(Message(chunk=bytes(1 << 20)))
        creating = client.stub.UploadDataset(metadata=alice.metadata)
        for message in [*whole(spec("half"), pets())][:8]:
            await creating.write(message)
        await until(lambda: len([*store.list("datasets/")]) >= 4)
        analyzing = await client.filled(pets())
        await client.finalize(analyzing)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        adding.cancel()
        creating.cancel()
    left = await database.read(lambda session: DatasetRepository(session).get(analyzing))
    assert left is not None and left.state == "ANALYZING"

    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        assert (await client.watch(analyzing))[-1].dataset.state == READY
        assert [dataset.name for dataset in (await client.listing()).datasets] == ["pets", "uploading"]
        assert list(await client.files(uploading.id)) == ["train/cat/whole.png"]
        owners = {info.key.split("/")[1] for info in store.list("datasets/")}
        assert owners == {analyzing, uploading.id}
        # The broken upload goes on.
        await client.send(files_to(uploading.id, {"train/cat/half.png": b"half"}))
        assert store.get(keys.dataset_file(uploading.id, "train/cat/half.png")) == b"half"


async def test_a_stopped_analysis_is_taken_up_by_the_next_start(
    database: Database, store: LocalObjectStore, tmp_path: Path, alice: Account
) -> None:
    slow = SlowStore(tmp_path / "objects", 0.3)
    async with serving(database, slow) as (_, address), grpc.aio.insecure_channel(address) as channel:
        dataset_id = await Client(channel, alice).filled(pets())
        assert (await Client(channel, alice).finalize(dataset_id)).state == ANALYZING
    left = await database.read(lambda session: DatasetRepository(session).get(dataset_id))
    assert left is not None and left.state == "ANALYZING"
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        dataset = (await Client(channel, alice).watch(dataset_id))[-1].dataset
        assert dataset.state == READY
        manifest = json.loads(store.get(keys.manifest(dataset_id)))
        assert len(manifest["files"]) == 6


async def test_objects_without_a_record_are_removed_at_the_start(
    database: Database, store: LocalObjectStore, ada: Client
) -> None:
    ready = await ada.analysed(spec(), pets())
    uploading = await ada.filled({"train/cat/1.png": b"kept"})
    kept = {info.key for info in store.list("")}
    for key in (
        keys.dataset_file("ds_gone", "train/cat/1.png"),
        keys.manifest("ds_gone"),
        keys.dataset_annotations("ds_gone"),
        keys.dataset_file(uploading, "train/cat/committed-and-never-recorded.png"),
    ):
        store.put(key, b"orphan")
    store.put("checkpoints/p/j/c/weights.safetensors", b"not ours")
    again = DatasetService(database, store, max_image_pixels=100)
    await again.start()
    await again.close()
    assert {info.key for info in store.list("")} == {*kept, "checkpoints/p/j/c/weights.safetensors"}
    assert (await ada.get(ready.id)).state == READY


async def test_abandoned_uploads_are_swept_and_nothing_else(
    ada: Client, server: tuple[DatasetService, str], database: Database, store: LocalObjectStore
) -> None:
    service, _ = server
    old, busy, fresh = [await ada.filled({"f": b"x"}) for _ in range(3)]
    ready = await ada.analysed(spec(), pets())
    call = ada.stub.UploadFiles(metadata=ada.metadata)
    for message in files_to(busy, {"g": b"y"}):
        await call.write(message)
    await call.read()  # acknowledged, so the stream is open

    def make_old(session: Session) -> None:
        for dataset_id in (old, busy, ready.id):
            DatasetRepository(session).update(dataset_id, update_time=now() - timedelta(hours=25))

    await database.write(make_old)
    assert await service.sweep_abandoned(timedelta(hours=24)) == [old]
    assert {dataset.id for dataset in (await ada.listing()).datasets} == {busy, fresh, ready.id}
    assert [*store.list(keys.dataset_prefix(old))] == []
    assert store.get(keys.dataset_file(busy, "f")) == b"x"
    call.cancel()
