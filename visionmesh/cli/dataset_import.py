"""``datasets import``: a dataset of files that lie in a bucket or a folder of the gateway's machine already."""

from __future__ import annotations

from typing import Annotated

import typer

from visionmesh.cli.command import command
from visionmesh.cli.datasets import FORMAT, FORMATS_HELP, VISIBILITY, VISIBILITY_HELP, print_dataset
from visionmesh.cli.failures import FAILED
from visionmesh.cli.session import Session
from visionmesh.cli.upload_view import watch_analysis
from visionmesh.cli.values import enum_value
from visionmesh.v1 import dataset_pb2


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "import",
        examples=(
            "visionmesh datasets import s3://raw/flowers/ --name flowers\n"
            "visionmesh datasets import /mnt/shared/flowers --val-fraction 0.2 --no-wait"
        ),
    )(import_)


def import_(
    session: Session,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="s3://BUCKET/PREFIX/ or a folder of the gateway's machine.")
    ],
    name: Annotated[str, typer.Option("--name", help="Name for people; the last part of PREFIX when not given.")] = "",
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=FORMATS_HELP)] = "image_folder",
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
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the dataset is analysed.")] = True,
) -> None:
    """Import a dataset from where the gateway's setting import_sources allows. Fails when it cannot be trained on."""
    spec = dataset_pb2.DatasetSpec(
        name=name or prefix.rstrip("/").rpartition("/")[2],
        description=description,
        format=enum_value(dataset_pb2.DatasetFormat, FORMAT, format, "--format"),
        visibility=enum_value(dataset_pb2.Visibility, VISIBILITY, visibility, "--visibility"),
        project_id=project,
        tags=tag or [],
        val_fraction=val_fraction,
        split_seed=seed,
    )
    with session.client() as client:
        dataset = client.import_dataset(spec, prefix)
        if wait:
            dataset = watch_analysis(session.notes, client, dataset.id)
        problems = list(client.dataset_problems(dataset.id)) if wait else []
    if session.json:
        session.print_json({"dataset": dataset, "problems": problems})
    else:
        print_dataset(session, dataset, problems)
    if dataset.state == dataset_pb2.DATASET_STATE_FAILED:
        raise typer.Exit(FAILED)
