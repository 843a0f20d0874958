"""Many new rows at once, as cheaply as a database takes them: by COPY on PostgreSQL, by one statement on SQLite."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table, TypeDecorator
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from storage.database.tables import Base, table_of

# What would end a field or a line of COPY's text.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def insert_rows(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, each with a value for every column of ``table``, in the transaction of ``session``.

    No defaults are filled in, and a row that is there already is an IntegrityError.
    """
    if not rows:
        return
    connection = session.connection()
    into = table_of(table)
    if connection.dialect.name == "sqlite":
        _insert_on_sqlite(connection, into, rows)
    else:
        _copy(connection, into, rows)


def _insert_on_sqlite(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [column.name for column in table.columns]
    convert = _processors(table, connection.dialect)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    values = [tuple(process(row[name]) for name, process in convert) for row in rows]
    connection.exec_driver_sql(statement, values)


def _copy(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    convert = _processors(table, connection.dialect)
    lines = "".join(["\t".join([process(row[name]) for name, process in convert]) + "\n" for row in rows])
    statement = f"COPY {table.name} ({', '.join(name for name, _ in convert)}) FROM STDIN"
    dialect, raw = connection.dialect, connection.connection
    cursor: Any = raw.cursor()
    try:
        cursor.copy_expert(statement, io.StringIO(lines))
    except dialect.loaded_dbapi.Error as error:
        # SQLAlchemy has no COPY, so its part is done here: errors of its own, and a broken connection leaves the pool.
        lost = dialect.is_disconnect(error, raw, cursor)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement, None, error, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
        ) from error
    finally:
        cursor.close()


@lru_cache(maxsize=64)
def _processors(table: Table, dialect: Dialect) -> list[tuple[str, Callable[[Any], Any]]]:
    """Of each column its name and what makes the database's form of a value."""
    on_sqlite = dialect.name == "sqlite"
    found: list[tuple[str, Callable[[Any], Any]]] = []
    for column in table.columns:
        if on_sqlite:
            process = column.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
        elif isinstance(column.type, TypeDecorator):
            process = _Copied(column.type, dialect)
        else:
            process = _copied
        found.append((column.name, process))
    return found


class _Copied:
    """Makes COPY's text of values of a type of ours."""

    def __init__(self, type_: TypeDecorator[Any], dialect: Dialect) -> None:
        self._type = type_
        self._dialect = dialect

    def __call__(self, value: Any) -> str:
        return _copied(self._type.process_bind_param(value, self._dialect))


def _as_it_is(value: Any) -> Any:
    return value


def _copied(value: Any) -> str:
    """A value as the text format of COPY has it."""
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
