"""Brings the tables of a database to the newest version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

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
        _upgrade(engine)
    except OperationalError as error:
        where = parsed.render_as_string(hide_password=True)
        raise DatabaseUnavailable(f"cannot migrate {where}: {error.orig}") from error
    finally:
        engine.dispose()


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
