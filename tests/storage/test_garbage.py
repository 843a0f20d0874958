"""What is still to be removed, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.garbage import LOG, OBJECT, PREFIX, GarbageItem, GarbageRepository
from storage.database.tables import Garbage, now

OLD, NEW = GarbageItem(PREFIX, "checkpoints/p/j/old/"), GarbageItem(PREFIX, "checkpoints/p/j/new/")
IMAGES, EVENTS = GarbageItem(OBJECT, "validation_images/p/j/c.jsonl.gz"), GarbageItem(LOG, "job_1")


async def test_prefixes_wait_and_everything_else_does_not(database: Database) -> None:
    def age(session: Session) -> None:
        row = session.get(Garbage, (OLD.kind, OLD.name))
        assert row is not None
        row.time = now() - timedelta(minutes=5)

    async def due(limit: int = 10) -> list[GarbageItem]:
        minute_ago = now() - timedelta(minutes=1)
        return await database.read(lambda session: GarbageRepository(session).due(minute_ago, limit))

    async def do(method: str, *arguments: object) -> None:
        await database.write(lambda session: getattr(GarbageRepository(session), method)(*arguments))

    assert await due() == []
    for item in (IMAGES, OLD, NEW, EVENTS):
        await do("add", [item])
    assert await due() == [IMAGES, EVENTS]
    await database.write(age)
    assert await due() == [OLD, IMAGES, EVENTS]
    assert await due(2) == [OLD, IMAGES]
    await do("add", [OLD, IMAGES])  # noted again, nothing changes
    assert await due() == [OLD, IMAGES, EVENTS]

    names = {OLD.name, "checkpoints/p/j/none/", IMAGES.name}
    assert await database.read(lambda session: GarbageRepository(session).noted_prefixes(names)) == {OLD.name}
    await do("postpone", PREFIX, names)
    assert await due() == [IMAGES, EVENTS]
    await do("postpone", OBJECT, [IMAGES.name])
    assert await due() == [EVENTS, IMAGES]  # behind the others
    for item in (EVENTS, IMAGES, IMAGES):
        await do("remove", item)
    assert await due() == []
    assert await database.read(lambda session: GarbageRepository(session).due(now(), 10)) == [NEW, OLD]


async def test_garbage_of_a_transaction_that_fails_is_none(database: Database) -> None:
    def fail(session: Session) -> None:
        GarbageRepository(session).add([IMAGES])
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.read(lambda session: GarbageRepository(session).due(now(), 10)) == []
