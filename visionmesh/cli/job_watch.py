"""Follow a job to its end: a live picture on a terminal, lines elsewhere, JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from visionmesh.calls.following import patiently
from visionmesh.calls.jobs import ENDED
from visionmesh.cli.failures import FAILED, OK, STOPPED
from visionmesh.cli.job_attempts import last_end, restarts_text
from visionmesh.cli.job_plot import PlotFile
from visionmesh.cli.job_queue import places_told
from visionmesh.cli.job_screen import JobScreen, picture
from visionmesh.cli.job_series import Metrics
from visionmesh.cli.job_view import JobView, failure_text, state_text
from visionmesh.cli.session import Session
from visionmesh.client import Client, Patience, VisionMeshError
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

# A mesh that restarts is waited for this long; the job goes on meanwhile.
PATIENCE_SECONDS = 300.0
EXIT_CODES = {job_state_pb2.JOB_STATE_FAILED: FAILED, job_state_pb2.JOB_STATE_STOPPED: STOPPED}


def watch(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    after: Annotated[
        int | None, typer.Option("--after", min=0, metavar="SEQUENCE", help="With --json: only events after this.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines in place of a live picture, as in a pipe.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE.png", help="Save the curves as a picture at the end, or when interrupted."
        ),
    ] = None,
) -> None:
    """Follow a job to its end. Exits with 1 when it FAILED, 6 when it was STOPPED; Ctrl-C leaves the job running."""
    with session.client() as client:
        follow_to_end(session, client, job_id, after, plain=plain, plot=plot)


def follow_to_end(
    session: Session,
    client: Client,
    job_id: str,
    after: int | None = None,
    *,
    plain: bool = False,
    plot: Path | None = None,
) -> None:
    """Follow a job as the session asks; exit with 1 when it FAILED, 6 when it was STOPPED. ``after`` is for JSON: only
    later events. ``plot`` is where its curves are drawn in the end, however the watch ends."""
    picture_file = PlotFile(plot) if plot is not None else None
    job = client.get_job(job_id)
    view = JobView(job)
    try:
        if session.json:
            job = _watch_json(session, client, view, after)
        else:
            job = show(client, job, view, session.out, session.notes, plain=plain)
    except KeyboardInterrupt:
        if not session.json:
            print(f"the job goes on; see it again with: visionmesh jobs watch {job_id}", file=sys.stderr)
        raise
    finally:
        if picture_file is not None:
            _save(client, picture_file, job, view, session.notes)
    if code := EXIT_CODES.get(job.state, OK):
        raise typer.Exit(code)


def announce(session: Session, job: training_pb2.TrainingJob, what: str) -> None:
    """Say what became of a job."""
    if session.json:
        session.print_json(job)
    else:
        session.out.print(f"job {job.id} {what}: {state_text(job.state)}")


def _watch_json(session: Session, client: Client, view: JobView, after: int | None) -> training_pb2.TrainingJob:
    """Write each event as a line of JSON; gives the job as it ended."""
    patience = Patience(PATIENCE_SECONDS)
    for event in client.watch_job(view.job_id, after_sequence=after, patience=patience):
        session.print_json(event)
    return patiently(lambda: client.get_job(view.job_id), patience)


def show(
    client: Client, job: training_pb2.TrainingJob, view: JobView, out: Console, notes: Console, *, plain: bool = False
) -> training_pb2.TrainingJob:
    """Show a job until it ends, what happened before included; gives the job as it ended."""
    view.renew(job, client.metrics(job.id))
    view.doing = last_end(client, job)
    drawing = out.is_terminal and not out.is_dumb_terminal and not plain
    if not drawing:
        patience = _telling(notes)
        _say(client, job, view, out, patience)
    else:
        screen = JobScreen(view, out)
        patience = _showing(screen)
        with screen, places_told(client, job, screen.tell):
            for event in _events(client, job, view, patience):
                screen.apply(event)
    job = patiently(lambda: client.get_job(view.job_id), patience)
    view.state, view.step = job.state, None
    if drawing:
        out.print(picture(view, out.width))
    best = f"  best {job.primary_metric} {job.best_metric:.4f}" if job.HasField("best_metric") else ""
    out.print(f"job {job.id} {state_text(job.state)}{failure_text(job)}{best}{_restarts(job)}")
    return job


def _say(client: Client, job: training_pb2.TrainingJob, view: JobView, out: Console, patience: Patience) -> None:
    out.print(f"{view.title}  {view.model}  {state_text(view.state)}")
    if view.doing:
        out.print(f"{view.doing}\nrestarts: {restarts_text(job)}")
    if view.metrics.points:
        out.print(view.table())
    with places_told(client, job, out.print):
        for event in _events(client, job, view, patience):
            for line in view.apply(event):
                out.print(line, soft_wrap=True)


def _events(
    client: Client, job: training_pb2.TrainingJob, view: JobView, patience: Patience
) -> Iterator[event_pb2.JobEvent]:
    """What happens to a job from now on; nothing more when it has ended."""
    while job.state not in ENDED:
        try:
            yield from client.watch_job(job.id, after_sequence=job.last_sequence, patience=patience)
            return
        except VisionMeshError as error:
            if error.reason != "SEQUENCE_EXPIRED":
                raise
            # Away for so long that the log no longer has what came next: go on from how the job stands.
            job = patiently(lambda: client.get_job(view.job_id), patience)
            view.renew(job, client.metrics(job.id))


def _restarts(job: training_pb2.TrainingJob) -> str:
    return f"  restarts {restarts_text(job)}" if job.restarts else ""


def _telling(notes: Console) -> Patience:
    """Patience that says once when the connection is lost, and once when it is back."""
    lost = False

    def say(error: VisionMeshError, seconds: float) -> None:
        nonlocal lost
        if not lost:
            notes.print(f"connection lost ({error.message or error.code.name}); trying again until it is back")
        lost = True

    def back() -> None:
        nonlocal lost
        lost = False
        notes.print("connected again")

    return Patience(PATIENCE_SECONDS, say, back)


def _showing(screen: JobScreen) -> Patience:
    """Patience that is seen on the screen."""

    def say(error: VisionMeshError, seconds: float) -> None:
        screen.connection = f"connection lost ({error.message or error.code.name}); trying again in {seconds:.0f} s"

    def back() -> None:
        screen.connection = ""

    return Patience(PATIENCE_SECONDS, say, back)


def _save(client: Client, file: PlotFile, job: training_pb2.TrainingJob, view: JobView, notes: Console) -> None:
    """Draw the job as the mesh knows it, or as it was seen when the mesh is away."""
    try:
        job = client.get_job(job.id)
        metrics = Metrics(job, client.metrics(job.id))
    except VisionMeshError:
        metrics = view.metrics
    if file.save(job, metrics):
        notes.print(f"curves saved in {file.path}")
    else:
        notes.print("no curves saved: the job has no metrics yet")
