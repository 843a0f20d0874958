"""SQLAlchemy engines for the two databases that are supported: a SQLite file and PostgreSQL."""

from __future__ import annotations

import os
import select
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from storage.database.errors import DatabaseUnavailable

BUSY_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_MS = 60_000
CONNECT_TIMEOUT_SECONDS = 5
_SQLITE_OUTAGES = ("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM")
# Classes of SQLSTATE: connection, resources, operator intervention (shutdown, statement timeout), system.
_POSTGRESQL_OUTAGES = ("08", "53", "57", "58")


def parse_url(url: str) -> URL:
    """Reads ``sqlite:///FILE``, ``postgresql://…`` or ``postgresql+psycopg2://…``.

    Raises DatabaseUnavailable when it is none of these, or when the folder of the SQLite file is not there.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # its text may hold a password: not repeated
        raise DatabaseUnavailable("the database URL cannot be read; write sqlite:///FILE or postgresql://…") from error
    if parsed.drivername in ("postgresql", "postgresql+psycopg2"):
        return parsed.set(drivername="postgresql+psycopg2")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise DatabaseUnavailable(f"{parsed.drivername} is not supported; use sqlite:///FILE or postgresql://…")
    if parsed.database in (None, "", ":memory:") or parsed.query:
        raise DatabaseUnavailable("SQLite needs a plain file here, as in sqlite:///folder/visionmesh.db")
    folder = sqlite_file(parsed).parent
    if not folder.is_dir():
        raise DatabaseUnavailable(f"the folder of the database does not exist: {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DatabaseUnavailable(f"the folder of the database cannot be written: {folder}")
    return parsed


def with_password(url: str, password: str) -> str:
    """The URL of a PostgreSQL database with a password in it. Raises DatabaseUnavailable where none belongs."""
    parsed = parse_url(url)
    if is_sqlite(parsed):
        raise DatabaseUnavailable("a SQLite file has no password; take the password file away, or name a PostgreSQL")
    if parsed.password is not None:
        raise DatabaseUnavailable("the database URL holds a password already; give it or its file, not both")
    return parsed.set(password=password).render_as_string(hide_password=False)


def is_sqlite(url: URL) -> bool:
    """Whether the URL names a SQLite file (otherwise it names a PostgreSQL server)."""
    return url.get_backend_name() == "sqlite"


def sqlite_file(url: URL) -> Path:
    """The file of a SQLite URL, absolute."""
    return Path(str(url.database)).absolute()


def postgresql_engine(url: URL, pool_size: int, statement_timeout_seconds: float = 0.0) -> Engine:
    """A pool of at most ``pool_size`` connections, each looked at before it is lent. A timeout of 0 is none."""
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            # A process that is frozen in mid-transaction does not hold up the others for ever.
            "options": f"-c statement_timeout={round(statement_timeout_seconds * 1000)} "
            f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS}",
            # A server whose machine is gone is noticed within a minute, not after two hours.
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "checkout", _replace_broken)
    return engine


def _replace_broken(connection: Any, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
    """Have the pool connect anew when the server has ended an idle connection: what it says unasked is its farewell.

    To look at the socket costs nothing; SQLAlchemy's ping would be one more round trip for each transaction.
    """
    if not connection.closed:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if not poll.poll(0):
            return
    raise InvalidatePoolError("the server has ended an idle connection")


def lone_connections(url: URL) -> Engine:
    """PostgreSQL connections that stay open for long, outside any pool and in autocommit: each lives with its process.

    Both ends notice within some ten seconds that the machine of the other is gone. Nothing that is said on them needs
    to outlive the server: no statement waits for a disk.
    """
    return create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": "-c synchronous_commit=off "
            "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )


def is_outage(error: SQLAlchemyError) -> bool:
    """Whether the database was out of reach, too slow or full: the same work may succeed later."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorname", "").startswith(_SQLITE_OUTAGES)
    state = getattr(error.orig, "pgcode", None)
    return (
        error.connection_invalidated
        or (state or "").startswith(_POSTGRESQL_OUTAGES)
        or (
            # The driver itself lost the server: then there is no code of the server's.
            state is None and isinstance(error, OperationalError | InterfaceError)
        )
    )


def sqlite_writer(url: URL) -> Engine:
    """An engine of one connection whose transactions take the write lock at their beginning."""
    engine = create_engine(url, pool_size=1, max_overflow=0)
    _configure_sqlite(engine, ["PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"], begin="BEGIN IMMEDIATE")
    return engine


def sqlite_readers(url: URL, pool_size: int) -> Engine:
    """An engine of at most ``pool_size`` connections that cannot write."""
    engine = create_engine(url, pool_size=pool_size, max_overflow=0)
    # Asking for the version reads the file, so that one that is no database is found out here.
    _configure_sqlite(engine, ["PRAGMA query_only=ON", "PRAGMA schema_version"], begin="BEGIN")
    return engine


def _configure_sqlite(engine: Engine, pragmas: list[str], *, begin: str) -> None:
    def on_connect(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: on_begin does
        connection.create_function("lower", 1, _lower, deterministic=True)
        for pragma in (f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}", "PRAGMA foreign_keys=ON", *pragmas):
            connection.execute(pragma)

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _lower(text: str | None) -> str | None:
    """SQLite's own lower() knows only ASCII."""
    return text.lower() if text is not None else None
