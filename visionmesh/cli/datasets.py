"""``datasets``: upload, list, show, download, preview, update, delete."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from visionmesh.calls.datasets import DEFAULT_STREAMS
from visionmesh.calls.following import OnReconnect, Patience
from visionmesh.cli.command import command
from visionmesh.cli.dataset_changes import update
from visionmesh.cli.dataset_download import download
from visionmesh.cli.dataset_preview import preview
from visionmesh.cli.dataset_statistics import print_statistics
from visionmesh.cli.failures import FAILED
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_fields, print_table
from visionmesh.cli.upload_view import watch_analysis, watch_upload
from visionmesh.cli.values import bytes_text, enum_choices, enum_text, enum_value, time_text
from visionmesh.client import VisionMeshError, scan
from visionmesh.v1 import common_pb2, dataset_pb2

FORMAT, STATE, VISIBILITY, SEVERITY = "DATASET_FORMAT_", "DATASET_STATE_", "VISIBILITY_", "PROBLEM_SEVERITY_"
TASK = "TASK_TYPE_"
DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Id of the dataset.")]
FORMATS_HELP = "Layout: " + ", ".join(enum_choices(dataset_pb2.DatasetFormat, FORMAT)) + "."
STATES_HELP = "Only in this state: " + ", ".join(enum_choices(dataset_pb2.DatasetState, STATE)) + "."
VISIBILITY_HELP = "Who may see it: " + ", ".join(enum_choices(dataset_pb2.Visibility, VISIBILITY)) + "."
PROBLEMS_SHOWN = 20


def group() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Upload datasets and look at them.")
    command(
        app,
        "upload",
        examples=(
            "visionmesh datasets upload photos/ --name flowers --val-fraction 0.2\n"
            "visionmesh datasets upload photos.zip --format yolo\n"
            "visionmesh datasets upload photos/ --resume DATASET"
        ),
    )(upload)
    command(app, "list", examples="visionmesh datasets list --state ready\nvisionmesh datasets list --json")(list_)
    command(app, "show", examples="visionmesh datasets show DATASET")(show)
    command(
        app,
        "download",
        examples=(
            "visionmesh datasets download DATASET photos/ --split train\n"
            "visionmesh datasets download DATASET --archive photos.tar"
        ),
    )(download)
    command(
        app,
        "preview",
        examples=(
            "visionmesh datasets preview DATASET --count 25 --class cat\n"
            "visionmesh datasets preview DATASET train/cat/1.jpg --output cat.png"
        ),
    )(preview)
    command(app, "update", examples="visionmesh datasets update DATASET --name flowers --tag spring")(update)
    command(app, "delete", examples="visionmesh datasets delete DATASET --yes")(delete)
    return app


def upload(
    session: Session,
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, metavar="PATH", help="Folder to upload, without hidden files, or zip, tar, tar.gz, tar.zst."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name for people; the folder's when not given.")] = "",
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=f"{FORMATS_HELP} Detected if not given.")
    ] = "",
    visibility: Annotated[str, typer.Option("--visibility", metavar="WHO", help=VISIBILITY_HELP)] = "private",
    project: Annotated[str, typer.Option("--project", help="Project it belongs to.")] = "",
    description: Annotated[str, typer.Option("--description", help="Free text.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Label for search; may be repeated.")] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(
            "--val-fraction", min=0.0, max=0.999, help="Share that becomes validation when there is no val split."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of that split.")] = 0,
    resume: Annotated[str, typer.Option("--resume", metavar="DATASET", help="Go on with an interrupted upload.")] = "",
    streams: Annotated[int, typer.Option("--streams", min=1, max=32, help="Streams at once.")] = DEFAULT_STREAMS,
    give_up_after: Annotated[
        float, typer.Option("--give-up-after", min=0.0, metavar="SECONDS", help="When nothing gets through so long.")
    ] = 300.0,
    direct: Annotated[
        bool, typer.Option("--direct", help="Send the files past the gateway, straight to its S3 object store.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the dataset is analysed.")] = True,
) -> None:
    """Upload a folder or an archive as a dataset and wait until it is analysed. Fails when it cannot be trained on.

    After a break the upload goes on by itself with what is missing.
    """
    chosen_format = (
        enum_value(dataset_pb2.DatasetFormat, FORMAT, format, "--format")
        if format
        else dataset_pb2.DATASET_FORMAT_UNSPECIFIED
    )
    chosen_visibility = enum_value(dataset_pb2.Visibility, VISIBILITY, visibility, "--visibility")
    found = scan(folder)
    if found.skipped and not session.json:
        session.notes.print(f"skipped {len(found.skipped)} hidden: {_some(found.skipped)}")
    started = [resume]
    with session.client() as client:
        try:
            with watch_upload(session.notes, found) as progress:
                dataset = client.upload_folder(
                    found,
                    name,
                    format=chosen_format,
                    visibility=chosen_visibility,
                    project=project,
                    description=description,
                    tags=tag or [],
                    val_fraction=val_fraction,
                    seed=seed,
                    progress=progress,
                    resume=resume,
                    streams=streams,
                    patience=Patience(give_up_after, None if session.json else _tell_of_break(session)),
                    direct=direct,
                    on_created=lambda created: started.append(created.id),
                )
        except BaseException:
            if started[-1] and not session.json:
                hint = f"visionmesh datasets upload {shlex.quote(str(folder))} --resume {started[-1]}"
                print(f"the upload is not finished; go on with: {hint}{' --direct' * direct}", file=sys.stderr)
            raise
        if wait:
            dataset = watch_analysis(session.notes, client, dataset.id)
        problems = list(client.dataset_problems(dataset.id)) if wait else []
    if session.json:
        session.print_json({"dataset": dataset, "problems": problems, "skipped": list(found.skipped)})
    else:
        print_dataset(session, dataset, problems)
    if dataset.state == dataset_pb2.DATASET_STATE_FAILED:
        raise typer.Exit(FAILED)


def _tell_of_break(session: Session) -> OnReconnect:
    def tell(error: VisionMeshError, seconds: float) -> None:
        session.notes.print(f"{error.reason or error.code.name}: {error.message}; going on in {seconds:.1f} s")

    return tell


def list_(
    session: Session,
    project: Annotated[str, typer.Option("--project", help="Only of this project.")] = "",
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=FORMATS_HELP)] = "",
    state: Annotated[str, typer.Option("--state", metavar="STATE", help=STATES_HELP)] = "",
    text: Annotated[str, typer.Option("--text", help="Only those whose name or description contains this.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only those with this tag; may be repeated.")] = None,
) -> None:
    """List the datasets you may see, newest first."""
    with session.client() as client:
        found = list(
            client.datasets(
                project=project,
                format=enum_value(dataset_pb2.DatasetFormat, FORMAT, format, "--format")
                if format
                else dataset_pb2.DATASET_FORMAT_UNSPECIFIED,
                state=enum_value(dataset_pb2.DatasetState, STATE, state, "--state")
                if state
                else dataset_pb2.DATASET_STATE_UNSPECIFIED,
                text=text,
                tags=tag or [],
            )
        )
    if session.json:
        session.print_json({"datasets": found})
        return
    print_table(
        session.out,
        ["id", "name", "format", "state", "files#", "size#", "classes#", "created"],
        (
            (
                item.id,
                item.name,
                enum_text(dataset_pb2.DatasetFormat, FORMAT, item.format),
                enum_text(dataset_pb2.DatasetState, STATE, item.state),
                item.file_count,
                bytes_text(item.total_size_bytes),
                item.num_classes or "-",
                time_text(item.create_time),
            )
            for item in found
        ),
        empty="no datasets",
    )


def show(session: Session, dataset_id: DatasetArgument) -> None:
    """Show one dataset: its splits, classes, statistics and problems."""
    with session.client() as client:
        found = client.dataset_with_statistics(dataset_id)
        problems = list(client.dataset_problems(dataset_id))
    if session.json:
        session.print_json({"dataset": found.dataset, "statistics": found.statistics, "problems": problems})
    else:
        print_dataset(session, found.dataset, problems, found.statistics)


def delete(
    session: Session,
    dataset_id: DatasetArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a dataset and its files."""
    if not yes and not session.json:
        typer.confirm(f"Delete dataset {dataset_id} and its files?", abort=True, err=True)
    with session.client() as client:
        client.delete_dataset(dataset_id)
    if session.json:
        session.print_json({"deleted": dataset_id})
    else:
        session.out.print(f"deleted {dataset_id}")


def print_dataset(
    session: Session,
    dataset: dataset_pb2.Dataset,
    problems: list[dataset_pb2.DatasetProblem],
    statistics: dataset_pb2.DatasetStatistics | None = None,
) -> None:
    """Print what is known of a dataset, and the first of its problems."""
    print_fields(
        session.out,
        {
            "id": dataset.id,
            "name": dataset.name,
            "description": dataset.description,
            "state": enum_text(dataset_pb2.DatasetState, STATE, dataset.state),
            "failure": f"{dataset.failure.reason}: {dataset.failure.message}" if dataset.HasField("failure") else "",
            "format": _format_text(dataset),
            "tasks": ", ".join(enum_text(common_pb2.TaskType, TASK, task) for task in dataset.task_types),
            "visibility": enum_text(dataset_pb2.Visibility, VISIBILITY, dataset.visibility),
            "project": dataset.project_id,
            "imported from": dataset.import_source,
            "tags": ", ".join(dataset.tags),
            "files": f"{dataset.file_count} ({bytes_text(dataset.total_size_bytes)})",
            "images": ", ".join(f"{split} {count}" for split, count in _images(dataset, statistics).items()),
            "classes": f"{dataset.num_classes}: {_some(dataset.class_names)}" if dataset.num_classes else "",
            "objects": dataset.object_count or "",
            "created": time_text(dataset.create_time),
        },
    )
    if statistics is not None:
        print_statistics(session.out, dataset, statistics)
    if problems:
        print_table(
            session.out,
            ["severity", "problem", "file", "what to do"],
            (
                (
                    enum_text(dataset_pb2.ProblemSeverity, SEVERITY, item.severity),
                    item.kind,
                    item.path or "-",
                    item.message,
                )
                for item in problems[:PROBLEMS_SHOWN]
            ),
            empty="",
        )
    if len(problems) > PROBLEMS_SHOWN:
        session.out.print(f"and {len(problems) - PROBLEMS_SHOWN} more problems; --json lists all")


def _images(dataset: dataset_pb2.Dataset, statistics: dataset_pb2.DatasetStatistics | None) -> dict[str, int]:
    """Images by split; none where they are not known: an image with objects of several classes counts in each."""
    if statistics is not None:
        return dict(sorted(statistics.images.items()))
    if dataset.object_count:
        return {}
    return {split: sum(classes.images.values()) for split, classes in sorted(dataset.class_distribution.items())}


def _format_text(dataset: dataset_pb2.Dataset) -> str:
    if dataset.format == dataset_pb2.DATASET_FORMAT_UNSPECIFIED:
        return ""
    name = enum_text(dataset_pb2.DatasetFormat, FORMAT, dataset.format)
    return f"{name}, detected: {dataset.format_detected_from}" if dataset.format_detected_from else name


def _some(names: Iterable[str], most: int = 10) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
