"""Statements that several repositories share and that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Insert,
    Update,
    bindparam,
    cast,
    func,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.orm.attributes import set_committed_value

from storage.database.tables import Base, table_of

Row = TypeVar("Row", bound=Base)
# Rows that the session already holds get the values that the database returns.
REFRESH = {"synchronize_session": False, "populate_existing": True}
_VALUES_AT_ONCE = 500


def portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give not more values at once than a statement may have parameters."""
    for start in range(0, len(values), _VALUES_AT_ONCE):
        yield values[start : start + _VALUES_AT_ONCE]


def update_one(
    session: Session, table: type[Row], *conditions: ColumnElement[bool], changes: Mapping[str, Any]
) -> Row | None:
    """Updates the row that meets ``conditions`` and returns it as it is now; None when none does."""
    statement = update(table).where(*conditions).values(**changes).returning(table)
    return session.scalars(statement, execution_options=REFRESH).one_or_none()


def update_by_id(session: Session, table: type[Row], row_id: str, changes: Mapping[str, Any]) -> Row | None:
    """Updates the row of an id and returns it; None when there is none. Where the session holds the row, as one that
    was locked, only the columns of ``changes`` are new in it."""
    values = {f"new_{name}": value for name, value in changes.items()}
    statement = _update_by_id(table, tuple(sorted(changes)))
    if not past_orm(session).execute(statement, {"of_id": row_id, **values}).rowcount:
        return None
    held = held_row(session, table, row_id)
    if held is None:
        return session.get(table, row_id)
    for name, value in changes.items():
        set_committed_value(held, name, value)
    return held


@lru_cache(maxsize=64)
def _update_by_id(table: type[Row], names: tuple[str, ...]) -> Update:
    columns = table_of(table).columns
    values = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in names}
    return update(table_of(table)).where(columns["id"] == bindparam("of_id")).values(**values)


def held_row(session: Session, table: type[Row], row_id: str) -> Row | None:
    """The row of an id, when the session has it already."""
    held = session.identity_map.get(inspect(table).identity_key_from_primary_key((row_id,)))
    return held if isinstance(held, table) else None


def past_orm(session: Session) -> Connection:
    """The session's connection, after what is pending was written: a statement on tables takes less than half of what
    the same takes by way of the ORM. Rows that the session holds do not hear of it."""
    session.flush()
    return session.connection()


def insert_new(session: Session, row: Row) -> Row | None:
    """Inserts ``row`` and returns the stored one; None when its primary key, or a unique value of it, is taken."""
    statement = _insert(session, type(row)).values(**_values(row)).on_conflict_do_nothing().returning(type(row))
    return session.scalars(statement, execution_options=REFRESH).one_or_none()


def upsert(session: Session, row: Row) -> Row:
    """Inserts ``row``, or replaces the one of the same primary key; returns the stored one."""
    table = type(row)
    keys = inspect(table).primary_key
    statement = _insert(session, table).values(**_values(row))
    others = {column.key: column for column in statement.excluded if column.key not in {key.key for key in keys}}
    stored = statement.on_conflict_do_update(index_elements=keys, set_=others).returning(table)
    return session.scalars(stored, execution_options=REFRESH).one()


def upsert_all(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """What ``upsert`` does, on many rows at once. All must have the same columns, and no two the same primary key: one
    statement of PostgreSQL may see each only once."""
    if rows:
        statement = _upsert_all(is_sqlite_session(session), table, frozenset(rows[0]))
        past_orm(session).execute(statement, [*rows])


@lru_cache(maxsize=64)
def _upsert_all(on_sqlite: bool, table: type[Base], names: frozenset[str]) -> Insert:
    into, keys = table_of(table), inspect(table).primary_key
    statement = sqlite.insert(into) if on_sqlite else postgresql.insert(into)
    others = {name: statement.excluded[name] for name in names - {key.key for key in keys}}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


def matches_text(text: str, *columns: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether one of ``columns`` contains ``text``, ignoring case; wildcards of LIKE are plain characters."""
    return or_(*(column.icontains(text, autoescape=True) for column in columns))


def has_tags(
    session: Session, column: InstrumentedAttribute[list[Any]], tags: Sequence[str]
) -> list[ColumnElement[bool]]:
    """One condition per tag: the JSON list in ``column`` holds it."""
    # Both functions give one row per element, in a column called value.
    elements = (
        func.json_each(column) if is_sqlite_session(session) else func.json_array_elements_text(cast(column, JSON))
    )
    values = [elements.table_valued("value", name=f"tag_{number}") for number in range(len(tags))]
    return [select(value.c.value).where(value.c.value == tag).exists() for value, tag in zip(values, tags, strict=True)]


def is_sqlite_session(session: Session) -> bool:
    """Whether the session is one of SQLite, else of PostgreSQL."""
    return session.get_bind().dialect.name == "sqlite"


def _insert(session: Session, table: type[Row]) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if is_sqlite_session(session) else postgresql.insert(table)


def _values(row: Base) -> dict[str, Any]:
    """What was set on ``row``; the rest gets the defaults of its columns."""
    state = inspect(row)
    return {key: value for key, value in state.dict.items() if key in state.mapper.column_attrs}
