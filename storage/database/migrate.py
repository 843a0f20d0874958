"""Brings the tables of a database to the newest version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from storage.database.connections import is_sqlite, parse_url, postgresql_engine, sqlite_writer
from storage.database.errors import DatabaseUnavailable, SchemaMismatch

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x7669736D  # any number that only these migrations use


def migrate(url: str) -> None:
    """Applies the migrations that are missing, all in one transaction; does nothing on a database that has them all.

    Several processes may do so at once. Raises DatabaseUnavailable when the database cannot be opened, and
    SchemaMismatch, having changed nothing, when a newer version of this software made its tables.
    """
    with _connected(url) as connection:
        _upgrade(connection)
        connection.commit()


def check_schema(url: str) -> None:
    """Raises SchemaMismatch unless the tables are exactly of this version, DatabaseUnavailable as ``migrate`` does."""
    with _connected(url) as connection:
        script = ScriptDirectory.from_config(_config())
        found, newest = _revision(connection, script), script.get_current_head()
    if found != newest:
        raise SchemaMismatch(
            f"the tables of the database are {f'of version {found}' if found else 'not made yet'}, and {newest} is "
            "needed: run python -m storage.database migrate, or set VISIONMESH_MIGRATE_ON_START"
        )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = parse_url(url)
    engine = sqlite_writer(parsed) if is_sqlite(parsed) else postgresql_engine(parsed, pool_size=1)
    try:
        with _connect(engine) as connection:
            yield connection
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
    config = _config()
    _revision(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection, script: ScriptDirectory) -> str:
    """The version of the tables, empty without tables. Raises SchemaMismatch when this software does not know it."""
    found = MigrationContext.configure(connection).get_current_revision() or ""
    known = {revision.revision for revision in script.walk_revisions()}
    if found and found not in known:
        raise SchemaMismatch(
            f"the tables of the database are of version {found}, which this version of VisionMesh does not know: a "
            "newer one made them. Start that one, or restore a backup from before it; nothing was changed."
        )
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
