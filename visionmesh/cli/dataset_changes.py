"""``datasets update``: what people read of a dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from visionmesh.cli.session import Session
from visionmesh.cli.values import enum_choices, enum_value
from visionmesh.v1 import dataset_pb2

_VISIBILITY = "VISIBILITY_"
_VISIBILITY_HELP = "Who may see it: " + ", ".join(enum_choices(dataset_pb2.Visibility, _VISIBILITY)) + "."


def update(
    session: Session,
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", help="Id of the dataset.")],
    name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="New description.")] = None,
    visibility: Annotated[str | None, typer.Option("--visibility", metavar="WHO", help=_VISIBILITY_HELP)] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Label for search, in place of those there are; may be repeated.")
    ] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take all tags away.")] = False,
) -> None:
    """Change name, description, visibility or tags of a dataset; what is not given stays."""
    if tag and no_tags:
        raise typer.BadParameter("give --tag or --no-tags, not both", param_hint="--no-tags")
    tags = [] if no_tags else tag or None
    if name is None and description is None and visibility is None and tags is None:
        raise typer.BadParameter("nothing to change: give --name, --description, --visibility, --tag or --no-tags")
    chosen = None
    if visibility is not None:
        chosen = enum_value(dataset_pb2.Visibility, _VISIBILITY, visibility, "--visibility")
    with session.client() as client:
        dataset = client.update_dataset(dataset_id, name=name, description=description, visibility=chosen, tags=tags)
    if session.json:
        session.print_json({"dataset": dataset})
    else:
        session.out.print(f"updated {dataset.id}: {dataset.name}")
