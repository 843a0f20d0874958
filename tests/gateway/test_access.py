"""Who may call: tokens on all four kinds of call, over real gRPC and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.access import AuthInterceptor, Caller, acting_as, caller
from rpc.interceptors import ErrorInterceptor
from rpc.server import create_server
from storage.database.engine import Database
from storage.database.tables import ApiToken
from tests.gateway.conftest import Account
from tests.rpc.calls import KINDS, SERVICE, STREAMS, FourKinds, call, failure
from visionmesh.errors import from_rpc


@pytest.fixture
async def channel(database: Database) -> AsyncIterator[grpc.aio.Channel]:
    """To a server that answers with the caller's name; tokens are remembered for no time."""
    served = create_server(
        [(SERVICE, FourKinds(lambda text: f"{text} {caller().name} {caller().user_id}").add)],
        interceptors=[ErrorInterceptor(), AuthInterceptor(database, remember_seconds=0)],
        max_message_bytes=1 << 20,
    )
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await served.drain(0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_makes_its_user_the_caller(
    channel: grpc.aio.Channel, kind: str, alice: Account, bob: Account
) -> None:
    first = ["first"] if kind in STREAMS else []
    for account in (alice, bob, alice):
        assert await call(channel, kind, "hi", account.metadata) == [*first, f"hi {account.name} {account.user_id}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("", "TOKEN_MISSING"),
        ("Bearer vm_wrong", "TOKEN_INVALID"),
        ("Bearer", "TOKEN_INVALID"),
        ("Bearer    ", "TOKEN_INVALID"),
        ("Basic YWxpY2U6c2VjcmV0", "TOKEN_INVALID"),
        ("Bearer a b c", "TOKEN_INVALID"),
    ],
)
async def test_nobody_else_gets_in(
    channel: grpc.aio.Channel, alice: Account, kind: str, header: str | None, reason: str
) -> None:
    metadata = (("authorization", header),) if header is not None else ()
    answers, raw = await failure(channel, kind, "hi", metadata)
    error = from_rpc(raw)
    assert answers == []  # not one item of a stream
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert error.metadata["request_id"]
    assert "vm_wrong" not in error.message


async def test_a_bare_token_without_its_scheme_is_refused(channel: grpc.aio.Channel, alice: Account) -> None:
    _, raw = await failure(channel, "UnaryUnary", "hi", (("authorization", alice.token),))
    assert from_rpc(raw).reason == "TOKEN_INVALID"
    assert alice.token not in (raw.details() or "")


async def test_the_scheme_may_be_written_in_any_case(channel: grpc.aio.Channel, alice: Account) -> None:
    answers = await call(channel, "UnaryUnary", "hi", (("authorization", f"bearer {alice.token}"),))
    assert answers == [f"hi alice {alice.user_id}"]


async def test_a_token_taken_back_no_longer_lets_in(
    channel: grpc.aio.Channel, alice: Account, database: Database
) -> None:
    assert await call(channel, "UnaryUnary", "hi", alice.metadata)
    await database.write(lambda session: session.query(ApiToken).delete())
    _, raw = await failure(channel, "UnaryUnary", "hi", alice.metadata)
    assert from_rpc(raw).reason == "TOKEN_INVALID"


async def test_a_remembered_token_costs_no_query(database: Database, alice: Account) -> None:
    served = create_server(
        [(SERVICE, FourKinds(lambda text: caller().name).add)],
        interceptors=[ErrorInterceptor(), AuthInterceptor(database, remember_seconds=60)],
        max_message_bytes=1 << 20,
    )
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.serve()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await call(channel, "UnaryUnary", "hi", alice.metadata) == ["alice"]
        await database.close()  # a query would fail now
        assert await call(channel, "UnaryUnary", "hi", alice.metadata) == ["alice"]
        _, raw = await failure(channel, "UnaryUnary", "hi", (("authorization", "Bearer vm_other"),))
        assert from_rpc(raw).reason == "INTERNAL"
    await served.drain(0)


async def test_health_needs_no_token(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", SERVICE):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_there_is_no_caller_outside_a_call() -> None:
    with pytest.raises(LookupError):
        caller()
    with acting_as(Caller("user_1", "carol")):
        assert caller().name == "carol"
    with pytest.raises(LookupError):
        caller()
