"""``jobs update`` and ``jobs delete``."""

from __future__ import annotations

from typing import Annotated

import typer

from visionmesh.cli.job_watch import announce
from visionmesh.cli.session import Session
from visionmesh.v1 import checkpoint_pb2

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
KeepEveryOption = Annotated[
    int | None,
    typer.Option(
        "--keep-every", min=0, metavar="N", help="Keep checkpoints of every N-th epoch too; 1: all, 0: none of these."
    ),
]
KeepLastOption = Annotated[
    int | None, typer.Option("--keep-last", min=1, metavar="N", help="Keep the newest N checkpoints.")
]


def update(
    session: Session,
    job_id: JobArgument,
    name: Annotated[str | None, typer.Option("--name", help="New name of the experiment.")] = None,
    notes: Annotated[str | None, typer.Option("--notes", help="New free text.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Label for search, in place of those there are; may be repeated.")
    ] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take all tags away.")] = False,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher is started first; counts at once for a job that waits.")
    ] = None,
    keep_every: KeepEveryOption = None,
    keep_last: KeepLastOption = None,
) -> None:
    """Change name, notes, tags or priority of a job, or which of its checkpoints are kept; what is not given stays.
    Checkpoints that are no longer kept are removed at once; the best and the last one always are kept."""
    if tag and no_tags:
        raise typer.BadParameter("give --tag or --no-tags, not both", param_hint="--no-tags")
    tags = [] if no_tags else tag or None
    if all(value is None for value in (name, notes, tags, priority, keep_every, keep_last)):
        raise typer.BadParameter(
            "nothing to change: give --name, --notes, --tag, --no-tags, --priority, --keep-every or --keep-last"
        )
    with session.client() as client:
        job = client.update_job(
            job_id,
            experiment_name=name,
            notes=notes,
            tags=tags,
            priority=priority,
            every_n_epochs=keep_every,
            keep_last=keep_last,
        )
    announce(session, job, "updated")


def delete(
    session: Session,
    job_id: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a job with its log, metrics and checkpoints. One that is queued or runs is stopped first."""
    if not yes and not session.json:
        typer.confirm(f"Delete job {job_id} with its log, metrics and checkpoints?", abort=True, err=True)
    with session.client() as client:
        client.delete_job(job_id)
    if session.json:
        session.print_json({"deleted": job_id})
    else:
        session.out.print(f"deleted {job_id}")


def retention_text(retention: checkpoint_pb2.CheckpointRetention) -> str:
    """Which checkpoints are kept, for a person."""
    if retention.every_n_epochs == 1:
        return "all"
    last = "the last" if retention.keep_last <= 1 else f"the last {retention.keep_last}"
    every = f", every {retention.every_n_epochs} epochs" if retention.every_n_epochs else ""
    return f"the best, {last}{every}"
