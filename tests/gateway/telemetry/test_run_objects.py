"""The object store as the agents of runs get it: calls that a real gateway signs, made of a real S3 server."""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from rpc.channel import open_mesh_channel
from storage.database.tables import Run, TrainingJob
from storage.objects import keys
from storage.objects.open import open_store
from storage.objects.store import ObjectStore
from tests import s3_server
from tests.gateway.telemetry.real_runs import RealRun, RealRuns
from tests.gateway_process import GatewayProcess
from tests.s3_server import SECRET_ACCESS_KEY, S3Server
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.mesh.v1 import run_objects_pb2 as pb
from visionmesh.mesh.v1.run_objects_service_pb2_grpc import RunObjectsServiceStub

BODY = b"the weights"
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
READING = (pb.OBJECT_METHOD_GET, pb.OBJECT_METHOD_HEAD)
WRITING = (
    pb.OBJECT_METHOD_PUT,
    pb.OBJECT_METHOD_CREATE_UPLOAD,
    pb.OBJECT_METHOD_PUT_PART,
    pb.OBJECT_METHOD_COMPLETE_UPLOAD,
    pb.OBJECT_METHOD_ABORT_UPLOAD,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.running(s3_server.nanio(), tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def location(server: S3Server) -> str:
    return f"s3://{server.new_bucket()}/mesh"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, server: S3Server, location: str) -> Iterator[GatewayProcess]:
    variables = {
        **server.environment(),
        "VISIONMESH_OBJECT_STORE": location,
        "VISIONMESH_LOG_JSON": "true",
        "VISIONMESH_LEASE_SECONDS": "3600",
    }
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), **variables) as running:
        yield running


@pytest.fixture
def store(server: S3Server, location: str) -> ObjectStore:
    """The objects, seen from behind the gateway's back."""
    return open_store(location, server.settings())


@pytest.fixture
async def runs(gateway: GatewayProcess) -> AsyncIterator[RealRuns]:
    made = RealRuns(gateway)
    yield made
    await made.close()


def call(method: pb.ObjectMethod, key: str, **changed: Any) -> pb.ObjectCall:
    """A call that has all that a call of its method needs."""
    part = method == pb.OBJECT_METHOD_PUT_PART
    given: dict[str, Any] = {
        "upload_id": "" if method in (*READING, pb.OBJECT_METHOD_PUT, pb.OBJECT_METHOD_CREATE_UPLOAD) else "an-id",
        "part_number": 1 if part else 0,
        "content_md5": MD5 if part or method == pb.OBJECT_METHOD_PUT else "",
    }
    return pb.ObjectCall(method=method, key=key, **{**given, **changed})


@asynccontextmanager
async def stub_of(gateway: GatewayProcess, token: str) -> AsyncIterator[Any]:
    async with open_mesh_channel(gateway.mesh_address, token) as channel:
        yield RunObjectsServiceStub(channel)


async def sign(runs: RealRuns, run: RealRun, *calls: pb.ObjectCall) -> list[pb.SignedObjectCall]:
    async with stub_of(runs.gateway, run.token) as stub:
        answer = await stub.SignObjectCalls(pb.SignObjectCallsRequest(calls=calls))
    assert answer.seconds > 0
    return list(answer.calls)


async def refusal(runs: RealRuns, token: str, *calls: pb.ObjectCall) -> VisionMeshError:
    async with stub_of(runs.gateway, token) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SignObjectCalls(pb.SignObjectCallsRequest(calls=calls))
    return from_rpc(caught.value)


def send(method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """What the store answers to a signed call."""
    headers = {"Content-MD5": MD5} if body is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def checkpoint_key(run: RealRun, number: int = 1, name: str = "weights.safetensors") -> str:
    prefix = keys.checkpoint_prefix(run.spec.project_id, run.spec.job_id, f"{run.spec.run_id[-12:]}-{number}")
    return f"{prefix}{name}"


async def test_a_run_reads_its_dataset_and_what_its_job_made(runs: RealRuns, store: ObjectStore) -> None:
    run = await runs.begin()
    dataset = (await runs.job(run)).dataset_id
    readable = [
        keys.manifest(dataset),
        keys.dataset_annotations(dataset),
        keys.dataset_file(dataset, "train/große Katze/1 +.png"),
        checkpoint_key(run),
        keys.validation_images(run.spec.project_id, run.spec.job_id, "checkpoint"),
    ]
    for key in readable:
        store.put(key, key.encode())
    signed = await sign(runs, run, *(call(method, key) for key in readable for method in READING))
    for key, got, head in zip(readable, signed[::2], signed[1::2], strict=True):
        assert send("GET", got.url) == (http.client.OK, key.encode())
        assert send("HEAD", head.url) == (http.client.OK, b"")
    assert not any(SECRET_ACCESS_KEY in outcome.url for outcome in signed)


async def test_a_run_writes_checkpoints_of_its_job_until_they_are_recorded(runs: RealRuns, store: ObjectStore) -> None:
    run = await runs.begin()
    key = checkpoint_key(run)
    images = keys.validation_images(run.spec.project_id, run.spec.job_id, f"{run.spec.run_id[-12:]}-1")
    put, put_images = await sign(runs, run, *(call(pb.OBJECT_METHOD_PUT, to) for to in (key, images)))
    for url, to in ((put.url, key), (put_images.url, images)):
        assert send("PUT", url, b"forged")[0] == http.client.BAD_REQUEST  # the bytes are not those of the digest
        assert send("PUT", url, BODY)[0] == http.client.OK
        assert store.get(to) == BODY
    parts = await sign(runs, run, *(call(method, checkpoint_key(run, 2)) for method in WRITING))
    assert all(part.HasField("url") for part in parts)
    agent = await runs.agent(run)
    event = run.script.checkpoint(1)
    assert event.checkpoint.storage_path == key.removesuffix("weights.safetensors")
    await agent.send(event)
    # What is recorded is others' to rely on.
    for to in (key, checkpoint_key(run, 1, "more.safetensors"), images):
        for outcome in await sign(runs, run, *(call(method, to) for method in WRITING)):
            assert outcome.refusal.reason == "OBJECT_NOT_ALLOWED" and "recorded" in outcome.refusal.message
    [again] = await sign(runs, run, call(pb.OBJECT_METHOD_GET, key))
    assert send("GET", again.url) == (http.client.OK, BODY)


async def test_what_is_not_the_runs_own_is_refused_by_itself_and_logged(runs: RealRuns, store: ObjectStore) -> None:
    run, other = await runs.begin(), await runs.begin()
    dataset, others = (await runs.job(run)).dataset_id, (await runs.job(other)).dataset_id
    own = keys.checkpoint_prefix(run.spec.project_id, run.spec.job_id, "a")
    foreign = [
        "",
        "/",
        ".",
        "anything",
        keys.manifest(others),
        keys.dataset_annotations(others),
        keys.dataset_file(others, "train/cat/1.png"),
        keys.incoming_file(dataset, "ab" * 32),
        checkpoint_key(other),
        keys.checkpoint_prefix("another project", run.spec.job_id, "a") + "weights.safetensors",
        f"{keys.dataset_prefix(dataset)}../{others}/train/cat/1.png",
        f"{own}../../{other.spec.job_id}/a/weights.safetensors",
        keys.manifest(dataset).removesuffix("json"),
        keys.manifest(dataset) + ".more",
    ]
    read_only = [
        keys.manifest(dataset),
        keys.dataset_file(dataset, "train/cat/1.png"),
        own,
        f"{own}deeper/weights.safetensors",
        keys.validation_images(run.spec.project_id, run.spec.job_id, "a").removesuffix(".gz"),
    ]
    wrong = [call(method, key) for key in foreign for method in (*READING, *WRITING)]
    wrong += [call(method, key) for key in read_only for method in WRITING]
    # Signed without them, these would be good for other bytes, or for another upload.
    wrong += [
        call(pb.OBJECT_METHOD_PUT, f"{own}weights.safetensors", content_md5=""),
        call(pb.OBJECT_METHOD_PUT_PART, f"{own}weights.safetensors", content_md5=""),
        call(pb.OBJECT_METHOD_PUT_PART, f"{own}weights.safetensors", part_number=0),
        *(call(method, f"{own}weights.safetensors", upload_id="") for method in WRITING[2:]),
        call(pb.OBJECT_METHOD_GET, f"{own}weights.safetensors", upload_id="an-id"),
        call(pb.OBJECT_METHOD_PUT_PART, f"{own}weights.safetensors", part_number=-1),
        call(pb.OBJECT_METHOD_PUT, f"{own}weights.safetensors", sha256="x\r\nx-amz-acl: public-read"),
        call(pb.OBJECT_METHOD_PUT, own + "x" * 5000),
    ]
    store.put(keys.manifest(dataset), b"{}")
    *outcomes, good = await sign(runs, run, *wrong, call(pb.OBJECT_METHOD_GET, keys.manifest(dataset)))
    for asked, outcome in zip(wrong, outcomes, strict=True):
        assert outcome.refusal.reason == "OBJECT_NOT_ALLOWED", asked
        assert outcome.refusal.metadata["key"] == asked.key and outcome.refusal.message.endswith(".")
    assert send("GET", good.url) == (http.client.OK, b"{}")
    logged = {(line["reason"], line["key"]) for line in runs.warnings(run)}
    assert logged == {("OBJECT_NOT_ALLOWED", asked.key) for asked in wrong}
    assert runs.warnings(other) == []


async def test_a_run_that_is_over_opens_nothing_any_more(runs: RealRuns) -> None:
    ended, superseded, going_on = await runs.begin(), await runs.begin(), await runs.begin()
    await (await runs.agent(ended)).send(ended.script.end())

    def replace(session: Any) -> None:
        session.get(TrainingJob, superseded.spec.job_id).current_run_id = going_on.spec.run_id

    await runs.in_database(replace)
    for run in (ended, superseded):
        dataset = (await runs.job(run)).dataset_id
        reading = call(pb.OBJECT_METHOD_GET, keys.manifest(dataset))
        for asked in (reading, call(pb.OBJECT_METHOD_PUT, checkpoint_key(run))):
            refused = await refusal(runs, run.token, asked)
            assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "RUN_NOT_ALLOWED")
    [signed] = await sign(runs, going_on, call(pb.OBJECT_METHOD_PUT, checkpoint_key(going_on)))
    assert signed.HasField("url")


async def test_a_run_reads_the_checkpoint_that_it_begins_with_as_long_as_that_is_there(
    runs: RealRuns, store: ObjectStore
) -> None:
    earlier, run = await runs.begin(), await runs.begin()
    await (await runs.agent(earlier)).send(earlier.script.checkpoint(1))
    key = checkpoint_key(earlier)
    store.put(key, BODY)

    def begin_with(session: Any, checkpoint_id: str) -> None:
        session.get(Run, run.spec.run_id).checkpoint_id = checkpoint_id

    reading, writing = call(pb.OBJECT_METHOD_GET, key), call(pb.OBJECT_METHOD_PUT, key)
    assert all(outcome.HasField("refusal") for outcome in await sign(runs, run, reading, writing))
    await runs.in_database(lambda session: begin_with(session, earlier.script.checkpoint(1).checkpoint.id))
    read, written = await sign(runs, run, reading, writing)
    assert send("GET", read.url) == (http.client.OK, BODY)
    assert written.refusal.reason == "OBJECT_NOT_ALLOWED"
    await runs.in_database(lambda session: begin_with(session, "gone"))
    assert all(outcome.HasField("refusal") for outcome in await sign(runs, run, reading, writing))


async def test_strangers_and_senseless_requests_are_refused(runs: RealRuns, gateway: GatewayProcess) -> None:
    run = await runs.begin()
    asked = call(pb.OBJECT_METHOD_PUT, checkpoint_key(run))
    for token in ("wrong", "a-token-of-the-tests", gateway.token, run.spec.run_id):
        assert (await refusal(runs, token, asked)).reason == "TOKEN_INVALID"
    for calls, field in (
        ([], "calls"),
        ([asked] * 1001, "calls"),
        ([asked, pb.ObjectCall(key=asked.key)], "calls[1].method"),
        ([pb.ObjectCall(method=99, key=asked.key)], "calls[0].method"),  # type: ignore[arg-type]
    ):
        refused = await refusal(runs, run.token, *calls)
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert [violation.field for violation in refused.violations] == [field]


async def test_a_folder_signs_nothing_and_says_so(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        runs = RealRuns(gateway)
        run = await runs.begin()
        refused = await refusal(runs, run.token, call(pb.OBJECT_METHOD_PUT, checkpoint_key(run)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNIMPLEMENTED, "PRESIGNED_UPLOADS_UNSUPPORTED")
    assert "same object store" in refused.message
