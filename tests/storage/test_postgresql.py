"""PostgreSQL as servers behave: restarted, away, and asked for too much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable
from storage.database.migrate import migrate
from storage.database.users import UserRepository
from tests import postgresql_server as servers
from tests.postgresql_server import PostgreSQLServer


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    """A server of its own, to be stopped."""
    with servers.running() as server:
        yield server


async def test_a_server_that_was_restarted_is_found_again_and_lost_nothing(server: PostgreSQLServer) -> None:
    url = server.new_database()
    migrate(url)
    database = Database(url, pool_size=2)
    await database.write(lambda session: UserRepository(session).create("ada"))
    server.stop()
    for work in (database.read, database.write):
        with pytest.raises(DatabaseUnavailable):
            await work(lambda session: UserRepository(session).by_name("ada"))
    server.start()
    assert await database.read(lambda session: UserRepository(session).by_name("ada")) is not None
    await database.write(lambda session: UserRepository(session).create("grace"))
    # Connections that broke while they were idle are replaced as well.
    server.stop()
    server.start()
    assert await database.read(lambda session: UserRepository(session).by_name("grace")) is not None
    await database.close()


async def test_a_statement_that_takes_too_long_is_ended(postgresql_server: PostgreSQLServer) -> None:
    database = Database(postgresql_server.new_database(), statement_timeout_seconds=0.2)
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        await database.read(lambda session: session.execute(text("SELECT pg_sleep(30)")))
    assert await database.read(lambda session: session.scalar(text("SELECT 1"))) == 1
    await database.close()


async def test_a_transaction_whose_connection_is_cut_fails_and_leaves_nothing(
    postgresql_server: PostgreSQLServer,
) -> None:
    url = postgresql_server.new_database()
    migrate(url)
    database = Database(url)
    cut = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda session: (UserRepository(session).create("ada"), session.execute(cut)))
    assert await database.read(lambda session: UserRepository(session).by_name("ada")) is None
    await database.close()


async def test_a_wrong_password_is_said_without_it(postgresql_server: PostgreSQLServer) -> None:
    database = Database("postgresql://nobody:s3cret-word@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.read(lambda session: session.scalar(text("SELECT 1")))
    assert "s3cret-word" not in str(caught.value)
    await database.close()
