"""``jobs``: start, stop, look at and follow training jobs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from visionmesh.cli.command import command
from visionmesh.cli.failures import FAILED
from visionmesh.cli.job_create import create
from visionmesh.cli.job_view import STATE, JobView, failure_text, state_text
from visionmesh.cli.job_watch import watch as watch_job
from visionmesh.cli.job_watch import watch_json
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_fields, print_table
from visionmesh.cli.values import bytes_text, enum_choices, enum_text, enum_value, time_text
from visionmesh.client import Client
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
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
            "--preset standard --set optimizer.type=sgd --set optimizer.momentum=0.95"
        ),
    )(create_command)
    command(app, "start", examples="visionmesh jobs start JOB --watch\nvisionmesh jobs start JOB --resume")(start)
    command(app, "stop", examples="visionmesh jobs stop JOB")(stop)
    command(app, "list", examples="visionmesh jobs list --state running\nvisionmesh jobs list --json")(list_)
    command(app, "show", examples="visionmesh jobs show JOB")(show)
    command(
        app,
        "watch",
        examples="visionmesh jobs watch JOB\nvisionmesh jobs watch JOB --json --after 120",
    )(watch)
    command(app, "metrics", examples="visionmesh jobs metrics JOB\nvisionmesh jobs metrics JOB --json")(metrics)
    command(app, "logs", examples="visionmesh jobs logs JOB\nvisionmesh jobs logs JOB --follow")(logs)
    command(app, "checkpoints", examples="visionmesh jobs checkpoints JOB")(checkpoints)
    return app


def create_command(
    session: Session,
    framework: Annotated[str, typer.Option("--framework", help="Framework, for example timm.")],
    model: Annotated[str, typer.Option("--model", help="Model of the framework; see `visionmesh models`.")],
    dataset: Annotated[str, typer.Option("--dataset", metavar="DATASET", help="Id of a READY dataset.")],
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Times to go through the training images.")],
    batch_size: Annotated[int, typer.Option("--batch-size", min=0, help="Images in a batch; 0: 32.")] = 0,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Learning rate at its highest [default: 0.001].")
    ] = None,
    image_size: Annotated[int, typer.Option("--image-size", min=0, help="Input in pixels; 0: the model's own.")] = 0,
    pretrained: Annotated[
        bool, typer.Option("--pretrained/--from-scratch", help="Start from published weights.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of `visionmesh schema`; JSON, else text. May be repeated; wins over the preset.",
        ),
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="Settings to start from: basic, standard, advanced, …")] = "",
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="Task; the model's first when not given.")] = "",
    name: Annotated[str, typer.Option("--name", help="Name of the experiment.")] = "",
    project: Annotated[str, typer.Option("--project", help="Project it belongs to.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Label for search; may be repeated.")] = None,
    notes: Annotated[str, typer.Option("--notes", help="Free text.")] = "",
    priority: Annotated[int, typer.Option("--priority", help="Higher is started first.")] = 0,
    max_restarts: Annotated[int, typer.Option("--max-restarts", min=0, help="Restarts after a failure.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Only check the job; create nothing.")] = False,
    start_now: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="Start it and follow it to its end.")] = False,
) -> None:
    """Create a training job."""
    spec = training_pb2.TrainingJobSpec(
        framework=framework,
        model_name=model,
        dataset_id=dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        image_size=image_size,
        pretrained=pretrained,
        seed=seed,
        experiment_name=name,
        project_id=project,
        tags=tag or [],
        notes=notes,
        priority=priority,
        max_restarts=max_restarts,
    )
    with session.client() as client:
        job = create(client, spec, task=task, preset=preset, pairs=setting or [], check=check)
        if not check and (start_now or watch_it):
            job = client.start_job(job.id)
        if watch_it and not check:
            _announce(session, job, "started")
            _follow(session, client, job.id, None)
            return
    if check and not session.json:
        session.out.print("the job is right; nothing was created")
    else:
        _announce(session, job, "started" if start_now and not check else "created")


def start(
    session: Session,
    job_id: JobArgument,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="Go on from this checkpoint; implies --resume.")
    ] = "",
    watch_it: WatchOption = False,
) -> None:
    """Start a job, or start it again."""
    with session.client() as client:
        job = client.start_job(job_id, resume=resume or bool(checkpoint), checkpoint_id=checkpoint)
        _announce(session, job, "started")
        if watch_it:
            _follow(session, client, job_id, job.last_sequence)


def stop(session: Session, job_id: JobArgument) -> None:
    """Stop a job at its next batch; `jobs start --resume` goes on with it."""
    with session.client() as client:
        _announce(session, client.stop_job(job_id), "asked to stop")


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
                state_text(job.state),
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
    if session.json:
        session.print_json(job)
        return
    print_fields(
        session.out,
        {
            "id": job.id,
            "name": job.experiment_name,
            "state": state_text(job.state) + failure_text(job),
            "out of contact since": time_text(job.contact_lost_time),
            "model": f"{job.framework}/{job.model_name}" + (" (pretrained)" if job.pretrained else ""),
            "dataset": f"{job.dataset_id} ({job.num_classes} classes)",
            "epochs": f"{job.current_epoch} of {job.epochs} ({job.progress:.0%})",
            "batch size": job.batch_size,
            "learning rate": f"{job.learning_rate:g}",
            "image size": job.image_size,
            "seed": job.seed,
            "settings": ", ".join(f"{name}={_plain(value)}" for name, value in sorted(job.advanced_config.items())),
            "attempt": job.attempt or "-",
            f"best {job.primary_metric}": f"{job.best_metric:.4f}" if job.HasField("best_metric") else "-",
            "best checkpoint": job.best_checkpoint_id,
            "last checkpoint": job.last_checkpoint_id,
            "project": job.project_id,
            "tags": ", ".join(job.tags),
            "notes": job.notes,
            "created": time_text(job.create_time),
            "started": time_text(job.start_time),
            "ended": time_text(job.end_time),
        },
    )


def watch(
    session: Session,
    job_id: JobArgument,
    after: Annotated[
        int | None, typer.Option("--after", min=0, metavar="SEQUENCE", help="With --json: only events after this.")
    ] = None,
) -> None:
    """Follow a job to its end. Exits with 1 when it FAILED; Ctrl-C leaves the job running."""
    with session.client() as client:
        _follow(session, client, job_id, after)


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


def logs(
    session: Session,
    job_id: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until the job ends.")] = False,
) -> None:
    """Show the log of a job; with --json one object per line."""
    with session.client() as client:
        for line in client.watch_logs(job_id) if follow else client.logs(job_id):
            if session.json:
                session.print_json(line)
            else:
                level = enum_text(event_pb2.LogLevel, "LOG_LEVEL_", line.level)
                session.out.print(f"{time_text(line.time)} {level:<7} {line.source}: {line.message}", soft_wrap=True)


def checkpoints(session: Session, job_id: JobArgument) -> None:
    """List the checkpoints of a job."""
    with session.client() as client:
        found = list(client.checkpoints(job_id))
    if session.json:
        session.print_json({"checkpoints": found})
        return
    print_table(
        session.out,
        ["id", "epoch#", "best", "resumable", "size#", "metrics", "written"],
        (
            (
                item.id,
                item.epoch,
                "best" if item.is_best else "",
                "yes" if item.resumable else "no",
                bytes_text(item.size_bytes),
                ", ".join(f"{name} {value:.4g}" for name, value in sorted(item.metrics.items())),
                time_text(item.create_time),
            )
            for item in found
        ),
        empty="no checkpoints yet",
    )


def _follow(session: Session, client: Client, job_id: str, after: int | None) -> None:
    try:
        if session.json:
            job = watch_json(session, client, job_id, after)
        else:
            job = watch_job(client, job_id, session.out, session.notes)
    except KeyboardInterrupt:
        if not session.json:
            print(f"the job goes on; see it again with: visionmesh jobs watch {job_id}", file=sys.stderr)
        raise
    if job.state == job_state_pb2.JOB_STATE_FAILED:
        raise typer.Exit(FAILED)


def _announce(session: Session, job: training_pb2.TrainingJob, what: str) -> None:
    if session.json:
        session.print_json(job)
    else:
        session.out.print(f"job {job.id} {what}: {state_text(job.state)}")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
