"""Follow a job to its end: a live table on a terminal, lines elsewhere, JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.live import Live

from visionmesh.calls.jobs import ENDED
from visionmesh.cli.failures import FAILED
from visionmesh.cli.job_queue import places_told
from visionmesh.cli.job_view import JobView, failure_text, state_text
from visionmesh.cli.session import Session
from visionmesh.client import Client, Patience, VisionMeshError
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

# A mesh that restarts is waited for this long; the job goes on meanwhile.
PATIENCE_SECONDS = 300.0
# Lines of the screen that are not epochs.
_FRAME_LINES = 8


def follow_to_end(session: Session, client: Client, job_id: str, after: int | None = None) -> None:
    """Follow a job as the session asks; exit with 1 when it FAILED. ``after`` is for JSON: only later events."""
    try:
        if session.json:
            job = watch_json(session, client, job_id, after)
        else:
            job = watch(client, job_id, session.out, session.notes)
    except KeyboardInterrupt:
        if not session.json:
            print(f"the job goes on; see it again with: visionmesh jobs watch {job_id}", file=sys.stderr)
        raise
    if job.state == job_state_pb2.JOB_STATE_FAILED:
        raise typer.Exit(FAILED)


def announce(session: Session, job: training_pb2.TrainingJob, what: str) -> None:
    """Say what became of a job."""
    if session.json:
        session.print_json(job)
    else:
        session.out.print(f"job {job.id} {what}: {state_text(job.state)}")


def watch_json(session: Session, client: Client, job_id: str, after: int | None) -> training_pb2.TrainingJob:
    """Write each event as a line of JSON; gives the job as it ended."""
    for event in client.watch_job(job_id, after_sequence=after, patience=_patience(session.notes)):
        session.print_json(event)
    return client.get_job(job_id)


def watch(client: Client, job_id: str, out: Console, notes: Console) -> training_pb2.TrainingJob:
    """Show a job until it ends, what happened before included; gives the job as it ended."""
    job = client.get_job(job_id)
    view = JobView(job)
    for metric in client.metrics(job_id):
        view.add(metric)
    events: Iterator[event_pb2.JobEvent] = iter(())
    if job.state not in ENDED:
        events = client.watch_job(job_id, after_sequence=job.last_sequence, patience=_patience(notes))
    if out.is_terminal:
        _live(client, job, view, events, out)
    else:
        out.print(f"{view.title}  {view.model}  {state_text(view.state)}")
        if view.epochs:
            out.print(view.table())
        with places_told(client, job, out.print):
            for event in events:
                for line in view.apply(event):
                    out.print(line)
    job = client.get_job(job_id)
    out.print(f"job {job.id} {state_text(job.state)}{failure_text(job)}" + _best(job))
    return job


def _live(
    client: Client, job: training_pb2.TrainingJob, view: JobView, events: Iterator[event_pb2.JobEvent], out: Console
) -> None:
    rows = max(out.height - _FRAME_LINES, 3)

    def tell(place: str) -> None:
        view.doing = place
        live.update(view.picture(rows), refresh=True)

    with (
        Live(view.picture(rows), console=out, auto_refresh=False, transient=True) as live,
        places_told(client, job, tell),
    ):
        for event in events:
            for _ in view.apply(event):
                pass
            live.update(view.picture(rows), refresh=True)
    out.print(view.picture())


def _best(job: training_pb2.TrainingJob) -> str:
    return f"  best {job.primary_metric} {job.best_metric:.4f}" if job.HasField("best_metric") else ""


def _patience(notes: Console) -> Patience:
    def say(error: VisionMeshError, seconds: float) -> None:
        notes.print(f"connection lost ({error.message or error.code.name}); trying again in {seconds:.1f} s")

    return Patience(PATIENCE_SECONDS, say)
