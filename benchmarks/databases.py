"""The databases that a gateway can stand on, real ones, for the length of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests import postgresql_server


@contextmanager
def database_urls() -> Iterator[dict[str, Callable[[], str]]]:
    """By name of the kind, what gives the URL of a new one; the empty URL means a SQLite file of the gateway's own."""
    with postgresql_server.running() as server:
        yield {"SQLite": str, "PostgreSQL": server.new_database}
