"""Uploads past the gateway: real presigned URLs of a real S3 server, and every way in which they go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from sqlalchemy.orm import Session

from gateway.datasets.service import DatasetService
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import PreparedUpload, now
from storage.objects import keys
from storage.objects.s3 import S3ObjectStore
from tests import s3_server
from tests.gateway.conftest import Account
from tests.gateway.datasets import puts
from tests.gateway.datasets.conftest import Client, refusal, serving
from tests.gateway.datasets.pictures import files_to, header, pets, spec
from tests.s3_server import S3Server
from visionmesh.v1 import dataset_pb2

READY, FAILED = dataset_pb2.DATASET_STATE_READY, dataset_pb2.DATASET_STATE_FAILED
UPLOADING = dataset_pb2.DATASET_STATE_UPLOADING
CAT, DOG = "train/cat/0.png", "train/dog/0.png"


@pytest.fixture(scope="module", params=["nanio", "moto"])
def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that checks signatures, and one that checks nothing but behaves most like Amazon's."""
    command = s3_server.nanio() if request.param == "nanio" else s3_server.moto()
    with s3_server.running(command, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def checks_signatures(s3: S3Server, request: pytest.FixtureRequest) -> None:
    if "moto" in request.node.callspec.id:
        pytest.skip("this server checks no signatures")


@pytest.fixture
def bucket(s3: S3Server) -> S3ObjectStore:
    return s3.new_store()


@pytest.fixture
async def server(database: Database, bucket: S3ObjectStore) -> AsyncIterator[tuple[DatasetService, str]]:
    async with serving(database, bucket) as served:
        yield served


async def finalized(client: Client, dataset_id: str) -> dataset_pb2.Dataset:
    """The dataset when its analysis has ended."""
    await client.finalize(dataset_id)
    return (await client.watch(dataset_id))[-1].dataset


async def test_files_sent_past_the_gateway_become_a_dataset(ada: Client, bucket: S3ObjectStore) -> None:
    files = pets()
    dataset = await ada.create()
    before = datetime.now(UTC)
    answer = await puts.prepare(ada, dataset.id, files)
    assert [upload.path for upload in answer.uploads] == [*files]
    assert [*answer.stored_paths] == []
    for upload in answer.uploads:
        assert upload.headers["content-length"] == str(len(files[upload.path]))
        assert timedelta(minutes=59) < upload.expire_time.ToDatetime(UTC) - before < timedelta(minutes=61)
        assert puts.put(upload, files[upload.path]) == 200
    # They are no files of the dataset before it is finalised.
    assert await ada.files(dataset.id) == {}
    assert (await ada.get(dataset.id)).file_count == 0

    done = await finalized(ada, dataset.id)
    assert (done.state, done.file_count) == (READY, len(files))
    assert done.total_size_bytes == sum(map(len, files.values()))
    stored = await ada.files(dataset.id)
    assert {path: file.sha256 for path, file in stored.items()} == {
        path: header(path, data).sha256 for path, data in files.items()
    }
    assert all(bucket.get(keys.dataset_file(dataset.id, path)) == data for path, data in files.items())
    assert [*bucket.list(keys.INCOMING)] == []


async def test_both_ways_fill_one_dataset_and_what_is_there_is_passed_over(ada: Client) -> None:
    files = pets()
    dataset_id = await ada.filled({CAT: files[CAT]})
    answer = await puts.prepare(ada, dataset_id, files)
    assert [*answer.stored_paths] == [CAT]
    assert CAT not in {upload.path for upload in answer.uploads}
    for upload in answer.uploads:
        puts.put(upload, files[upload.path])
    assert (await finalized(ada, dataset_id)).file_count == len(files)


async def test_one_object_serves_all_files_of_the_same_bytes(ada: Client) -> None:
    files = {**pets(), "train/cat/copy.png": pets()[CAT]}
    dataset_id = (await ada.create()).id
    await puts.send(ada, dataset_id, files)
    assert (await finalized(ada, dataset_id)).file_count == len(files)


async def test_an_empty_file_can_be_sent(ada: Client) -> None:
    files = {**pets(), "notes.txt": b""}
    dataset_id = (await ada.create()).id
    await puts.send(ada, dataset_id, files)
    assert (await finalized(ada, dataset_id)).file_count == len(files)


async def test_wrong_bytes_fail_the_dataset_and_are_sent_again(ada: Client, bucket: S3ObjectStore) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    for upload in (await puts.prepare(ada, dataset_id, files)).uploads:
        # As many bytes, and others: no server in reach notices.
        data = files[upload.path] if upload.path != CAT else bytes(len(files[CAT]))
        assert puts.put(upload, data) == 200
    failed = await finalized(ada, dataset_id)
    assert (failed.state, failed.failure.reason) == (FAILED, "DATASET_NOT_TRAINABLE")
    assert CAT in failed.failure.message
    (problem,) = await ada.problems(dataset_id)
    assert (problem.path, problem.kind) == (CAT, "upload_differs")
    assert header(CAT, files[CAT]).sha256 in problem.message
    assert CAT not in await ada.files(dataset_id)
    assert CAT not in {info.key.removeprefix(keys.dataset_prefix(dataset_id)) for info in bucket.list("datasets/")}

    answer = await puts.prepare(ada, dataset_id, files)
    assert [upload.path for upload in answer.uploads] == [CAT]
    assert set(answer.stored_paths) == {*files} - {CAT}
    assert (await ada.get(dataset_id)).state == UPLOADING
    puts.put(answer.uploads[0], files[CAT])
    assert (await finalized(ada, dataset_id)).state == READY
    assert await ada.problems(dataset_id) == []


async def test_what_never_arrived_fails_the_dataset_by_name(ada: Client) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    for upload in (await puts.prepare(ada, dataset_id, files)).uploads:
        if upload.path not in (CAT, DOG):
            puts.put(upload, files[upload.path])
    assert (await finalized(ada, dataset_id)).state == FAILED
    told = [(problem.path, problem.kind) for problem in await ada.problems(dataset_id)]
    assert told == [(CAT, "upload_missing"), (DOG, "upload_missing")]
    # Finalised again without them, it says the same: nothing is left out in silence.
    assert (await finalized(ada, dataset_id)).state == FAILED
    # One comes past the gateway, the other through it.
    await puts.send(ada, dataset_id, {CAT: files[CAT]})
    await ada.send(files_to(dataset_id, {DOG: files[DOG]}))
    assert (await finalized(ada, dataset_id)).state == READY


@pytest.mark.usefixtures("checks_signatures")
async def test_a_url_is_bound_to_length_and_digest(ada: Client) -> None:
    data = pets()[CAT]
    dataset_id = (await ada.create()).id
    (upload,) = (await puts.prepare(ada, dataset_id, {CAT: data})).uploads
    longer = {**upload.headers, "content-length": str(len(data) + 1)}
    assert puts.put(upload, data + b"!", longer) == 403
    other = {**upload.headers, "x-amz-checksum-sha256": "A" * 43 + "="}
    assert puts.put(upload, data, other) == 403
    assert puts.put(upload, data, {"content-length": str(len(data))}) == 403
    assert puts.put(upload, data) == 200


async def test_a_length_that_no_server_refused_is_found_at_the_end(ada: Client, bucket: S3ObjectStore) -> None:
    data = pets()[CAT]
    dataset_id = (await ada.create()).id
    await puts.prepare(ada, dataset_id, {CAT: data})
    bucket.put(keys.incoming_file(dataset_id, header(CAT, data).sha256), data + b"!")
    assert (await finalized(ada, dataset_id)).state == FAILED
    (problem,) = await ada.problems(dataset_id)
    assert problem.kind == "upload_differs" and str(len(data) + 1) in problem.message


@pytest.mark.usefixtures("checks_signatures")
async def test_an_expired_url_takes_nothing_and_a_new_one_does(
    database: Database, bucket: S3ObjectStore, alice: Account
) -> None:
    data = pets()[CAT]
    async with (
        serving(database, bucket, upload_url_seconds=1) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel, alice)
        dataset_id = (await client.create()).id
        (old,) = (await puts.prepare(client, dataset_id, {CAT: data})).uploads
        await asyncio.sleep(old.expire_time.ToSeconds() + 2 - time.time())
        assert puts.put(old, data) == 403
        (new,) = (await puts.prepare(client, dataset_id, {CAT: data})).uploads
        assert new.expire_time.ToSeconds() > old.expire_time.ToSeconds()
        assert puts.put(new, data) == 200


async def test_a_put_after_ready_changes_nothing(
    ada: Client, bucket: S3ObjectStore, server: tuple[DatasetService, str]
) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    uploads = {upload.path: upload for upload in (await puts.prepare(ada, dataset_id, files)).uploads}
    for path, upload in uploads.items():
        puts.put(upload, files[path])
    ready = await finalized(ada, dataset_id)
    assert ready.state == READY

    assert puts.put(uploads[CAT], bytes(len(files[CAT]))) == 200  # its URL lives on
    assert bucket.get(keys.dataset_file(dataset_id, CAT)) == files[CAT]
    assert await ada.get(dataset_id) == ready
    # It lies where nobody reads, and the next sweep takes it away.
    assert len([*bucket.list(keys.INCOMING)]) == 1
    assert await server[0].sweep_leftovers(timedelta(hours=24)) == 1
    assert [*bucket.list(keys.INCOMING)] == []
    assert bucket.get(keys.dataset_file(dataset_id, CAT)) == files[CAT]


async def test_an_upload_that_broke_off_is_not_sent_again(ada: Client) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    for upload in [*(await puts.prepare(ada, dataset_id, files)).uploads][:2]:
        puts.put(upload, files[upload.path])
    again = await puts.prepare(ada, dataset_id, files)
    assert [*again.stored_paths] == [*files][:2]
    for upload in again.uploads:
        puts.put(upload, files[upload.path])
    assert (await finalized(ada, dataset_id)).state == READY


async def test_a_file_prepared_anew_with_other_bytes_is_the_new_one(ada: Client, bucket: S3ObjectStore) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    await puts.send(ada, dataset_id, {**files, CAT: b"a mistake"})
    await puts.send(ada, dataset_id, files)
    assert (await finalized(ada, dataset_id)).state == READY
    assert bucket.get(keys.dataset_file(dataset_id, CAT)) == files[CAT]


async def test_every_violation_is_named(ada: Client) -> None:
    dataset_id = await ada.filled({"folder/file": b"x"})
    good = header("b", b"b")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.ask(
            ada,
            dataset_id,
            header("../up", b"x"),
            header("a", b"x", sha256=""),
            header("c", b"x", size_bytes=-1),
            good,
            good,
            header("a.zip", b"x", unpack=True),
        )
    assert refusal(caught).reason == "INVALID_REQUEST"
    fields = [violation.field for violation in refusal(caught).violations]
    assert fields == ["files[0].path", "files[1].sha256", "files[2].size_bytes", "files[4].path", "files[5].unpack"]

    await puts.ask(ada, dataset_id, header("prepared/file", b"x"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.ask(
            ada,
            dataset_id,
            header("folder", b"x"),
            header("folder/file/below", b"x"),
            header("prepared", b"x"),
            header("large", b"x", size_bytes=5 << 20),
            header("d", b"x"),
            header("d/e", b"x"),
        )
    fields = [violation.field for violation in refusal(caught).violations]
    assert fields == ["files[0].path", "files[1].path", "files[2].path", "files[3].size_bytes", "files[5].path"]
    # A refused call prepares nothing.
    assert [upload.path for upload in (await puts.ask(ada, dataset_id, header("d/e", b"x"))).uploads] == ["d/e"]


async def test_a_call_asks_for_one_to_a_thousand_files(ada: Client) -> None:
    dataset_id = (await ada.create()).id
    for count in (0, 1001):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await puts.ask(ada, dataset_id, *[header(f"{number}", b"x") for number in range(count)])
        (violation,) = refusal(caught).violations
        assert violation.field == "files" and str(count) in violation.description


async def test_prepared_files_count_towards_the_limits(ada: Client) -> None:
    dataset_id = (await ada.create()).id
    await puts.ask(ada, dataset_id, *[header(f"{number}", b"x") for number in range(100)])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.ask(ada, dataset_id, header("one more", b"x"))
    assert "100 files" in refusal(caught).violations[0].description
    # Those that are prepared already take no more room.
    assert len((await puts.ask(ada, dataset_id, header("0", b"other"))).uploads) == 1


async def test_what_came_through_the_gateway_between_two_calls_is_seen(ada: Client) -> None:
    dataset_id = (await ada.create()).id
    await puts.ask(ada, dataset_id, header("a", b"x"))
    await ada.send(files_to(dataset_id, {"a": b"x", "folder/file": b"x"}))
    answer = await puts.ask(ada, dataset_id, header("a", b"x"), header("b", b"x"))
    assert ([*answer.stored_paths], [upload.path for upload in answer.uploads]) == (["a"], ["b"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.ask(ada, dataset_id, header("folder", b"x"), header("b/c", b"x"))
    assert [violation.field for violation in refusal(caught).violations] == ["files[0].path", "files[1].path"]
    # A refused call has changed nothing for the next one.
    assert len((await puts.ask(ada, dataset_id, header("b", b"other"), header("c", b"x"))).uploads) == 2


async def test_a_stored_file_is_not_replaced(ada: Client) -> None:
    dataset_id = await ada.filled({CAT: b"stored"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.prepare(ada, dataset_id, {CAT: b"other"})
    assert (refusal(caught).reason, refusal(caught).metadata["path"]) == ("FILE_EXISTS", CAT)


async def test_what_came_through_the_gateway_meanwhile_wins(ada: Client, bucket: S3ObjectStore) -> None:
    files = pets()
    dataset_id = (await ada.create()).id
    await puts.send(ada, dataset_id, {CAT: b"sent past it", "train/dog": b"a file where a folder comes"})
    await ada.send(files_to(dataset_id, files))
    assert (await finalized(ada, dataset_id)).state == FAILED
    (problem,) = await ada.problems(dataset_id)
    assert (problem.path, problem.kind) == ("train/dog", "upload_refused")
    assert bucket.get(keys.dataset_file(dataset_id, CAT)) == files[CAT]
    assert (await finalized(ada, dataset_id)).state == READY


async def test_someone_elses_dataset_and_a_closed_one_are_refused(ada: Client, ben: Client) -> None:
    private = await ada.create()
    public = await ada.create(spec("shared", visibility=dataset_pb2.VISIBILITY_PUBLIC))
    for dataset_id in (private.id, public.id, "ds_none"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await puts.prepare(ben, dataset_id, {CAT: b"x"})
        assert (refusal(caught).code, refusal(caught).reason) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    ready = await ada.analysed(spec(), pets())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await puts.prepare(ada, ready.id, {"train/cat/9.png": b"x"})
    assert refusal(caught).reason == "INVALID_STATE_TRANSITION"


async def test_deleting_a_dataset_takes_what_was_sent_with_it(ada: Client, bucket: S3ObjectStore) -> None:
    dataset_id = (await ada.create()).id
    (upload,) = (await puts.prepare(ada, dataset_id, {CAT: b"x"})).uploads
    puts.put(upload, b"x")
    await ada.delete(dataset_id)
    assert [*bucket.list("")] == []


async def test_leftovers_are_swept_and_what_is_awaited_stays(
    ada: Client, bucket: S3ObjectStore, server: tuple[DatasetService, str], database: Database
) -> None:
    service, _ = server
    gone, failed, awaited, abandoned = [(await ada.create(spec(name))).id for name in "abcd"]
    late: dict[str, dataset_pb2.PresignedUpload] = {}
    for dataset_id in (gone, failed, awaited, abandoned):
        (late[dataset_id],) = (await puts.prepare(ada, dataset_id, {CAT: b"x"})).uploads
    await ada.delete(gone)
    assert (await finalized(ada, failed)).state == FAILED
    for upload in late.values():
        puts.put(upload, b"x")

    def owners() -> set[str]:
        return {info.key.split("/")[1] for info in bucket.list(keys.INCOMING)}

    assert await service.sweep_leftovers(timedelta(hours=24)) == 1
    assert owners() == {failed, awaited, abandoned}

    # That of a dataset that failed goes a day after its URL has ended, and is then missing, not forgotten.
    def make_old(session: Session) -> None:
        for row in PreparedUploadRepository(session).list(failed):
            PreparedUploadRepository(session).replace(
                failed,
                [
                    PreparedUpload(
                        dataset_id=failed,
                        path=row.path,
                        size_bytes=row.size_bytes,
                        sha256=row.sha256,
                        expire_time=now() - timedelta(hours=25),
                    )
                ],
            )
        DatasetRepository(session).update(abandoned, update_time=now() - timedelta(hours=25))

    await database.write(make_old)
    assert await service.sweep_leftovers(timedelta(hours=24)) == 1
    assert (await finalized(ada, failed)).state == FAILED
    assert [problem.kind for problem in await ada.problems(failed)] == ["upload_missing"]
    # What was prepared for an upload that nobody goes on with goes with its dataset.
    assert await service.sweep_abandoned(timedelta(hours=24)) == [abandoned]
    assert owners() == {awaited}
    assert (await finalized(ada, awaited)).file_count == 1


async def test_preparing_is_a_sign_of_life(ada: Client, server: tuple[DatasetService, str], database: Database) -> None:
    dataset_id = (await ada.create()).id
    await database.write(
        lambda session: DatasetRepository(session).update(dataset_id, update_time=now() - timedelta(hours=25))
    )
    await puts.prepare(ada, dataset_id, {CAT: b"x"})
    assert await server[0].sweep_abandoned(timedelta(hours=24)) == []


async def test_an_analysis_cut_off_while_it_takes_uploads_in_goes_on(
    database: Database, s3: S3Server, alice: Account
) -> None:
    files = pets(train=20)
    bucket, prefix = s3.new_bucket(), "p/"
    slow = SlowCopies(bucket, prefix, s3.settings())
    async with serving(database, slow) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset_id = (await client.create()).id
        await puts.send(client, dataset_id, files)
        await client.finalize(dataset_id)
        await asyncio.sleep(0.3)
    left = await database.read(lambda session: DatasetRepository(session).get(dataset_id))
    assert left is not None and left.state == "ANALYZING" and left.file_count < len(files)
    store = S3ObjectStore(bucket, prefix, s3.settings())
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        ready = (await Client(channel, alice).watch(dataset_id))[-1].dataset
        assert (ready.state, ready.file_count) == (READY, len(files))
    assert [*store.list(keys.INCOMING)] == []


class SlowCopies(S3ObjectStore):
    """A server that takes its time to copy."""

    def copy(self, source: str, key: str, *, sha256: str = "") -> None:
        time.sleep(0.2)
        super().copy(source, key, sha256=sha256)
