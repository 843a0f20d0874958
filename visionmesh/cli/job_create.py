"""``jobs create``: a new job, its settings from a preset and from the command line."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict

from visionmesh.calls.registry import to_struct
from visionmesh.cli.job_changes import KeepEveryOption, KeepLastOption
from visionmesh.cli.job_watch import announce, follow_to_end
from visionmesh.cli.registry import task_type
from visionmesh.cli.session import Session
from visionmesh.cli.values import enum_choices, enum_value, settings
from visionmesh.client import Client
from visionmesh.v1 import checkpoint_pb2, common_pb2, training_pb2

VIEW = "DATASET_VIEW_"
VIEWS_HELP = (
    "For classification on a dataset whose images carry objects: "
    + ", ".join(name.replace("_", "-") for name in enum_choices(training_pb2.DatasetView, VIEW))
    + "."
)


def create(
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
    dataset_view: Annotated[str, typer.Option("--dataset-view", metavar="VIEW", help=VIEWS_HELP)] = "",
    name: Annotated[str, typer.Option("--name", help="Name of the experiment.")] = "",
    project: Annotated[str, typer.Option("--project", help="Project it belongs to.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Label for search; may be repeated.")] = None,
    notes: Annotated[str, typer.Option("--notes", help="Free text.")] = "",
    priority: Annotated[int, typer.Option("--priority", help="Higher is started first.")] = 0,
    max_restarts: Annotated[
        int | None,
        typer.Option("--max-restarts", min=0, help="Restarts after failures that another try may mend [default: 2]."),
    ] = None,
    no_progress_seconds: Annotated[
        int | None,
        typer.Option(
            "--no-progress-seconds",
            min=0,
            metavar="SECONDS",
            help="Silence after which an attempt is ended and restarted; 0: never [default: the gateway's].",
        ),
    ] = None,
    keep_every: KeepEveryOption = None,
    keep_last: KeepLastOption = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the job; create nothing.")] = False,
    start_now: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="Start it and follow it to its end.")] = False,
) -> None:
    """Create a training job. With --json the job as created is a line, as are its start and its events if asked for."""
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
        no_progress_seconds=no_progress_seconds,
    )
    if keep_every is not None or keep_last is not None:
        kept = checkpoint_pb2.CheckpointRetention(every_n_epochs=keep_every, keep_last=keep_last)
        spec.checkpoint_retention.CopyFrom(kept)
    if dataset_view:
        spec.dataset_view = enum_value(training_pb2.DatasetView, VIEW, dataset_view, "--dataset-view")
    given = settings(setting or [])
    with session.client() as client:
        spec.task_type = task_type(task)
        config = preset_config(client, framework, spec.task_type, preset) if preset else {}
        config.update(given)
        if config:
            spec.advanced_config.CopyFrom(to_struct(config))
        job = client.create_job(spec, request_id="" if check else uuid.uuid4().hex, validate_only=check)
        if check:
            if session.json:
                session.print_json(job)
            else:
                session.out.print("the job is right; nothing was created")
            return
        announce(session, job, "created")
        if start_now or watch_it:
            announce(session, client.start_job(job.id), "started")
        if watch_it:
            follow_to_end(session, client, job.id)


def preset_config(client: Client, framework: str, task: common_pb2.TaskType, name: str) -> dict[str, Any]:
    """The configuration of a preset. Raises ``typer.BadParameter`` naming those there are."""
    presets = {preset.name: preset for preset in client.schema(framework, task).presets}
    if name not in presets:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(presets)}", param_hint="--preset")
    config: dict[str, Any] = MessageToDict(presets[name].config)
    return config
