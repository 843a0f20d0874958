"""Upload streams: what is refused, what stays, and that nothing half made is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.datasets.conftest import LIMITS, Client, refusal
from tests.gateway.datasets.pictures import files_to, header, pets, picture, spec, whole, without
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.v1 import dataset_pb2

Message = dataset_pb2.UploadFilesRequest


def stored(store: LocalObjectStore) -> list[str]:
    """Every key in the store."""
    return [info.key for info in store.list("")]


async def send_all(client: Client, dataset_id: str, *messages: Message) -> list[str]:
    """Paths acknowledged before the stream ended."""
    return [file.path for file in await client.send([Message(dataset_id=dataset_id), *messages])]


async def test_each_file_is_acknowledged_before_the_next_is_sent(ada: Client, store: LocalObjectStore) -> None:
    files = {"train/cat/a.png": picture(1), "train/cat/large.bin": bytes(range(256)) * 10_000, "empty": b""}
    dataset = await ada.create()
    call = ada.stub.UploadFiles(metadata=ada.metadata)
    await call.write(Message(dataset_id=dataset.id))
    for path, data in files.items():
        await call.write(Message(header=header(path, data, sha256="")))
        for start in range(0, len(data), 1 << 20):
            await call.write(Message(chunk=data[start : start + (1 << 20)]))
        answer = await asyncio.wait_for(call.read(), 10)
        assert isinstance(answer, dataset_pb2.UploadFilesResponse)
        assert answer.file == dataset_pb2.DatasetFile(path=path, size_bytes=len(data), sha256=header(path, data).sha256)
        assert store.get(keys.dataset_file(dataset.id, path)) == data
    await call.done_writing()
    found = await ada.get(dataset.id)
    assert (found.file_count, found.total_size_bytes) == (3, sum(map(len, files.values())))


@pytest.mark.parametrize("path", ["../../x", "a/../../x", "/etc/passwd", "a\\b.png", "a\0b", "", "a//b", "x" * 1025])
async def test_a_path_that_leads_elsewhere_is_refused(ada: Client, store: LocalObjectStore, path: str) -> None:
    dataset = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_all(ada, dataset.id, Message(header=header(path, b"x")), Message(chunk=b"x"))
    error = refusal(caught)
    assert error.reason == "INVALID_REQUEST"
    assert [violation.field for violation in error.violations] == ["header.path"]
    assert repr(path)[:40] in error.violations[0].description
    assert stored(store) == []


async def test_the_same_path_twice_is_refused_and_the_first_stays(ada: Client, store: LocalObjectStore) -> None:
    dataset_id = await ada.filled({"train/cat/é.png": b"first"})  # composed; the second is decomposed
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(files_to(dataset_id, {"train/cat/é.png": b"second"}))
    error = refusal(caught)
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "FILE_EXISTS")
    assert error.metadata["path"] == "train/cat/é.png"
    assert store.get(keys.dataset_file(dataset_id, "train/cat/é.png")) == b"first"


async def test_of_two_streams_that_send_the_same_path_one_wins(ada: Client, store: LocalObjectStore) -> None:
    dataset = await ada.create()
    contents = [bytes([number]) * (3 << 20) for number in range(2)]
    answers = await asyncio.gather(
        *(ada.send(files_to(dataset.id, {"f": content})) for content in contents), return_exceptions=True
    )
    (winner,) = [number for number, answer in enumerate(answers) if isinstance(answer, list)]
    loser = answers[1 - winner]
    assert isinstance(loser, grpc.aio.AioRpcError)
    assert from_rpc(loser).reason == "FILE_EXISTS"
    assert store.get(keys.dataset_file(dataset.id, "f")) == contents[winner]
    assert (await ada.get(dataset.id)).file_count == 1


@pytest.mark.parametrize(("first", "second"), [("a", "a/b.png"), ("a/b/c.png", "a/b")])
async def test_a_file_cannot_be_a_folder_too(ada: Client, first: str, second: str) -> None:
    dataset_id = await ada.filled({first: b"x"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(files_to(dataset_id, {second: b"y"}))
    (violation,) = refusal(caught).violations
    assert violation.field == "header.path"
    assert "folder" in violation.description or "which is a file" in violation.description
    assert set(await ada.files(dataset_id)) == {first}


@pytest.mark.parametrize(
    ("messages", "expected", "received"),
    [
        ([Message(header=header("f", b"12345")), Message(chunk=b"1234567")], "5", "7"),
        ([Message(header=header("f", b"12345")), Message(chunk=b"12345"), Message(chunk=b"6")], "5", "6"),
        ([Message(header=header("f", b"12345")), Message(chunk=b"123")], "5", "3"),
        ([Message(header=header("f", b"12345"))], "5", "0"),
        ([Message(header=header("f", b"12345")), Message(chunk=b"1"), Message(header=header("g", b"x"))], "5", "1"),
    ],
    ids=["longer", "longer by another chunk", "shorter", "without bytes", "next file too early"],
)
async def test_a_file_must_have_the_announced_size(
    ada: Client, messages: list[Message], expected: str, received: str
) -> None:
    dataset = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_all(ada, dataset.id, *messages)
    error = refusal(caught)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FILE_MISMATCH")
    assert (error.metadata["path"], error.metadata["what"]) == ("f", "size_bytes")
    assert (error.metadata["expected"], error.metadata["received"]) == (expected, received)


async def test_a_file_must_have_the_announced_digest(ada: Client, store: LocalObjectStore) -> None:
    dataset = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_all(ada, dataset.id, Message(header=header("f", b"good")), Message(chunk=b"evil"))
    error = refusal(caught)
    assert error.reason == "FILE_MISMATCH"
    assert error.metadata["expected"] == header("f", b"good").sha256
    assert error.metadata["received"] == header("f", b"evil").sha256
    assert (await ada.files(dataset.id), stored(store)) == ({}, [])
    # The path is free again, and a digest in capitals is the same digest.
    again = header("f", b"good", sha256=header("f", b"good").sha256.upper())
    assert await send_all(ada, dataset.id, Message(header=again), Message(chunk=b"good")) == ["f"]


async def test_a_broken_upload_goes_on_with_what_is_missing(ada: Client, store: LocalObjectStore) -> None:
    files = pets()
    dataset = await ada.create()
    messages = [*files_to(dataset.id, files)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(messages[:6])  # two whole files and the header of a third
    assert refusal(caught).reason == "FILE_MISMATCH"
    arrived = await ada.files(dataset.id)
    assert list(arrived) == list(files)[:2]
    assert len(stored(store)) == 2

    await ada.send(files_to(dataset.id, without(files, arrived)))
    await ada.finalize(dataset.id)
    assert (await ada.watch(dataset.id))[-1].dataset.state == dataset_pb2.DATASET_STATE_READY


async def test_a_cancelled_upload_keeps_what_was_acknowledged_and_no_more(ada: Client, store: LocalObjectStore) -> None:
    dataset = await ada.create()
    call = ada.stub.UploadFiles(metadata=ada.metadata)
    await call.write(Message(dataset_id=dataset.id))
    await call.write(Message(header=header("whole", b"whole")))
    await call.write(Message(chunk=b"whole"))
    await call.read()
    large = bytes(3 << 20)
    await call.write(Message(header=header("half", large)))
    await call.write(Message(chunk=large[: 1 << 20]))
    call.cancel()
    async with asyncio.timeout(10):
        while True:  # the path is free again once the server noticed
            try:
                await ada.send(files_to(dataset.id, {"half": b"now"}))
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
    assert set(await ada.files(dataset.id)) == {"whole", "half"}
    assert store.get(keys.dataset_file(dataset.id, "half")) == b"now"


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([Message(header=header("f", b"x"))], "dataset_id"),
        ([], "dataset_id"),
        ([Message(dataset_id="")], "dataset_id"),
        ([Message(dataset_id="HERE"), Message(dataset_id="HERE")], "dataset_id"),
        ([Message(dataset_id="HERE"), Message()], "payload"),
        ([Message(dataset_id="HERE"), Message(chunk=b"x")], "chunk"),
        ([Message(dataset_id="HERE"), Message(header=header("f", b"x", size_bytes=-1))], "header.size_bytes"),
        ([Message(dataset_id="HERE"), Message(header=header("f", b"x", sha256="abc"))], "header.sha256"),
        (
            [Message(dataset_id="HERE"), Message(header=header("f", b"x", size_bytes=LIMITS.max_file_bytes + 1))],
            "header.size_bytes",
        ),
        (
            [
                Message(dataset_id="HERE"),
                Message(header=header("f", b"x", size_bytes=2 << 20)),
                Message(chunk=bytes((1 << 20) + 1)),
            ],
            "chunk",
        ),
    ],
)
async def test_messages_out_of_place_are_refused_by_name(ada: Client, messages: list[Message], field: str) -> None:
    dataset = await ada.create()
    placed = [Message(dataset_id=dataset.id) if message.dataset_id == "HERE" else message for message in messages]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(placed)
    error = refusal(caught)
    assert error.reason == "INVALID_REQUEST"
    assert [violation.field for violation in error.violations] == [field]


async def test_a_dataset_has_its_limits(ada: Client) -> None:
    dataset = await ada.create()
    part = bytes(4 << 20)
    await ada.send(files_to(dataset.id, {"1": part, "2": part}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(files_to(dataset.id, {"3": b"x"}))
    assert "bytes that are allowed" in refusal(caught).violations[0].description

    many = await ada.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send(files_to(many.id, {str(number): b"x" for number in range(LIMITS.max_files + 1)}))
    assert "as many as are allowed" in refusal(caught).violations[0].description
    assert len(await ada.files(many.id)) == LIMITS.max_files


async def test_one_stream_makes_a_whole_dataset(ada: Client) -> None:
    dataset = await ada.upload(spec("in one"), pets())
    assert dataset.state == dataset_pb2.DATASET_STATE_ANALYZING
    assert dataset.file_count == 6
    ready = (await ada.watch(dataset.id))[-1].dataset
    assert ready.state == dataset_pb2.DATASET_STATE_READY


@pytest.mark.parametrize("wrong", ["spec", "path", "size", "digest", "cut"])
async def test_a_failed_upload_leaves_nothing(ada: Client, store: LocalObjectStore, wrong: str) -> None:
    messages = [*whole(spec(name="" if wrong == "spec" else "pets"), pets())]
    last = messages[-2].header
    if wrong == "path":
        last.path = "../x"
    elif wrong == "size":
        last.size_bytes += 1
    elif wrong == "digest":
        last.sha256 = "0" * 64
    elif wrong == "cut":
        messages.pop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.send_whole(messages)
    assert refusal(caught).reason == ("INVALID_REQUEST" if wrong in ("spec", "path") else "FILE_MISMATCH")
    assert (await ada.listing()).total_size == 0
    assert stored(store) == []


@pytest.mark.parametrize("between_files", [True, False])
async def test_a_cancelled_upload_leaves_nothing(ada: Client, store: LocalObjectStore, between_files: bool) -> None:
    messages = [*whole(spec(), pets())]
    sent = asyncio.Event()

    async def stream() -> AsyncIterator[dataset_pb2.UploadDatasetRequest]:
        for message in messages[: 7 if between_files else 6]:
            yield message
        sent.set()
        await asyncio.Event().wait()

    call = ada.stub.UploadDataset(stream(), metadata=ada.metadata)
    await sent.wait()
    await until(lambda: len(stored(store)) == (3 if between_files else 2))
    call.cancel()
    await until(lambda: not stored(store))
    assert (await ada.listing()).total_size == 0
