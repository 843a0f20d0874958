"""Events that a job has behind it, put straight into the database: as a long training leaves them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from gateway.events.encoding import encoder
from storage.database.bulk import insert_rows
from storage.database.engine import Database
from storage.database.ids import new_id
from storage.database.jobs import JobRepository
from storage.database.projections import MetricRow
from storage.database.tables import Event, Metric, Run, SourcePosition, TrainingJob, now
from visionmesh.v1 import event_pb2

_CHUNK = 10_000
EXTRA = {"val_loss": 0.25, "f1": 0.5, "precision": 0.5, "recall": 0.5}


def add_metrics(database_url: str, job_id: str, count: int) -> None:
    """Give a new job ``count`` metrics, of epochs 1, 2, …, as an attempt before its current one would have."""
    asyncio.run(_add(database_url, job_id, count))


async def _add(database_url: str, job_id: str, count: int) -> None:
    database = Database(database_url, pool_size=1)
    run_id = new_id("run")
    try:
        for first in range(1, count + 1, _CHUNK):
            sequences = range(first, min(first + _CHUNK, count + 1))
            await database.write(partial(_insert, job_id=job_id, run_id=run_id, sequences=sequences))
        await database.write(lambda session: _finish(session, job_id, run_id, count))
    finally:
        await database.close()


def _insert(session: Session, job_id: str, run_id: str, sequences: range) -> None:
    events: list[Mapping[str, Any]] = []
    metrics: list[MetricRow] = []
    for sequence in sequences:
        time = now()
        point = event_pb2.MetricPoint(
            epoch=sequence, step=sequence, loss=0.5, accuracy=0.5, learning_rate=1e-3, extra_metrics=EXTRA
        )
        events.append(
            {
                "job_id": job_id,
                "sequence": sequence,
                "run_id": run_id,
                "source": "training",
                "source_sequence": sequence,
                "kind": "METRIC",
                "time": time,
                "payload": encoder(job_id, run_id, time, "metric", point)(sequence),
            }
        )
        metrics.append(
            MetricRow(
                job_id=job_id,
                epoch=sequence,
                step=sequence,
                sequence=sequence,
                loss=0.5,
                accuracy=0.5,
                learning_rate=1e-3,
                extra_metrics=EXTRA,
                time=time,
            )
        )
    insert_rows(session, Event, events)
    insert_rows(session, Metric, metrics)


def _finish(session: Session, job_id: str, run_id: str, count: int) -> None:
    JobRepository(session).add_run(Run(id=run_id, job_id=job_id, attempt=0, end_kind="FAILED", end_time=now()))
    session.add(SourcePosition(run_id=run_id, source="training", source_sequence=count))
    session.execute(update(TrainingJob).where(TrainingJob.id == job_id).values(last_sequence=count))
