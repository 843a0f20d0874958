"""A gateway that was killed, stopped or left with unfinished uploads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import grpc
from sqlalchemy.orm import Session

from gateway.datasets.analyzer import Analyzer
from gateway.datasets.arrivals import Arrivals
from gateway.datasets.changes import Changes
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.service import DatasetService
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import now
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.conftest import Account
from tests.gateway.datasets import annotated
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

async def main(database, objects, work):
    async with serving(Database(database), SlowStore(Path(objects), 1.0), work_folder=Path(work)) as (_, address):
        print(address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_kill_at_any_moment_leaves_what_the_next_start_puts_right(
    database: Database, store: LocalObjectStore, tmp_path: Path, alice: Account
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, f"sqlite:///{tmp_path / 'gateway.db'}", str(tmp_path / "objects"),
        str(tmp_path / "work"),
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
        boxes = await client.filled(annotated.dice(), spec("boxes", format=dataset_pb2.DATASET_FORMAT_UNSPECIFIED))
        await client.finalize(boxes)
        await until(lambda: len([*(tmp_path / "work").glob("*/*")]) == 2)  # both have their folder for drafts
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        adding.cancel()
        creating.cancel()
    for dataset_id in (analyzing, boxes):
        left = await database.read(lambda session, of=dataset_id: DatasetRepository(session).get(of))  # type: ignore[misc]
        assert left is not None and left.state == "ANALYZING"
    assert [*(tmp_path / "work").glob("*/*")]

    async with (
        serving(database, store, work_folder=tmp_path / "work") as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        assert (await client.watch(analyzing))[-1].dataset.state == READY
        again = (await client.watch(boxes))[-1].dataset
        assert (again.state, again.object_count) == (READY, 9)
        assert [*(tmp_path / "work").glob("*/*")] == []
        assert [dataset.name for dataset in (await client.listing()).datasets] == ["boxes", "pets", "uploading"]
        assert list(await client.files(uploading.id)) == ["train/cat/whole.png"]
        owners = {info.key.split("/")[1] for info in store.list("datasets/")}
        assert owners == {analyzing, boxes, uploading.id}
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


async def test_an_analysis_that_is_stopped_while_it_reads_labels_is_taken_up_too(
    database: Database, store: LocalObjectStore, tmp_path: Path, alice: Account
) -> None:
    files = annotated.yolo()
    images = sum(path.endswith(".png") for path in files)
    slow, work = SlowStore(tmp_path / "objects", 0.1), tmp_path / "work"
    async with serving(database, slow, work_folder=work) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset_id = await client.filled(files, spec("boxes", format=dataset_pb2.DATASET_FORMAT_YOLO))
        await client.finalize(dataset_id)
        watching = client.stub.WatchDataset(
            dataset_pb2.WatchDatasetRequest(dataset_id=dataset_id), metadata=alice.metadata
        )
        async for seen in watching:  # labels count as they are read, after the images
            assert seen.dataset.state == ANALYZING
            if seen.analyzed_files > images:
                break
        assert [*work.glob("*/*/draft.db")]
        watching.cancel()
    left = await database.read(lambda session: DatasetRepository(session).get(dataset_id))
    assert left is not None and left.state == "ANALYZING"
    assert [*work.iterdir()] == []
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        last = (await Client(channel, alice).watch(dataset_id))[-1]
        assert (last.dataset.state, last.dataset.object_count) == (READY, 9)
        assert last.analyzed_files == last.total_files == len(files)


async def test_a_finalise_in_the_last_moment_of_a_failed_analysis_is_not_forgotten(
    database: Database, store: LocalObjectStore, tmp_path: Path, ada: Client
) -> None:
    dataset_id = await ada.filled(pets())
    store.delete(keys.dataset_file(dataset_id, "val/dog/0.png"))

    class Hasty(Changes):
        """Finalises again as soon as the dataset is FAILED, before the analysis that found it so has left."""

        def notify(self, dataset_id: str) -> None:
            with closing(sqlite3.connect(tmp_path / "gateway.db")) as rows, rows:
                changed = rows.execute("UPDATE datasets SET state = 'ANALYZING' WHERE state = 'FAILED'")
            if changed.rowcount:
                store.put(keys.dataset_file(dataset_id, "val/dog/0.png"), pets()["val/dog/0.png"])
                analyzer.start(dataset_id)

    changes, threads = Hasty(), ThreadPoolExecutor(1)
    arrivals = Arrivals(database, store, changes, threads, UploadLimits())
    analyzer = Analyzer(database, store, changes, arrivals, tmp_path / "work", max_image_pixels=10_000, threads=2)
    await analyzer.open()
    await database.write(
        lambda session: DatasetRepository(session).change_state(dataset_id, ("UPLOADING",), "ANALYZING")
    )
    analyzer.start(dataset_id)
    assert (await ada.watch(dataset_id))[-1].dataset.state == READY
    await analyzer.close()
    threads.shutdown()


async def test_objects_without_a_record_are_removed_at_the_start(
    database: Database, store: LocalObjectStore, ada: Client
) -> None:
    ready = await ada.analysed(spec(), annotated.dice())
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
