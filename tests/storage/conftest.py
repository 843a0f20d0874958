"""A fresh, migrated database per test, on every backend."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from storage.database.engine import Database
from storage.database.migrate import migrate
from storage.database.users import UserRepository
from tests import postgresql_server as postgresql_server_module
from tests.postgresql_server import PostgreSQLServer


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """One server for all tests that need one."""
    with postgresql_server_module.running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: PostgreSQLServer) -> str:
    """The name of a migrated database to copy: migrating takes longer than most tests."""
    url = postgresql_server.new_database()
    migrate(url)
    return str(make_url(url).database)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test of the repositories runs on both."""
    return str(request.param)


@pytest.fixture
def empty_database_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without tables."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'visionmesh.db'}"
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    return server.new_database()


@pytest.fixture
def database_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database with all tables, without rows."""
    if backend == "sqlite":
        path = tmp_path / "visionmesh.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    return server.new_database(request.getfixturevalue("migrated_postgresql"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with all tables."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def user_id(database: Database) -> str:
    """A user of the database."""
    return (await database.write(lambda session: UserRepository(session).create("ada"))).id
