"""How an agent has its calls of the object store signed: many at once, and by whichever gateway answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from rpc.interceptors import ErrorInterceptor, MeshAuthInterceptor
from storage.objects.errors import AccessRefused, StoreUnavailable
from storage.objects.signing import Method, ObjectCall
from tests.server_process import free_port
from trainer.runs.object_signing import MAX_CALLS, ObjectSigner
from visionmesh.mesh.v1 import run_objects_pb2
from visionmesh.mesh.v1.run_objects_service_pb2_grpc import (
    RunObjectsServiceServicer,
    add_RunObjectsServiceServicer_to_server,
)
from visionmesh.v1 import common_pb2

TOKEN = "run-token-of-the-tests"


class FakeSigner(RunObjectsServiceServicer):
    """Signs everything but what is called ``foreign``, and keeps the size of each request; answers while ``open``."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), MeshAuthInterceptor(TOKEN)], options=[("grpc.so_reuseport", 0)]
        )
        add_RunObjectsServiceServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    async def SignObjectCalls(
        self, request: run_objects_pb2.SignObjectCallsRequest, context: Any
    ) -> run_objects_pb2.SignObjectCallsResponse:
        self.requests.append(len(request.calls))
        await self.open.wait()
        return run_objects_pb2.SignObjectCallsResponse(calls=map(_signed, request.calls))


def _signed(call: run_objects_pb2.ObjectCall) -> run_objects_pb2.SignedObjectCall:
    if call.key == "foreign":
        refusal = common_pb2.Failure(reason="OBJECT_NOT_ALLOWED", message="The run does not read this object.")
        return run_objects_pb2.SignedObjectCall(refusal=refusal)
    name = run_objects_pb2.ObjectMethod.Name(call.method).removeprefix("OBJECT_METHOD_")
    parts = (name, call.key, call.upload_id, str(call.part_number), call.content_md5, call.sha256)
    return run_objects_pb2.SignedObjectCall(url="|".join(parts))


@pytest.fixture
async def gateway() -> AsyncIterator[FakeSigner]:
    fake = FakeSigner()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def running() -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def signer_of(target: str, running: list[asyncio.Task[None]], token: str = TOKEN) -> ObjectSigner:
    signer = ObjectSigner(target, token)
    running.append(asyncio.create_task(signer.run()))
    await asyncio.sleep(0)
    return signer


def get(key: str) -> ObjectCall:
    return ObjectCall(Method.GET, key)


async def test_every_part_of_a_call_is_signed(gateway: FakeSigner, running: list[asyncio.Task[None]]) -> None:
    signer = await signer_of(gateway.target, running)
    for method in Method:
        call = ObjectCall(method, "a key", "an id", 7, "an md5", "a sha256")
        assert await asyncio.to_thread(signer.sign, call) == f"{method.name}|a key|an id|7|an md5|a sha256"


async def test_what_many_ask_for_at_once_goes_in_few_requests(
    gateway: FakeSigner, running: list[asyncio.Task[None]]
) -> None:
    signer = await signer_of(gateway.target, running)
    gateway.open.clear()
    first = asyncio.create_task(asyncio.to_thread(signer.sign, get("first")))
    async with asyncio.timeout(10):
        while not gateway.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(asyncio.to_thread(signer.sign, get(f"key {number}"))) for number in range(4)]
    async with asyncio.timeout(10):
        while len(signer._waiting) < len(waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gateway.open.set()
    assert (await first).startswith("GET|first|")
    for number, task in enumerate(waiting):
        assert (await task).startswith(f"GET|key {number}|")
    assert gateway.requests == [1, len(waiting)]
    assert MAX_CALLS >= 1000


async def test_a_refused_call_is_refused_alone(gateway: FakeSigner, running: list[asyncio.Task[None]]) -> None:
    signer = await signer_of(gateway.target, running)
    outcomes = await asyncio.gather(
        *(asyncio.to_thread(signer.sign, get(key)) for key in ("mine", "foreign", "mine too")), return_exceptions=True
    )
    assert isinstance(outcomes[1], AccessRefused) and "does not read" in str(outcomes[1])
    assert [isinstance(outcome, str) for outcome in outcomes] == [True, False, True]


async def test_another_gateway_signs_where_one_is_away(gateway: FakeSigner, running: list[asyncio.Task[None]]) -> None:
    signer = await signer_of(f"127.0.0.1:{free_port()},{gateway.target}", running)
    with pytest.raises(StoreUnavailable, match="no gateway signs calls of it now"):
        await asyncio.to_thread(signer.sign, get("key"))
    assert (await asyncio.to_thread(signer.sign, get("key"))).startswith("GET|key|")
    await gateway.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await asyncio.to_thread(signer.sign, get("key"))
    again = FakeSigner(int(gateway.target.rpartition(":")[2]))
    await again.start()
    assert (await asyncio.to_thread(signer.sign, get("key"))).startswith("GET|key|")
    await again.stop()


async def test_a_gateway_that_knows_no_such_run_is_one_that_signs_nothing_now(
    gateway: FakeSigner, running: list[asyncio.Task[None]]
) -> None:
    """The agent's stream of events finds out whether that passes, and ends the run if not."""
    signer = await signer_of(gateway.target, running, "the-token-of-another-run")
    with pytest.raises(StoreUnavailable):
        await asyncio.to_thread(signer.sign, get("key"))
    assert gateway.requests == []
