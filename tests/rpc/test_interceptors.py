"""Errors of all four kinds of call, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import capture_logs

from rpc.channel import open_mesh_channel
from rpc.errors import DomainError, invalid_request
from rpc.interceptors import ErrorInterceptor, MeshAuthInterceptor
from rpc.server import create_server
from tests.rpc.calls import KINDS, SERVICE, STREAMS, FourKinds, call, failure
from visionmesh.errors import Violation, from_rpc

SECRET = "password=hunter2 in /srv/secret"
TOKEN = "mesh-token-of-this-test"


def answer(text: str) -> str:
    """Do what the request says."""
    if text == "unexpected":
        raise RuntimeError(SECRET)
    if text == "domain":
        raise DomainError("JOB_NOT_FOUND", "There is no job 'j'.", metadata={"job_id": "j"})
    if text == "busy":
        raise DomainError("BUSY", "Every slot is taken.", retry_seconds=2.5)
    if text == "violations":
        raise invalid_request([Violation(f"files[{number}].path", "must be relative, " * 5) for number in range(200)])
    return f"{text} {structlog.contextvars.get_contextvars().get('request_id', '')}"


@asynccontextmanager
async def serving(*interceptors: grpc.aio.ServerInterceptor) -> AsyncIterator[str]:
    """A real server of the four kinds on a free port; gives its address."""
    served = create_server([(SERVICE, FourKinds(answer).add)], interceptors=interceptors, max_message_bytes=1 << 20)
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.serve()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await served.drain(0)


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with serving(ErrorInterceptor()) as address, grpc.aio.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
def logs() -> Iterator[list[dict[str, object]]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_good_call_has_a_request_id_bound_for_its_logs(channel: grpc.aio.Channel, kind: str) -> None:
    answers = await call(channel, kind, "hello")
    word, request_id = answers[-1].split()
    assert word == "hello"
    assert len(request_id) == 16
    assert answers[:-1] == (["first"] if kind in STREAMS else [])


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unexpected_exception_is_hidden_and_can_be_found(
    channel: grpc.aio.Channel, kind: str, logs: list[dict[str, object]]
) -> None:
    answers, raw = await failure(channel, kind, "unexpected")
    error = from_rpc(raw)
    assert answers == (["first"] if kind in STREAMS else [])  # streams broke in their middle
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    request_id = error.metadata["request_id"]
    assert request_id in error.message
    trailing = dict(raw.trailing_metadata())
    assert trailing["x-request-id"] == request_id
    assert "hunter2" not in f"{raw.details()} {raw.debug_error_string()} {trailing}"
    assert "RuntimeError" not in f"{raw.details()} {trailing}"
    entry = next(entry for entry in logs if entry["event"] == "call failed")
    assert entry["request_id"] == request_id
    assert entry["method"] == f"/{SERVICE}/{kind}"
    assert entry["exc_info"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_domain_error_keeps_its_parts(channel: grpc.aio.Channel, kind: str) -> None:
    answers, raw = await failure(channel, kind, "domain")
    error = from_rpc(raw)
    assert answers == (["first"] if kind in STREAMS else [])
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    assert error.message == "There is no job 'j'."
    assert error.metadata["job_id"] == "j"
    assert error.retry_seconds is None
    assert len(error.metadata["request_id"]) == 16


async def test_retry_arrives_at_the_client(channel: grpc.aio.Channel) -> None:
    _, raw = await failure(channel, "UnaryUnary", "busy")
    error = from_rpc(raw)
    assert (error.code, error.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 2.5)


@pytest.mark.parametrize("kind", KINDS)
async def test_two_hundred_violations_arrive_as_those_that_fit(channel: grpc.aio.Channel, kind: str) -> None:
    _, raw = await failure(channel, kind, "violations")
    error = from_rpc(raw)
    # More detail would make the client see RESOURCE_EXHAUSTED in its place.
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.metadata["violation_count"] == "200"
    assert 10 < len(error.violations) < 200
    assert error.violations[0].field == "files[0].path"


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, grpc.aio.AbortError])
async def test_the_end_of_a_call_is_no_failure(raised: type[BaseException], logs: list[dict[str, object]]) -> None:
    """Cancelling and aborting go through untouched: nothing is logged and the call is not aborted again."""
    aborted: list[object] = []

    class Context:
        def set_trailing_metadata(self, metadata: object) -> None:
            """Keeps nothing."""

        async def abort(self, *arguments: object) -> None:
            aborted.append(arguments)

    async def behaviour(request: object, context: object) -> object:
        raise raised

    async def continuation(details: object) -> object:
        return grpc.unary_unary_rpc_method_handler(behaviour)

    class Details:
        method = "/a.B/C"

    handler = await ErrorInterceptor().intercept_service(continuation, Details())  # type: ignore[arg-type]
    assert handler is not None and handler.unary_unary is not None
    with pytest.raises(raised):
        await handler.unary_unary(None, Context())  # type: ignore[arg-type]
    assert not aborted
    assert not logs


async def test_a_client_that_goes_leaves_no_failure_in_the_log(logs: list[dict[str, object]]) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    def _raw(message: bytes) -> bytes:
        return message

    async def wait(request: object, context: object) -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    def add(server: grpc.aio.Server) -> None:
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"Wait": grpc.unary_unary_rpc_method_handler(wait)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("visionmesh.test.Waiting", handlers),))

    served = create_server(
        [("visionmesh.test.Waiting", add)], interceptors=[ErrorInterceptor()], max_message_bytes=1 << 20
    )
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        waiting: grpc.aio.UnaryUnaryCall[Any, Any] = channel.unary_unary("/visionmesh.test.Waiting/Wait", _raw)(b"")
        await asyncio.wait_for(started.wait(), 10)
        waiting.cancel()
        await asyncio.wait_for(ended.wait(), 10)
    await served.drain(0)
    assert not [entry for entry in logs if entry["event"] == "call failed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("header", "reason"),
    [(None, "TOKEN_MISSING"), ("Bearer wrong", "TOKEN_INVALID"), (TOKEN, "TOKEN_INVALID"), ("", "TOKEN_INVALID")],
)
async def test_the_mesh_refuses_who_has_not_its_token(kind: str, header: str | None, reason: str) -> None:
    metadata = (("authorization", header),) if header is not None else ()
    async with (
        serving(ErrorInterceptor(), MeshAuthInterceptor(TOKEN)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        answers, raw = await failure(channel, kind, "hello", metadata)
    assert answers == []
    assert (raw.code(), from_rpc(raw).reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize("kind", ["UnaryUnary", "StreamStream"])
async def test_mesh_channels_carry_the_token(kind: str) -> None:
    async with serving(ErrorInterceptor(), MeshAuthInterceptor(TOKEN)) as address:
        channel = open_mesh_channel(address, TOKEN)
        answers = await call(channel, kind, "hello")
        await channel.close()
    assert answers[-1].startswith("hello")
