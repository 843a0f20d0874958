"""Archives that are unpacked while they arrive: every kind, whatever is hostile, and what stays when they break off."""

from __future__ import annotations

import asyncio
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress

import grpc
import pytest

from gateway.datasets.archives.rules import shown
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.datasets import archives
from tests.gateway.datasets.archives import KINDS, archive_header, archive_to, archive_whole, entry, tar, tar_gz, zipped
from tests.gateway.datasets.conftest import LIMITS, Client, refusal
from tests.gateway.datasets.pictures import chunks, pets, picture, spec
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2

Message = dataset_pb2.UploadFilesRequest


def stored(store: LocalObjectStore) -> list[str]:
    return [info.key for info in store.list("")]


async def upload_whole(ada: Client, path: str, packed: bytes) -> dataset_pb2.Dataset:
    return await ada.send_whole(archive_whole(spec(), path, packed))


async def refused_both_ways(ada: Client, store: LocalObjectStore, path: str, packed: bytes) -> VisionMeshError:
    """What UploadFiles and UploadDataset say of an archive; the latter leaves nothing behind."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload_whole(ada, path, packed)
    in_one = refusal(caught)
    assert (await ada.listing()).total_size == 0
    assert stored(store) == []
    dataset = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(archive_to(dataset.id, path, packed))
    error = refusal(caught)
    for said in (in_one, error):
        del said.metadata["request_id"]
    assert (error.code, error.reason, error.metadata) == (in_one.code, in_one.reason, in_one.metadata)
    # What is recorded has its object, and no object is without its record.
    paths = await ada.files(dataset.id)
    assert stored(store) == [keys.dataset_file(dataset.id, name) for name in sorted(paths)]
    await ada.delete(dataset.id)
    return error


@pytest.mark.parametrize("name", KINDS)
async def test_the_files_of_an_archive_are_stored_and_acknowledged_as_if_they_came_alone(
    ada: Client, store: LocalObjectStore, name: str
) -> None:
    files = {**pets(), "large.bin": bytes(range(256)) * 10_000, "empty.txt": b"", "träin/ä.txt": b"x"}
    dataset = await ada.create()
    acknowledged = await ada.send(archive_to(dataset.id, f"in/a/{name}", KINDS[name](files), chunk_bytes=777))
    assert [file.path for file in acknowledged] == [f"in/a/{path}" for path in files]
    assert (await ada.files(dataset.id)) == {file.path: file for file in acknowledged}
    for path, data in files.items():
        assert store.get(keys.dataset_file(dataset.id, f"in/a/{path}")) == data


@pytest.mark.parametrize("name", KINDS)
async def test_one_stream_with_an_archive_makes_a_whole_dataset(ada: Client, name: str) -> None:
    dataset = await upload_whole(ada, name, KINDS[name](pets()))
    assert dataset.file_count == 6
    assert (await ada.watch(dataset.id))[-1].dataset.state == dataset_pb2.DATASET_STATE_READY


async def test_a_file_of_an_archive_is_stored_while_the_rest_is_still_to_come(ada: Client) -> None:
    packed = tar({"first.bin": bytes(600_000), "second.bin": bytes(600_000)})
    dataset = await ada.create()
    call = ada.stub.UploadFiles(metadata=ada.metadata)
    await call.write(Message(dataset_id=dataset.id))
    await call.write(Message(header=archive_header("a.tar", packed)))
    await call.write(Message(chunk=packed[:700_000]))
    answer = await asyncio.wait_for(call.read(), 10)
    assert isinstance(answer, dataset_pb2.UploadFilesResponse) and answer.file.path == "first.bin"
    await call.write(Message(chunk=packed[700_000:]))
    await call.done_writing()
    answer = await call.read()
    assert isinstance(answer, dataset_pb2.UploadFilesResponse) and answer.file.path == "second.bin"
    assert await call.read() is grpc.aio.EOF


async def test_folders_and_what_desktops_leave_are_passed_over_and_archives_in_archives_stay_packed(
    ada: Client, store: LocalObjectStore
) -> None:
    inner = zipped({"x": b"x"})
    clutter = {"__MACOSX/a/._1.png": b"x", ".DS_Store": b"x", "a/.DS_Store": b"x", "a/._1.png": b"x"}
    for name, packed in {
        "x.zip": zipped({"a/": b"", **clutter, "a/1.png": b"1", "a/inner.zip": inner}),
        "x.tar": tar({**clutter, "./a/1.png": b"1", "./a/inner.zip": inner}, entry(tarfile.DIRTYPE, "./a")),
    }.items():
        dataset = await ada.create()
        assert [file.path for file in await ada.send(archive_to(dataset.id, name, packed))] == [
            "a/1.png",
            "a/inner.zip",
        ]
        assert store.get(keys.dataset_file(dataset.id, "a/inner.zip")) == inner


async def test_files_and_archives_share_a_stream(ada: Client) -> None:
    packed = zipped({"b.txt": b"b"})
    dataset = await ada.create()
    plain = dataset_pb2.FileHeader(path="a.zip", size_bytes=len(packed))
    messages = [*archive_to(dataset.id, "x.zip", packed), Message(header=plain), Message(chunk=packed)]
    messages += [*archive_to(dataset.id, "c/x.zip", packed)][1:]
    assert [file.path for file in await ada.send(messages)] == ["b.txt", "a.zip", "c/b.txt"]


NAMES = {
    "/etc/passwd": "absolute",
    "../evil.png": "..",
    "train/../../evil.png": "..",
    "C:/evil.png": "drive",
    "train\\evil.png": "backslash",
    "train//evil.png": "empty part",
    "x" * 300: "longer than 255",
    "/".join(["d" * 200] * 20): "longer than 1024",
    "a\x01b.png": "control character",
    "../evil/": "..",
}
PACKERS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {"a.zip": zipped, "a.tar": tar, "a.tar.gz": tar_gz}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_in_an_archive_that_leads_elsewhere_is_refused(
    ada: Client, store: LocalObjectStore, name: str, packer: str
) -> None:
    packed = PACKERS[packer]({"good.png": b"x", name: b"y", "never.png": b"z"})
    error = await refused_both_ways(ada, store, packer, packed)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_ARCHIVE")
    assert error.metadata["path"] == packer
    assert error.metadata["entry"] == shown(name)
    assert NAMES[name] in error.message


async def test_a_name_with_a_nul_is_refused(ada: Client, store: LocalObjectStore) -> None:
    packed = zipped({"trainX.png": b"x"}).replace(b"trainX", b"train\0")
    error = await refused_both_ways(ada, store, "a.zip", packed)
    assert error.reason == "BAD_ARCHIVE" and "control character" in error.message
    # In tar's own field a NUL ends the name; in an attribute it does not.
    info = tarfile.TarInfo("short.png")
    info.pax_headers = {"path": "train\0.png"}
    error = await refused_both_ways(ada, store, "a.tar", tar({}, info))
    assert error.reason == "BAD_ARCHIVE" and "control character" in error.message


@pytest.mark.parametrize(
    ("packed", "what"),
    [
        (tar({}, entry(tarfile.SYMTYPE, "evil", "/etc/passwd")), "symbolic link"),
        (tar({"a": b"x"}, entry(tarfile.LNKTYPE, "evil", "a")), "hard link"),
        (tar({}, entry(tarfile.CHRTYPE, "evil")), "device"),
        (tar({}, entry(tarfile.BLKTYPE, "evil")), "device"),
        (tar({}, entry(tarfile.FIFOTYPE, "evil")), "pipe"),
        (tar({}, entry(b"Z", "evil")), "neither a file nor a folder"),
        (zipped({"a": b"x", "evil": b"/etc/passwd"}, modes={"evil": stat.S_IFLNK}), "symbolic link"),
        (zipped({"evil": b""}, modes={"evil": stat.S_IFCHR}), "neither a file nor a folder"),
        (archives.encrypted({"evil": bytes(100)}), "encrypted"),
    ],
    ids=[
        "symlink",
        "hard link",
        "character device",
        "block device",
        "pipe",
        "unknown",
        "zip link",
        "zip device",
        "zip",
    ],
)
async def test_links_devices_and_encrypted_entries_are_refused(
    ada: Client, store: LocalObjectStore, packed: bytes, what: str
) -> None:
    name = "a.zip" if packed.startswith(b"PK") else "a.tar"
    error = await refused_both_ways(ada, store, name, packed)
    assert (error.reason, error.metadata["entry"]) == ("BAD_ARCHIVE", "evil")
    # By chance, one password in 256 seems right at first.
    assert what in error.message or (what == "encrypted" and "damaged" in error.message)


async def test_an_archive_has_its_limits(ada: Client, store: LocalObjectStore) -> None:
    limits = LIMITS.archives
    many = {str(number): b"" for number in range(limits.max_entries + 1)}
    deep = {"/".join("d" * (limits.max_depth + 2)): b""}
    much = {str(number): bytes(size << 10) for number, size in enumerate((3000, 3000, 1500))}
    large = {"large": bytes(LIMITS.max_file_bytes + 1)}
    for name, pack in PACKERS.items():
        for files, limit in (
            (many, "archive_max_entries"),
            (deep, "archive_max_depth"),
            (much, "archive_max_unpacked_bytes"),
            (large, "max_file_bytes"),
        ):
            error = await refused_both_ways(ada, store, name, pack(files))
            assert error.reason == "BAD_ARCHIVE"
            assert error.metadata["limit"].startswith(f"{limit} ")
            assert error.metadata["limit"] in error.message


async def test_a_file_whose_size_stands_behind_it_ends_at_the_limit_too(ada: Client, store: LocalObjectStore) -> None:
    packed = archives.zipped_to_a_pipe({"large": bytes(LIMITS.max_file_bytes + 1)})
    error = await refused_both_ways(ada, store, "a.zip", packed)
    assert error.metadata == {
        "path": "a.zip",
        "entry": "large",
        "limit": f"max_file_bytes {LIMITS.max_file_bytes}",
    }


@pytest.mark.parametrize("name", KINDS)
async def test_an_archive_that_broke_off_can_be_sent_again(ada: Client, store: LocalObjectStore, name: str) -> None:
    files = {f"train/{number}.bin": picture(number, size=(60, 60)) for number in range(30)}
    packed = KINDS[name](files)
    dataset = await ada.create()
    half = packed[: len(packed) // 2]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send([*archive_to(dataset.id, name, half, size_bytes=len(packed))])
    assert refusal(caught).reason == "FILE_MISMATCH"
    there = await ada.files(dataset.id)
    assert 0 < len(there) < 30
    assert stored(store) == sorted(keys.dataset_file(dataset.id, path) for path in there)

    acknowledged = await ada.send(archive_to(dataset.id, name, packed))
    assert [file.path for file in acknowledged] == list(files)
    assert len(await ada.files(dataset.id)) == (await ada.get(dataset.id)).file_count == 30


async def test_an_archive_with_other_bytes_for_a_file_that_is_there_is_refused(
    ada: Client, store: LocalObjectStore
) -> None:
    dataset_id = await ada.filled({"train/1.txt": b"one"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(archive_to(dataset_id, "a.zip", zipped({"train/0.txt": b"0", "train/1.txt": b"other"})))
    error = refusal(caught)
    assert (error.reason, error.metadata["path"]) == ("FILE_EXISTS", "train/1.txt")
    assert store.get(keys.dataset_file(dataset_id, "train/1.txt")) == b"one"
    assert set(await ada.files(dataset_id)) == {"train/0.txt", "train/1.txt"}


async def test_the_same_file_twice_in_an_archive_counts_once_if_it_is_the_same(
    ada: Client, store: LocalObjectStore
) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for data in (b"1", b"1"):
                archive.writestr("a.txt", data)
    dataset = await ada.create()
    assert [file.path for file in await ada.send(archive_to(dataset.id, "a.zip", packed.getvalue()))] == ["a.txt"] * 2
    assert (await ada.get(dataset.id)).file_count == 1
    assert (await upload_whole(ada, "a.zip", packed.getvalue())).file_count == 1


@pytest.mark.parametrize("name", KINDS)
async def test_an_archive_that_is_cut_off_is_refused_and_what_was_whole_before_stays(
    ada: Client, store: LocalObjectStore, name: str
) -> None:
    files = {f"{number}.bin": picture(number, size=(60, 60)) for number in range(10)}
    packed = KINDS[name](files)
    for left in (len(packed) * 2 // 3, len(packed) // 20):
        # Cut off before it was uploaded: as many bytes come as are announced.
        error = await refused_both_ways(ada, store, name, packed[:left])
        assert error.reason == "BAD_ARCHIVE"
        assert "not whole" in error.message


@pytest.mark.parametrize("name", KINDS)
async def test_what_is_no_archive_or_damaged_is_refused(ada: Client, store: LocalObjectStore, name: str) -> None:
    for wrong in (b"", b"nonsense" * 1000, picture(1)):
        assert (await refused_both_ways(ada, store, name, wrong)).reason == "BAD_ARCHIVE"
    if name != "pets.tar":  # which has no checksum over contents
        packed = bytearray(KINDS[name]({"a.bin": picture(1, size=(100, 100))}))
        packed[len(packed) // 2] ^= 0xFF
        assert (await refused_both_ways(ada, store, name, bytes(packed))).reason == "BAD_ARCHIVE"
    assert "no file" in (await refused_both_ways(ada, store, name, KINDS[name]({}))).message


async def test_an_archive_must_have_the_announced_digest_and_the_name_of_one(
    ada: Client, store: LocalObjectStore
) -> None:
    dataset = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(archive_to(dataset.id, "a.zip", zipped({"a": b"a"}), sha256="0" * 64))
    assert refusal(caught).reason == "FILE_MISMATCH"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(archive_to(dataset.id, "a.rar", zipped({"a": b"a"})))
    error = refusal(caught)
    assert (error.reason, error.violations[0].field) == ("INVALID_REQUEST", "header.path")
    assert ".tar.zst" in error.violations[0].description


async def test_a_call_that_is_cancelled_in_mid_archive_keeps_records_and_objects_alike(
    ada: Client, store: LocalObjectStore
) -> None:
    packed = zipped({f"{number}.bin": picture(number, size=(300, 300)) for number in range(20)})
    dataset = await ada.create()
    for _ in range(3):
        call = ada.stub.UploadFiles(metadata=ada.metadata)
        # The call before it may still be there, and is sending the same paths.
        with suppress(grpc.aio.AioRpcError):
            await call.write(Message(dataset_id=dataset.id))
            await call.write(Message(header=archive_header("a.zip", packed)))
            for chunk in [*chunks(packed, 100_000)][:-3]:
                await call.write(Message(chunk=chunk))
            await call.read()
        call.cancel()
    async with asyncio.timeout(10):
        while True:
            with suppress(grpc.aio.AioRpcError):
                await ada.send(archive_to(dataset.id, "a.zip", packed))
                break
            await asyncio.sleep(0.05)
    assert len(await ada.files(dataset.id)) == len(stored(store)) == 20
