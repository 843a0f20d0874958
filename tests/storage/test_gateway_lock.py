"""One gateway at a time works on a PostgreSQL database (for SQLite see test_engine)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, make_url

from storage.database.connections import parse_url
from storage.database.errors import DatabaseLocked, DatabaseUnavailable
from storage.database.gateway_lock import AdvisoryLock
from tests import postgresql_server as servers
from tests.gateway.waiting import until
from tests.postgresql_server import PostgreSQLServer

HOLD_THE_LOCK = """
import sys
from storage.database.engine import Database
Database(sys.argv[1]).acquire_lock()
print("locked", flush=True)
sys.stdin.read()
"""


def lock(url: str) -> AdvisoryLock:
    return AdvisoryLock(parse_url(url), wait_seconds=0.5, keep_seconds=0.05)


def test_a_second_gateway_is_refused_until_the_first_gives_back(postgresql_server: PostgreSQLServer) -> None:
    url = postgresql_server.new_database()
    first, second = lock(url), lock(url)
    first.acquire()
    with pytest.raises(DatabaseLocked, match="in use by another gateway; stop that one"):
        second.acquire()
    other = lock(postgresql_server.new_database())
    other.acquire()  # another database is another matter
    other.release()
    first.release()
    second.acquire()
    second.release()
    second.release()


def test_the_lock_dies_with_its_holder(postgresql_server: PostgreSQLServer) -> None:
    url = postgresql_server.new_database()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(DatabaseLocked):
            lock(url).acquire()
        holder.kill()
        holder.wait()
    # The server needs a moment to see it; a gateway that is started again waits for that.
    successor = AdvisoryLock(parse_url(url))
    successor.acquire()
    successor.release()


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    """A server of its own, to be stopped."""
    with servers.running() as server:
        yield server


async def test_a_lock_that_a_restart_of_the_server_took_is_taken_again(server: PostgreSQLServer) -> None:
    url = server.new_database()
    first = lock(url)
    first.acquire()
    server.stop()
    with pytest.raises(DatabaseUnavailable):
        lock(url).acquire()
    server.start()

    def refused() -> bool:
        second = AdvisoryLock(parse_url(url), wait_seconds=0)
        try:
            second.acquire()
        except DatabaseLocked:
            return True
        second.release()
        return False

    await until(refused)
    first.release()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    url: URL = make_url("postgresql+psycopg2://ada:secret@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:9/nothing") as caught:
        AdvisoryLock(url).acquire()
    assert "secret" not in str(caught.value)
