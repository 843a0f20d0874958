"""Downloading a dataset: a tar archive that arrives whole, goes on after a break, and is never wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from storage.database.engine import Database
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client, serving
from tests.gateway.datasets.pictures import pets, picture, spec
from tests.gateway.waiting import until
from visionmesh.v1 import dataset_pb2

Chunks = list[dataset_pb2.DownloadDatasetResponse]
MIB = 1 << 20
LONG_NAME = "train/dog/" + "långt namn " * 15 + "犬.png"


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def mixed() -> dict[str, bytes]:
    """Images, an empty file, a large one, one of just a block, and names that need more than tar's first header."""
    return {
        **pets(),
        LONG_NAME: picture(40),
        "train/cat/notes.txt": b"",
        "train/cat/block.bin": noise(1, 512),
        "train/cat/large.bin": noise(2, 3 * MIB + 17),
        "train/cat/piece.bin": noise(3, 1 << 18),
        "Train.md": b"a file of no split",
    }


async def download(client: Client, dataset_id: str, **fields: object) -> Chunks:
    """All messages of one call."""
    request = dataset_pb2.DownloadDatasetRequest(dataset_id=dataset_id, **fields)  # type: ignore[arg-type]
    return [chunk async for chunk in client.stub.DownloadDataset(request, metadata=client.metadata, timeout=60)]


def archive(chunks: Chunks) -> bytes:
    return b"".join(chunk.chunk for chunk in chunks)


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files of an archive, in its order."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


async def test_the_archive_holds_every_file_by_path(ada: Client) -> None:
    files = mixed()
    dataset = await ada.analysed(spec(), files)
    chunks = await download(ada, dataset.id)
    found = unpacked(archive(chunks))
    assert list(found) == sorted(files)
    assert found == files
    assert max(len(chunk.chunk) for chunk in chunks) <= MIB
    assert {chunk.total_files for chunk in chunks} == {len(files)}
    assert {chunk.total_size_bytes for chunk in chunks} == {sum(map(len, files.values()))}
    assert chunks[-1].last_path == max(files)


async def test_headers_tell_nothing_but_path_and_size(ada: Client) -> None:
    files = mixed()
    dataset = await ada.analysed(spec(), files)
    data = archive(await download(ada, dataset.id))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entries = tar.getmembers()
    told = {(e.mode, e.uid, e.gid, e.uname, e.gname, e.mtime, e.type) for e in entries}
    assert told == {(0o644, 0, 0, "", "", dataset.create_time.seconds, tarfile.REGTYPE)}
    assert data.endswith(bytes(1024))
    await ada.stub.UpdateDataset(
        dataset_pb2.UpdateDatasetRequest(
            dataset_id=dataset.id,
            dataset=dataset_pb2.DatasetSpec(name="renamed"),
            update_mask=FieldMask(paths=["name"]),
        ),
        metadata=ada.metadata,
    )
    assert archive(await download(ada, dataset.id)) == data


async def test_a_broken_download_goes_on_behind_the_last_whole_file(ada: Client) -> None:
    files = mixed()
    dataset = await ada.analysed(spec(), files)
    whole = await download(ada, dataset.id)
    for kept in range(len(whole)):
        before = archive(whole[:kept])
        last = whole[kept - 1].last_path if kept else ""
        rest = await download(ada, dataset.id, after_path=last)
        # What is whole of the first part, cut behind the file that it names, and the second part are the archive.
        first = tarfile.open(fileobj=io.BytesIO(before + bytes(1024)), ignore_zeros=True) if last else None  # noqa: SIM115
        names = [path for path in sorted(files) if path <= last]
        if first is not None:
            assert [first.next().name for _ in names] == names  # type: ignore[union-attr]
        assert list(unpacked(archive(rest))) == [path for path in sorted(files) if path > last]
        assert rest[0].total_files == len(files) - len(names)


async def test_a_part_is_chosen_by_prefix_and_split(ada: Client) -> None:
    files = mixed()
    dataset = await ada.analysed(spec(), files)
    below = unpacked(archive(await download(ada, dataset.id, path_prefix="train/cat/")))
    assert list(below) == [path for path in sorted(files) if path.startswith("train/cat/")]
    val = unpacked(archive(await download(ada, dataset.id, splits=["val"])))
    assert list(val) == ["val/cat/0.png", "val/dog/0.png"]
    both = unpacked(archive(await download(ada, dataset.id, splits=["train", "val"], path_prefix="train/dog")))
    assert list(both) == [*sorted(path for path in pets() if path.startswith("train/dog")), LONG_NAME]


async def test_nothing_left_is_an_empty_archive(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets())
    for fields in ({"path_prefix": "none/"}, {"after_path": "zzz"}, {"splits": ["test"]}):
        (only,) = await download(ada, dataset.id, **fields)
        assert (unpacked(only.chunk), only.last_path, only.total_files) == ({}, "", 0)


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        (path, damage)
        for path in ("train/cat/large.bin", "train/cat/block.bin", "train/cat/notes.txt", LONG_NAME)
        for damage in ("changed", "longer", "shorter", "missing")
        # An empty file has nothing to change.
        if mixed()[path] or damage not in ("changed", "shorter")
    ],
)
async def test_a_damaged_file_ends_the_download_before_it_is_whole(
    ada: Client, store: LocalObjectStore, path: str, damage: str
) -> None:
    files = mixed()
    dataset = await ada.analysed(spec(), files)
    key, content = keys.dataset_file(dataset.id, path), files[path]
    if damage == "missing":
        store.delete(key)
    else:
        store.put(key, {"changed": content[:-1] + b"!", "longer": content + b"!", "shorter": content[:-1]}[damage])
    received: Chunks = []
    request = dataset_pb2.DownloadDatasetRequest(dataset_id=dataset.id)

    async def call() -> None:
        async for chunk in ada.stub.DownloadDataset(request, metadata=ada.metadata):
            received.append(chunk)

    error = await refused(call())
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STORAGE_CORRUPT")
    assert repr(path) in error.message
    # Every file before it came whole, and of it less than it has.
    before = [other for other in sorted(files) if other < path]
    assert received[-1].last_path == before[-1]
    with tarfile.open(fileobj=io.BytesIO(archive(received)), mode="r|") as tar:
        for other in before:
            entry = tar.next()
            assert entry is not None and tar.extractfile(entry).read() == files[other]  # type: ignore[union-attr]
    assert len(archive(received)) < sum(1536 + len(files[other]) + 512 for other in before) + 2048 + len(content)
    # Whoever needs the rest can have it.
    rest = unpacked(archive(await download(ada, dataset.id, after_path=path)))
    assert list(rest) == [other for other in sorted(files) if other > path]


async def test_only_what_is_ready_can_be_downloaded(ada: Client, ben: Client) -> None:
    uploading = await ada.filled(pets())
    error = await refused(download(ada, uploading))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_NOT_READY")
    assert error.metadata["state"] == "UPLOADING"
    private = await ada.analysed(spec(), pets())
    assert (await refused(download(ben, private.id))).reason == "DATASET_NOT_FOUND"
    assert (await refused(download(ben, uploading))).reason == "DATASET_NOT_FOUND"
    shared = await ada.analysed(spec(visibility=dataset_pb2.VISIBILITY_PUBLIC), pets())
    assert unpacked(archive(await download(ben, shared.id))) == dict(sorted(pets().items()))


async def test_every_wrong_field_is_named(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets())
    error = await refused(
        download(ada, dataset.id, path_prefix="a\0", after_path="x" * 1025, splits=["train", "dev", ""])
    )
    assert error.reason == "INVALID_REQUEST"
    assert [item.field for item in error.violations] == ["path_prefix", "after_path", "splits[1]", "splits[2]"]


class CountingStore(LocalObjectStore):
    """Counts the bytes that were read, and can be held in the middle of a file."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.bytes_read = 0
        self.open_reads = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def read(self, key: str, chunk_bytes: int = MIB) -> Iterator[bytes]:
        self.open_reads += 1
        try:
            for chunk in super().read(key, chunk_bytes):
                self.bytes_read += len(chunk)
                yield chunk
                self.go_on.wait(30)
        finally:
            self.open_reads -= 1


async def test_a_slow_client_is_waited_for_and_one_that_leaves_stops_the_reading(
    database: Database, tmp_path: Path, alice: Account
) -> None:
    store = CountingStore(tmp_path / "counted")
    options = [("grpc.http2.lookahead_bytes", 1 << 16), ("grpc.http2.bdp_probe", 0)]
    async with (
        serving(database, store) as (_, address),
        grpc.aio.insecure_channel(address, options=options) as channel,
    ):
        client = Client(channel, alice)
        large = {f"train/cat/{n}.bin": noise(n, 4_000_000) for n in range(2)}
        dataset = await client.analysed(spec(), {**pets(), **large})
        store.bytes_read = 0
        request = dataset_pb2.DownloadDatasetRequest(dataset_id=dataset.id)
        call = client.stub.DownloadDataset(request, metadata=client.metadata)
        first = await call.read()
        assert isinstance(first, dataset_pb2.DownloadDatasetResponse)
        await until(lambda: store.bytes_read > 0)
        before = -1
        while before != store.bytes_read:  # until nothing moves
            before = store.bytes_read
            await asyncio.sleep(0.3)
        assert store.bytes_read < 5 * MIB
        call.cancel()
        await until(lambda: store.open_reads == 0)
        assert store.bytes_read == before


async def test_a_download_ends_when_its_dataset_is_deleted(database: Database, tmp_path: Path, alice: Account) -> None:
    store = CountingStore(tmp_path / "counted")
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset = await client.analysed(spec(), {**pets(), "train/cat/large.bin": noise(1, 2 * MIB)})
        store.go_on.clear()
        downloading = asyncio.create_task(download(client, dataset.id))
        await until(lambda: store.open_reads > 0)
        await client.delete(dataset.id)
        store.go_on.set()
        assert (await refused(downloading)).reason == "DATASET_NOT_FOUND"


async def test_many_small_files_come_in_few_messages(ada: Client) -> None:
    files = {f"train/{label}/{n:03}.bin": noise(n, 5_000) for label in ("cat", "dog") for n in range(40)}
    dataset = await ada.analysed(spec(), {**pets(), **files})
    chunks = await download(ada, dataset.id)
    assert len(chunks) <= 3
    digests = {path: hashlib.sha256(data).digest() for path, data in unpacked(archive(chunks)).items()}
    assert digests == {path: hashlib.sha256(data).digest() for path, data in {**pets(), **files}.items()}
