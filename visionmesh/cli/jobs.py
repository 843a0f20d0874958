"""``jobs``: start, stop, look at and follow training jobs."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

from visionmesh.cli import job_logs, job_plot
from visionmesh.cli.command import command
from visionmesh.cli.job_attempts import attempts, last_end, restarts_text
from visionmesh.cli.job_changes import JobArgument, delete, retention_text, update
from visionmesh.cli.job_create import VIEW, create
from visionmesh.cli.job_download import download
from visionmesh.cli.job_errors import errors
from visionmesh.cli.job_queue import place_text
from visionmesh.cli.job_validation import images, validation
from visionmesh.cli.job_view import STATE, JobView, failure_text, state_text
from visionmesh.cli.job_watch import announce, follow_to_end, watch
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_fields, print_table
from visionmesh.cli.values import bytes_text, enum_choices, enum_text, enum_value, time_text
from visionmesh.v1 import job_state_pb2, training_pb2

WatchOption = Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")]
STATES_HELP = "Only in this state: " + ", ".join(enum_choices(job_state_pb2.JobState, STATE)) + "."


def group() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Train models and look at what comes of it.")
    command(
        app,
        "create",
        examples=(
            "visionmesh jobs create --framework timm --model resnet18 --dataset DATASET --epochs 5 --start --watch\n"
            "visionmesh jobs create --framework timm --model resnet18 --dataset DATASET --epochs 20 "
            "--preset standard --set optimizer.type=sgd --set optimizer.momentum=0.95\n"
            "visionmesh jobs create --framework timm --model resnet18 --dataset DATASET --epochs 5 --dataset-view crops"
        ),
    )(create)
    command(
        app,
        "start",
        examples=(
            "visionmesh jobs start JOB --watch\nvisionmesh jobs start JOB --resume\n"
            "visionmesh jobs start JOB --checkpoint CHECKPOINT"
        ),
    )(start)
    command(app, "stop", examples="visionmesh jobs stop JOB")(stop)
    command(app, "list", examples="visionmesh jobs list --state running\nvisionmesh jobs list --json")(list_)
    command(app, "show", examples="visionmesh jobs show JOB")(show)
    command(
        app,
        "watch",
        examples="visionmesh jobs watch JOB\nvisionmesh jobs watch JOB --plot curves.png\n"
        "visionmesh jobs watch JOB --json --after 120",
    )(watch)
    command(app, "metrics", examples="visionmesh jobs metrics JOB\nvisionmesh jobs metrics JOB --json")(metrics)
    job_logs.add_to(app)
    job_plot.add_to(app)
    command(
        app,
        "validation",
        examples="visionmesh jobs validation JOB\nvisionmesh jobs validation JOB --epoch 3\n"
        "visionmesh jobs validation JOB --all --json",
    )(validation)
    command(
        app,
        "images",
        examples="visionmesh jobs images JOB --wrong --sort largest_loss_first\n"
        "visionmesh jobs images JOB --label cat --predicted dog --limit 0 --json",
    )(images)
    command(
        app,
        "errors",
        examples="visionmesh jobs errors JOB\n"
        "visionmesh jobs errors JOB --label cat --predicted dog --limit 60 --output cats.png",
    )(errors)
    command(app, "attempts", examples="visionmesh jobs attempts JOB\nvisionmesh jobs attempts JOB --json")(attempts)
    command(app, "checkpoints", examples="visionmesh jobs checkpoints JOB")(checkpoints)
    command(
        app,
        "download",
        examples="visionmesh jobs download JOB --output weights.safetensors\n"
        "visionmesh jobs download JOB --checkpoint CHECKPOINT --file training_state.safetensors",
    )(download)
    command(
        app,
        "update",
        examples="visionmesh jobs update JOB --name baseline --tag good\n"
        "visionmesh jobs update JOB --priority 10\nvisionmesh jobs update JOB --keep-every 10 --keep-last 3",
    )(update)
    command(app, "delete", examples="visionmesh jobs delete JOB\nvisionmesh jobs delete JOB --yes")(delete)
    return app


def start(
    session: Session,
    job_id: JobArgument,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint",
            metavar="ID",
            help="With --resume: go on from this checkpoint. Without: train afresh, beginning with its weights; it may "
            "be of any job of yours with the same model.",
        ),
    ] = "",
    watch_it: WatchOption = False,
) -> None:
    """Start a job, or start it again."""
    with session.client() as client:
        job = client.start_job(job_id, resume=resume, checkpoint_id=checkpoint)
        announce(session, job, "started")
        if watch_it:
            follow_to_end(session, client, job_id, job.last_sequence)


def stop(session: Session, job_id: JobArgument) -> None:
    """Stop a job at its next batch; `jobs start --resume` goes on with it."""
    with session.client() as client:
        announce(session, client.stop_job(job_id), "asked to stop")


def list_(
    session: Session,
    project: Annotated[str, typer.Option("--project", help="Only of this project.")] = "",
    state: Annotated[str, typer.Option("--state", metavar="STATE", help=STATES_HELP)] = "",
    framework: Annotated[str, typer.Option("--framework", help="Only of this framework.")] = "",
    text: Annotated[str, typer.Option("--text", help="Only those whose name, model or notes contain this.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only those with this tag; may be repeated.")] = None,
    oldest: Annotated[bool, typer.Option("--oldest-first", help="Oldest first.")] = False,
) -> None:
    """List your jobs, newest first."""
    with session.client() as client:
        found = list(
            client.jobs(
                project=project,
                state=enum_value(job_state_pb2.JobState, STATE, state, "--state")
                if state
                else job_state_pb2.JOB_STATE_UNSPECIFIED,
                framework=framework,
                text=text,
                tags=tag or [],
                order=training_pb2.JOB_ORDER_OLDEST_FIRST if oldest else training_pb2.JOB_ORDER_NEWEST_FIRST,
            )
        )
    if session.json:
        session.print_json({"jobs": found})
        return
    print_table(
        session.out,
        ["id", "name", "model", "state", "epoch#", "best#", "created"],
        (
            (
                job.id,
                job.experiment_name or "-",
                f"{job.framework}/{job.model_name}",
                state_text(job.state) + (f" #{job.queue_position}" if job.queue_position else ""),
                f"{job.current_epoch}/{job.epochs}",
                f"{job.best_metric:.4f}" if job.HasField("best_metric") else "-",
                time_text(job.create_time),
            )
            for job in found
        ),
        empty="no jobs",
    )


def show(session: Session, job_id: JobArgument) -> None:
    """Show one job with its settings."""
    with session.client() as client:
        job = client.get_job(job_id)
        ended = last_end(client, job)
    if session.json:
        session.print_json(job)
        return
    print_fields(
        session.out,
        {
            "id": job.id,
            "name": job.experiment_name,
            "state": state_text(job.state) + failure_text(job),
            "waits": place_text(job),
            "priority": job.priority or "",
            "out of contact since": time_text(job.contact_lost_time),
            "model": f"{job.framework}/{job.model_name}" + (" (pretrained)" if job.pretrained else ""),
            "dataset": f"{job.dataset_id} ({job.num_classes} classes)",
            "dataset view": enum_text(training_pb2.DatasetView, VIEW, job.dataset_view).lower(),
            "epochs": f"{job.current_epoch} of {job.epochs} ({job.progress:.0%})",
            "done by": time_text(job.estimated_end_time),
            "batch size": job.batch_size,
            "learning rate": f"{job.learning_rate:g}",
            "image size": job.image_size,
            "seed": job.seed,
            "settings": ", ".join(
                f"{name}={_plain(value)}" for name, value in sorted(MessageToDict(job.advanced_config).items())
            ),
            "attempt": job.attempt or "-",
            "restarts": restarts_text(job),
            "counts as hung": f"after {job.no_progress_seconds} s" if job.no_progress_seconds else "never",
            "last failed attempt": ended,
            f"best {job.primary_metric}": f"{job.best_metric:.4f}" if job.HasField("best_metric") else "-",
            "best checkpoint": job.best_checkpoint_id,
            "last checkpoint": job.last_checkpoint_id,
            "checkpoints kept": retention_text(job.checkpoint_retention),
            "project": job.project_id,
            "tags": ", ".join(job.tags),
            "notes": job.notes,
            "created": time_text(job.create_time),
            "started": time_text(job.start_time),
            "ended": time_text(job.end_time),
        },
    )


def metrics(
    session: Session,
    job_id: JobArgument,
    max_points: Annotated[int, typer.Option("--max-points", min=0, help="Thin to at most this many; 0: all.")] = 0,
) -> None:
    """Show the metrics of every epoch."""
    with session.client() as client:
        found = list(client.metrics(job_id, max_points=max_points))
        if session.json:
            session.print_json({"metrics": found})
            return
        view = JobView(client.get_job(job_id))
    for metric in found:
        view.add(metric)
    session.out.print(view.table() if found else "no metrics yet")


def checkpoints(session: Session, job_id: JobArgument) -> None:
    """List the checkpoints of a job that are kept."""
    with session.client() as client:
        found = list(client.checkpoints(job_id))
    if session.json:
        session.print_json({"checkpoints": found})
        return
    print_table(
        session.out,
        ["id", "epoch#", "best", "resumable", "size#", "digest", "metrics", "written"],
        (
            (
                item.id,
                item.epoch,
                "best" if item.is_best else "",
                "yes" if item.resumable else "no",
                bytes_text(item.size_bytes),
                item.digest[:12],
                ", ".join(f"{name} {value:.4g}" for name, value in sorted(item.metrics.items())),
                time_text(item.create_time),
            )
            for item in found
        ),
        empty="no checkpoints yet",
    )


def _plain(value: object) -> str:
    """A setting as ``--set`` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
