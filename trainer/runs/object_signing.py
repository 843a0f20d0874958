"""Calls of the object store, signed by a gateway: the agent has no key of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import grpc
import structlog

from rpc.channel import open_mesh_channel
from storage.objects.errors import AccessRefused, StoreUnavailable
from storage.objects.signing import ObjectCall
from visionmesh.mesh.v1 import run_objects_pb2
from visionmesh.mesh.v1.run_objects_service_pb2_grpc import RunObjectsServiceStub

if TYPE_CHECKING:
    from visionmesh.mesh.v1.run_objects_service_pb2_grpc import RunObjectsServiceAsyncStub

ANSWER_SECONDS = 30.0
MAX_CALLS = 1000

logger = structlog.get_logger()

_Waiting = tuple[ObjectCall, Future[str]]


class ObjectSigner:
    """Has calls signed by a gateway of ``target``, which names one or several between commas.

    What many threads ask for at once goes in one request: while one is answered, the next gathers.
    """

    def __init__(self, target: str, token: str) -> None:
        self._targets = target.split(",")
        self._token = token
        self._waiting: deque[_Waiting] = deque()
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def sign(self, call: ObjectCall) -> str:
        """The URL of a call; for other threads than that of ``run``, which must be running.

        Raises AccessRefused, and StoreUnavailable where no gateway answers or signs for this run.
        """
        assert self._loop is not None
        future: Future[str] = Future()
        self._waiting.append((call, future))
        self._loop.call_soon_threadsafe(self._asked.set)
        return future.result()

    async def run(self) -> None:
        """Answer those who ask, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._session()
            # The next time another gateway, if there is one.
            self._targets.append(self._targets.pop(0))

    async def _session(self) -> None:
        """Ask one gateway, for as long as it answers."""
        await self._someone_asks()
        # A channel of its own: one that failed waits longer and longer before it tries again.
        async with open_mesh_channel(self._targets[0], self._token) as channel:
            stub = RunObjectsServiceStub(channel)
            while True:
                await self._someone_asks()
                asked = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_CALLS))]
                try:
                    await _answer(stub, asked)
                except grpc.aio.AioRpcError as error:
                    logger.warning("no gateway signs", target=self._targets[0], error=error.details())
                    # Where the gateway is, and what it said, is for the agent's log alone.
                    why = StoreUnavailable("no gateway signs calls of it now")
                    for _, future in asked:
                        future.set_exception(why)
                    return

    async def _someone_asks(self) -> None:
        while not self._waiting:
            self._asked.clear()
            await self._asked.wait()


async def _answer(stub: RunObjectsServiceAsyncStub, asked: Sequence[_Waiting]) -> None:
    request = run_objects_pb2.SignObjectCallsRequest(calls=[_message(call) for call, _ in asked])
    answer = await stub.SignObjectCalls(request, timeout=ANSWER_SECONDS)
    for (call, future), signed in zip(asked, answer.calls, strict=True):
        if signed.HasField("url"):
            future.set_result(signed.url)
        else:
            future.set_exception(AccessRefused(call.key, signed.refusal.message))


def _message(call: ObjectCall) -> run_objects_pb2.ObjectCall:
    return run_objects_pb2.ObjectCall(
        method=f"OBJECT_METHOD_{call.method.name}",
        key=call.key,
        upload_id=call.upload_id,
        part_number=call.part_number,
        content_md5=call.content_md5,
        sha256=call.sha256,
    )
