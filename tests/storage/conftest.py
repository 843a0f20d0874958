"""A fresh, migrated database per test, on every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from storage.database.engine import Database
from storage.database.migrate import migrate
from storage.database.users import UserRepository


@contextmanager
def sqlite_database(folder: Path) -> Iterator[str]:
    """The URL of a SQLite file that does not exist yet."""
    yield f"sqlite:///{folder / 'visionmesh.db'}"


# Each gives the URL of an empty database. Every test of the repositories runs on all of them.
BACKENDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "sqlite": sqlite_database,
}


@pytest.fixture(params=list(BACKENDS))
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    with BACKENDS[request.param](tmp_path) as url:
        yield url


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """A database with all tables, without rows."""
    migrate(empty_database_url)
    return empty_database_url


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
