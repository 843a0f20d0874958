"""Brings the tables of a database to the newest version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from storage.database.connections import is_sqlite, parse_url, postgresql_engine, sqlite_writer
from storage.database.errors import DatabaseUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x7669736D  # any number that only these migrations use


def migrate(url: str) -> None:
    """Applies the migrations that are missing, all in one transaction; does nothing on a database that has them all.

    Several processes may do so at once. Raises DatabaseUnavailable when the database cannot be opened.
    """
    parsed = parse_url(url)
    engine = sqlite_writer(parsed) if is_sqlite(parsed) else postgresql_engine(parsed, pool_size=1)
    try:
        with _connect(engine) as connection:
            _upgrade(connection)
            connection.commit()
    finally:
        engine.dispose()


def _connect(engine: Engine) -> Connection:
    try:
        connection = engine.connect()
        connection.begin()
    except DBAPIError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailable(f"cannot open {where}: {error.orig}") from error
    return connection


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
