"""Claims of the gateways over one PostgreSQL database: one at a time, and never longer than its gateway lives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from storage.database.claims import Claims, LoneClaims, SharedClaims, claim_key, claimed
from storage.database.connections import parse_url
from storage.database.errors import DatabaseUnavailable
from tests.gateway.waiting import until
from tests.postgresql_server import PostgreSQLServer

KEEP_SECONDS = 0.05

HOLD_A_CLAIM = """
import asyncio, sys
from storage.database.engine import Database

async def main():
    print(await Database(sys.argv[1]).claims.take("work"), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def url(postgresql_server: PostgreSQLServer) -> str:
    return postgresql_server.new_database()


def new(url: str) -> SharedClaims:
    return SharedClaims(parse_url(url), keep_seconds=KEEP_SECONDS)


@pytest.fixture
async def ours(url: str) -> AsyncIterator[SharedClaims]:
    claims = new(url)
    yield claims
    await claims.close()


@pytest.fixture
async def theirs(url: str) -> AsyncIterator[SharedClaims]:
    claims = new(url)
    yield claims
    await claims.close()


async def taken_in_time(claims: Claims, name: str) -> None:
    """Wait until a claim can be had."""
    async with asyncio.timeout(20):
        while not await claims.take(name):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.02)


async def test_one_gateway_at_a_time_has_a_claim_as_often_as_it_likes(ours: SharedClaims, theirs: SharedClaims) -> None:
    assert await ours.take("work") and await ours.take("work")
    assert not await theirs.take("work")
    assert await theirs.take("other work")
    await ours.give_back("work")
    assert not await theirs.take("work")  # given back once, taken twice
    await ours.give_back("work")
    assert await theirs.take("work")
    assert not await ours.take("work")
    await theirs.close()
    assert await ours.take("work")


async def test_of_many_who_want_a_claim_at_once_one_gets_it(url: str, ours: SharedClaims, theirs: SharedClaims) -> None:
    for number in range(20):
        got = await asyncio.gather(ours.take(f"job {number}"), theirs.take(f"job {number}"))
        assert sorted(got) == [False, True]


async def test_a_block_is_told_whether_it_has_the_claim_and_gives_it_back(
    ours: SharedClaims, theirs: SharedClaims
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with claimed(ours, "work") as mine, claimed(theirs, "work") as also_mine:
            assert (mine, also_mine) == (True, False)
            raise ZeroDivisionError
    assert await theirs.take("work")


async def test_a_claim_dies_with_its_gateway(url: str, ours: SharedClaims) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_A_CLAIM, url, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None and await holder.stdout.readline() == b"True\n"
    assert not await ours.take("work")
    holder.kill()
    await holder.wait()
    await taken_in_time(ours, "work")


async def test_claims_are_taken_again_after_their_connection_broke(
    url: str, postgresql_server: PostgreSQLServer, ours: SharedClaims, theirs: SharedClaims
) -> None:
    assert await ours.take("work") and await ours.take("more work")
    key = claim_key("work") & 0xFFFFFFFF
    # ``objid`` is the lower half of the key.
    holders = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {key}"
    [[pid]] = postgresql_server.execute(holders)
    postgresql_server.execute(f"SELECT pg_terminate_backend({pid})")
    await until(lambda: bool([row for row in postgresql_server.execute(holders) if row[0] != pid]), 20)
    assert not await theirs.take("work") and not await theirs.take("more work")
    await ours.give_back("work")
    assert await theirs.take("work")


async def test_a_caller_that_leaves_leaves_no_claim_behind(ours: SharedClaims, theirs: SharedClaims) -> None:
    await ours.take("something else")
    for _ in range(20):
        taking = asyncio.create_task(ours.take("work"))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    await ours.give_back("something else")  # behind all that
    assert await theirs.take("work")


async def test_a_server_that_is_away_is_named_without_its_password() -> None:
    claims = new("postgresql://ada:secret@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:9/nothing") as caught:
        await claims.take("work")
    assert "secret" not in str(caught.value)
    await claims.give_back("work")  # whatever was taken is gone
    await claims.close()


async def test_the_one_gateway_of_a_file_has_every_claim() -> None:
    claims = LoneClaims()
    assert await claims.take("work") and await claims.take("work")
