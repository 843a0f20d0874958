"""Real PostgreSQL, and what gateways over it need. All of a file shares one event loop, as trainers and channels do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from storage.database.engine import Database
from storage.database.migrate import migrate
from tests import postgresql_server
from tests.gateway.conftest import Account, make_account
from tests.gateway.job_fixtures import add_dataset


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql_server.PostgreSQLServer]:
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def url(server: postgresql_server.PostgreSQLServer) -> str:
    """A database with all tables."""
    url = server.new_database()
    migrate(url)
    return url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(url: str) -> AsyncIterator[Database]:
    """The database, seen from behind the gateways' backs."""
    database = Database(url, pool_size=2)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(shared: Database) -> Account:
    return await make_account(shared, "ada")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dataset_id(shared: Database, ada: Account) -> str:
    """A READY dataset of ada's."""
    return await add_dataset(shared, ada)
