"""What a batch costs does not depend on what is there: every statement of it finds its rows by an index."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from gateway.events.live import LiveLog
from gateway.events.log import JobLog
from gateway.telemetry.event_rules import RunFacts
from gateway.telemetry.service import TelemetryService
from rpc.times import now_timestamp
from storage.database.engine import Database
from storage.database.jobs import JobRepository
from storage.database.tables import Run
from tests.storage import builders
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

TRAINING, LOG = run_pb2.EVENT_SOURCE_TRAINING, run_pb2.EVENT_SOURCE_LOG
# PostgreSQL reads small tables whole unless it is told not to: then only what has no index is read so.
WITHOUT_SCANS = "SET LOCAL enable_seqscan = off"


def batch(first: int) -> list[run_pb2.RunEvent]:
    """Metrics (one of an epoch that was told before), progress, a validation and lines."""
    payloads: list[tuple[run_pb2.EventSource, dict[str, Any]]] = [
        (TRAINING, {"progress": event_pb2.TrainingProgress(epoch=first, step=1, steps=2)}),
        (TRAINING, {"metric": event_pb2.MetricPoint(epoch=first, step=1, loss=0.5)}),
        (TRAINING, {"metric": event_pb2.MetricPoint(epoch=1, step=1, loss=0.25)}),
        (TRAINING, {"validation": event_pb2.ValidationResult(epoch=first)}),
        (LOG, {"log": event_pb2.LogLine(message="a line")}),
    ]
    numbers = {TRAINING: 4 * (first - 1), LOG: first - 1}
    events = []
    for source, payload in payloads:
        numbers[source] += 1
        events.append(run_pb2.RunEvent(source=source, source_sequence=numbers[source], time=now_timestamp(), **payload))
    return events


@pytest.fixture
def statements() -> Any:
    """What is said to databases, with its parameters."""
    said: list[tuple[str, Any]] = []

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        said.append((statement, parameters[0] if many else parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    yield said
    event.remove(Engine, "before_cursor_execute", hear)


async def test_no_statement_of_ingest_reads_a_table(
    database: Database, user_id: str, backend: str, statements: list[tuple[str, Any]]
) -> None:
    job = await database.write(
        lambda session: JobRepository(session).add(builders.job(user_id, state="RUNNING", current_run_id="run_1"))
    )
    await database.write(lambda session: JobRepository(session).add_run(Run(id="run_1", job_id=job.id, attempt=1)))
    telemetry = TelemetryService(JobLog(database, LiveLog(10)), write_contact_seconds=1.0)
    facts = RunFacts("run_1", job.id, job.project_id, epochs=1000)
    await telemetry.receive(facts, batch(1))
    statements.clear()
    await telemetry.receive(facts, batch(2))
    await telemetry.receive(facts, batch(2))  # and again
    said = [
        (statement, parameters)
        for statement, parameters in statements
        if re.match("SELECT|UPDATE|DELETE|INS", statement)
    ]
    assert len(said) > 10

    def explain(session: Any) -> list[str]:
        connection, plans = session.connection(), []
        if backend == "postgresql":
            connection.execute(text(WITHOUT_SCANS))
        for statement, parameters in said:
            how = "EXPLAIN QUERY PLAN" if backend == "sqlite" else "EXPLAIN"
            rows = connection.exec_driver_sql(f"{how} {statement}", parameters)
            plans.append(f"{statement}: " + "; ".join(str(row[-1]) for row in rows))
        return plans

    plans = await database.read(explain)
    assert [plan for plan in plans if re.search(r"Seq Scan|\bSCAN\b", plan)] == []
    assert any("USING" in plan or "Index" in plan for plan in plans)
