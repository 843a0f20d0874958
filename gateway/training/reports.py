"""What is read of a job besides itself: attempts, metrics, log lines, checkpoints."""

from __future__ import annotations

from sqlalchemy.orm import Session

from gateway.access import Caller
from gateway.events.log import sequence_expired
from gateway.training.service import JobService
from storage.database.compaction import LOG, CompactionRepository
from storage.database.events import EventRepository
from storage.database.jobs import JobRepository
from storage.database.pages import Page, decode_page_token, encode_page_token
from storage.database.projections import CheckpointRepository, MetricRepository
from storage.database.tables import Checkpoint, Metric, Run
from visionmesh.v1 import event_pb2

# Lines that are looked at for one page of those from a level on.
FILTERED_LINES = 2000


class JobReports:
    """Reads what belongs to jobs of the caller. Every method raises JOB_NOT_FOUND; pages raise InvalidPageToken."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    async def attempts(self, caller: Caller, job_id: str, page_size: int, page_token: str) -> Page[Run]:
        """Attempts, first to last."""
        return await self._jobs.of_job(
            caller, job_id, lambda session: JobRepository(session).list_runs(job_id, page_size, page_token)
        )

    async def metrics(self, caller: Caller, job_id: str, page_size: int, page_token: str) -> Page[Metric]:
        """Metrics by epoch."""
        return await self._jobs.of_job(
            caller, job_id, lambda session: MetricRepository(session).list(job_id, page_size, page_token)
        )

    async def thinned_metrics(self, caller: Caller, job_id: str, max_points: int) -> Page[Metric]:
        """At most ``max_points`` (2 or more) metrics, evenly spread over the run, the first and the last among them."""
        points, total = await self._jobs.of_job(
            caller, job_id, lambda session: MetricRepository(session).thinned(job_id, max_points)
        )
        return Page(points, "", total)

    async def checkpoints(self, caller: Caller, job_id: str, page_size: int, page_token: str) -> Page[Checkpoint]:
        """Checkpoints by epoch."""
        return await self._jobs.of_job(
            caller, job_id, lambda session: CheckpointRepository(session).list(job_id, page_size, page_token)
        )

    async def logs(
        self, caller: Caller, job_id: str, minimum_level: int, page_size: int, page_token: str
    ) -> Page[event_pb2.LogLine]:
        """Log lines from ``minimum_level`` on, oldest first; ``total_size`` is not counted (0). Raises SEQUENCE_EXPIRED
        when lines of the page were removed since the page before."""
        scope = ("logs", job_id, str(minimum_level))
        [after] = decode_page_token(page_token, [int], scope) if page_token else [0]
        # The level stands inside the event. Of a long log with few grave lines a page is what a bounded look finds.
        looked_at = max(page_size, FILTERED_LINES) if minimum_level else page_size

        def query(session: Session) -> Page[event_pb2.LogLine]:
            stored = EventRepository(session).page(job_id, after, looked_at + 1, (LOG,))
            removed = CompactionRepository(session).removed_through(job_id, (LOG,))
            if page_token and removed > after:
                raise sequence_expired(job_id, removed)
            lines: list[event_pb2.LogLine] = []
            for index, event in enumerate(stored):
                if index == looked_at or len(lines) == page_size:
                    return Page(lines, encode_page_token([stored[index - 1].sequence], scope), 0)
                line = event_pb2.JobEvent.FromString(event.payload).log
                if line.level >= minimum_level:
                    lines.append(line)
            return Page(lines, "", 0)

        return await self._jobs.of_job(caller, job_id, query)
