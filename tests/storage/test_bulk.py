"""Rows that are inserted by the driver's own means: the same as SQLAlchemy would have stored, and the same errors."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database.bulk import insert_rows
from storage.database.engine import Database
from storage.database.errors import DatabaseUnavailable
from storage.database.jobs import JobRepository
from storage.database.migrate import migrate
from storage.database.tables import Event, Metric
from tests.postgresql_server import PostgreSQLServer
from tests.storage import builders

NASTY = ["plain", "tab\tline\nreturn\rback\\slash \\N \\.", "größer ✓ 🎉", "", "'quoted' \"twice\"", "\\x00"]


def event(sequence: int, **fields: Any) -> dict[str, Any]:
    row = {
        "job_id": "job_1",
        "sequence": sequence,
        "run_id": "run_1",
        "source": "training",
        "source_sequence": sequence,
        "kind": "METRIC",
        "time": datetime(2026, 3, 1, 12, 30, 15, 123456, timezone(timedelta(hours=5, minutes=30))),
        "payload": b"",
    }
    return {**row, **fields}


async def test_values_come_back_as_they_went_in(database: Database, user_id: str) -> None:
    payloads = [bytes(range(256)), b"\\N\t\n", b""]
    events = [event(n, run_id=word) for n, word in enumerate(NASTY, 1)]
    events += [event(n, payload=payload) for n, payload in enumerate(payloads, 50)]
    numbers = [None, 0.0, -1.5e-300, math.inf, -math.inf, 0.1]

    def work(session: Session) -> str:
        job_id = JobRepository(session).add(builders.job(user_id)).id
        insert_rows(session, Event, [])
        insert_rows(session, Event, events)
        points = [
            {
                "job_id": job_id,
                "epoch": epoch,
                "step": 2**62,
                "sequence": epoch,
                "loss": number,
                "accuracy": None,
                "learning_rate": number,
                "extra_metrics": dict.fromkeys(NASTY, 0.25),
                "time": events[0]["time"],
            }
            for epoch, number in enumerate(numbers)
        ]
        insert_rows(session, Metric, points)
        return job_id

    job_id = await database.write(work)

    def read(session: Session) -> tuple[list[Event], list[Metric]]:
        stored = session.query(Event).order_by(Event.sequence).all()
        return stored, session.query(Metric).where(Metric.job_id == job_id).order_by(Metric.epoch).all()

    stored, points = await database.read(read)
    assert [{name: getattr(row, name) for name in events[0]} for row in stored] == events
    assert [point.loss for point in points] == [point.learning_rate for point in points] == numbers
    assert all(point.step == 2**62 and point.extra_metrics == dict.fromkeys(NASTY, 0.25) for point in points)


async def test_a_row_that_is_there_is_an_integrity_error_and_nothing_is_kept(database: Database) -> None:
    await database.write(lambda session: insert_rows(session, Event, [event(2)]))
    with pytest.raises(IntegrityError):
        await database.write(lambda session: insert_rows(session, Event, [event(1), event(2, run_id="another")]))
    assert await database.read(lambda session: [row.sequence for row in session.query(Event)]) == [2]
    with pytest.raises(ValueError, match="time zone"):
        await database.write(lambda session: insert_rows(session, Event, [event(3, time=datetime(2026, 1, 1))]))


async def test_a_connection_that_is_lost_is_an_outage(postgresql_server: PostgreSQLServer) -> None:
    url = postgresql_server.new_database()
    migrate(url)
    database = Database(url, pool_size=1)

    def lose(session: Session) -> None:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        postgresql_server.execute(f"SELECT pg_terminate_backend({pid})")
        insert_rows(session, Event, [event(1)])

    with pytest.raises(DatabaseUnavailable):
        await database.write(lose)
    await database.write(lambda session: insert_rows(session, Event, [event(1)]))  # over a new connection
    assert await database.read(lambda session: session.query(Event).count()) == 1
    await database.close()
