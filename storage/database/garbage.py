"""What is still to be removed.

It is noted in the transaction that makes it garbage, and the note goes when the thing itself is gone: so whoever dies
in between, it is found again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from storage.database.statements import insert_new, portions
from storage.database.tables import Garbage, now

OBJECT = "OBJECT"  # an object of the store, by its key
PREFIX = "PREFIX"  # all objects below a prefix
LOG = "LOG"  # the events of a job that was deleted, by its id


@dataclass(frozen=True)
class GarbageItem:
    """``kind`` is OBJECT, PREFIX or LOG."""

    kind: str
    name: str


class GarbageRepository:
    """Queries about garbage, inside the transaction of ``session``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, items: Iterable[GarbageItem]) -> None:
        """Notes garbage; what is noted already stays as it is."""
        for item in items:
            insert_new(self._session, Garbage(kind=item.kind, name=item.name))

    def due(self, unused_since: datetime, limit: int) -> list[GarbageItem]:
        """At most ``limit`` items, oldest first; prefixes only when nobody needed them after ``unused_since``."""
        query = select(Garbage.kind, Garbage.name).where(or_(Garbage.kind != PREFIX, Garbage.time <= unused_since))
        rows = self._session.execute(query.order_by(Garbage.time, Garbage.kind, Garbage.name).limit(limit))
        return [GarbageItem(kind, name) for kind, name in rows]

    def noted_prefixes(self, names: Collection[str]) -> set[str]:
        """Which of these prefixes are garbage."""
        found: set[str] = set()
        for some in portions([*names]):
            found.update(
                self._session.scalars(select(Garbage.name).where(Garbage.kind == PREFIX, Garbage.name.in_(some)))
            )
        return found

    def postpone(self, kind: str, names: Collection[str]) -> None:
        """Someone needs these now, or they cannot be removed now."""
        for some in portions([*names]):
            statement = update(Garbage).where(Garbage.kind == kind, Garbage.name.in_(some)).values(time=now())
            self._session.execute(statement, execution_options={"synchronize_session": False})

    def remove(self, item: GarbageItem) -> None:
        """The thing itself is gone."""
        self._session.execute(delete(Garbage).where(Garbage.kind == item.kind, Garbage.name == item.name))
