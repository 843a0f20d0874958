"""Notices by which the gateways over one PostgreSQL database wake each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.database import notices as module
from storage.database.connections import parse_url
from storage.database.notices import PAYLOAD_BYTES, PostgreSQLNotices, payloads
from tests.gateway.waiting import until
from tests.postgresql_server import PostgreSQLServer


@pytest.fixture(scope="module")
def url(postgresql_server: PostgreSQLServer) -> str:
    return postgresql_server.new_database()


class Gateway:
    """One end: what it heard, and whether it listened."""

    def __init__(self, url: str) -> None:
        self.notices = PostgreSQLNotices(parse_url(url))
        self.heard: list[str] = []
        self.listened: list[bool] = []
        self.notices.subscribe("job", self.heard.append)
        self.notices.on_change(self.listened.append)

    async def listen(self) -> None:
        self.notices.start()
        await until(lambda: self.notices.listening)


@pytest.fixture
async def ours(url: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(url)
    await gateway.listen()
    yield gateway
    await gateway.notices.close()


@pytest.fixture
async def theirs(url: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(url)
    await gateway.listen()
    yield gateway
    await gateway.notices.close()


def listeners(server: PostgreSQLServer, url: str) -> list[int]:
    """The processes of the server that serve connections which listen."""
    database = parse_url(url).database
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'LISTEN%'"
    return [pid for (pid,) in server.execute(query)]


async def test_others_hear_of_their_topics_and_one_does_not_hear_oneself(ours: Gateway, theirs: Gateway) -> None:
    ours.notices.post("dataset", "ds_1")
    ours.notices.post("job", "job_1")
    theirs.notices.post("job", "job_2")
    await until(lambda: bool(ours.heard and theirs.heard))
    assert (ours.heard, theirs.heard) == (["job_2"], ["job_1"])
    assert ours.listened == theirs.listened == [True]


async def test_what_is_posted_at_once_is_told_once_and_however_much_it_is(ours: Gateway, theirs: Gateway) -> None:
    names = [f"job_{number:0100}" for number in range(500)]
    for name in [*names, *names]:
        ours.notices.post("job", name)
    await until(lambda: len(theirs.heard) >= len(names))
    ours.notices.post("job", "the last")
    await until(lambda: theirs.heard[-1] == "the last")
    assert theirs.heard == [*names, "the last"]


def test_payloads_are_as_few_as_fit() -> None:
    told = [*payloads("us", [("job", "x" * 1000)] * 20)]
    assert len(told) == 3 and all(len(payload) <= PAYLOAD_BYTES for payload in told)
    assert [line for payload in told for line in payload.split("\n")[1:]] == [f"job {'x' * 1000}"] * 20


async def test_who_was_cut_off_says_so_and_listens_again(
    url: str, postgresql_server: PostgreSQLServer, ours: Gateway, theirs: Gateway
) -> None:
    for pid in listeners(postgresql_server, url):
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid})")
    await until(lambda: ours.listened == theirs.listened == [True, False, True])
    theirs.notices.post("job", "job_3")
    await until(lambda: ours.heard == ["job_3"])


async def test_a_teller_that_was_cut_off_tells_what_it_had_to_say(
    url: str, postgresql_server: PostgreSQLServer, ours: Gateway, theirs: Gateway
) -> None:
    theirs.notices.post("job", "before")
    await until(lambda: ours.heard == ["before"])
    database = parse_url(url).database
    tellers = f"FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE '%notify%'"
    postgresql_server.execute(f"SELECT pg_terminate_backend(pid) {tellers}")
    theirs.notices.post("job", "after")
    await until(lambda: ours.heard == ["before", "after"])


async def test_a_connection_that_fell_silent_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.3)

    class Deaf(PostgreSQLNotices):
        """Its network swallows what comes."""

        def _hear(self, payload: str) -> None:
            return None

    notices = Deaf(parse_url(url))
    listened: list[bool] = []
    notices.on_change(listened.append)
    notices.start()
    await until(lambda: listened[:3] == [True, False, True])
    await notices.close()
    assert not notices.listening
    await asyncio.sleep(0)
