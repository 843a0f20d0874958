"""The databases that a gateway can stand on, real ones, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests import postgresql_server


@contextmanager
def database_urls() -> Iterator[dict[str, str]]:
    """URL by name of the database; the empty one means a SQLite file of the gateway's own."""
    with postgresql_server.running() as server:
        yield {"SQLite": "", "PostgreSQL": server.new_database()}
