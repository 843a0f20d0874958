"""``jobs validation`` and ``jobs images``: how good a model is, by class and by image."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from visionmesh.cli.outcomes import count_outcomes
from visionmesh.cli.session import Session
from visionmesh.cli.tables import print_fields, print_table
from visionmesh.cli.values import enum_choices, enum_value
from visionmesh.v1 import event_pb2, training_pb2

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
ORDER = "VALIDATION_IMAGE_ORDER_"
ORDERS_HELP = "Order: " + ", ".join(enum_choices(training_pb2.ValidationImageOrder, ORDER)) + "."
PAGE_SIZE = 1000


def validation(
    session: Session,
    job_id: JobArgument,
    epoch: Annotated[int, typer.Option("--epoch", min=0, help="Of this epoch; 0: of the best.")] = 0,
    every: Annotated[bool, typer.Option("--all", help="With --json: of every epoch.")] = False,
) -> None:
    """Show precision, recall and F1 of every class, of the best epoch or a chosen one."""
    with session.client() as client:
        if every:
            if not session.json or epoch:
                raise typer.BadParameter("goes with --json, and without --epoch", param_hint="--all")
            session.print_json({"results": list(client.validation_results(job_id))})
            return
        chosen = epoch or client.best_epoch(job_id)
        found = list(client.validation_results(job_id, epoch=chosen)) if chosen else []
    if session.json:
        session.print_json({"results": found})
        return
    if not found:
        session.out.print(f"epoch {epoch} was not validated" if epoch else "no validation yet")
        return
    [result] = found
    print_fields(session.out, {"epoch": result.epoch, **_metrics(result)})
    print_table(
        session.out,
        ["class", "precision#", "recall#", "f1#", "images#", "most often taken for"],
        (
            (
                item.label,
                f"{item.precision:.4f}",
                f"{item.recall:.4f}",
                f"{item.f1:.4f}",
                item.support,
                _taken_for(result, place),
            )
            for place, item in enumerate(result.classes)
        ),
        empty="no classes",
    )


def images(
    session: Session,
    job_id: JobArgument,
    wrong: Annotated[bool, typer.Option("--wrong", help="Only those that the model gets wrong.")] = False,
    right: Annotated[bool, typer.Option("--right", help="Only those that the model gets right.")] = False,
    label: Annotated[
        str, typer.Option("--label", metavar="CLASS", help="Only those of, or with, this true class.")
    ] = "",
    predicted: Annotated[str, typer.Option("--predicted", metavar="CLASS", help="Only those taken for this.")] = "",
    sort: Annotated[str, typer.Option("--sort", metavar="ORDER", help=ORDERS_HELP)] = "path",
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="Of this checkpoint instead of the best.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most this many; 0: all.")] = 50,
) -> None:
    """Show what the model said of single validation images. Kept of the best and the last checkpoint."""
    if wrong and right:
        raise typer.BadParameter("no image is both; leave one out", param_hint="--wrong")
    order = enum_value(training_pb2.ValidationImageOrder, ORDER, sort, "--sort")
    with session.client() as client:
        every = client.validation_images(
            job_id,
            checkpoint_id=checkpoint,
            correct=False if wrong else True if right else None,
            label=label,
            predicted_label=predicted,
            order=order,
            page_size=min(limit or PAGE_SIZE, PAGE_SIZE),
        )
        found = list(islice(every, limit or None))
    if session.json:
        session.print_json({"images": found})
        return
    of_objects = bool(found and found[0].width)
    print_table(
        session.out,
        ["image", "hits#", "missed#", "wrong class#", "false alarms#", "loss#", ""]
        if of_objects
        else ["image", "truth", "prediction", "confidence#", "loss#", ""],
        (
            (
                item.path,
                *(count_outcomes(item) if of_objects else _prediction(item)),
                f"{item.loss:.4f}",
                "" if item.correct else "wrong",
            )
            for item in found
        ),
        empty="no such images",
    )


def _prediction(item: training_pb2.ValidationImage) -> tuple[str, str, str]:
    said = item.predictions[0]
    return item.label, said.label, f"{said.confidence:.4f}"


def _taken_for(result: event_pb2.ValidationResult, place: int) -> str:
    """The wrong class that images or objects of a class are taken for most often, and how many; a dash without any."""
    if not result.confusion_matrix:
        return "-"
    wrong = {other: count for other, count in enumerate(result.confusion_matrix[place].counts) if other != place}
    other = max(wrong, key=lambda each: wrong[each], default=place)
    if not wrong.get(other):
        return "-"
    # Of objects there is one more column, for those that were missed.
    return f"{result.classes[other].label if other < len(result.classes) else 'nothing'} ({wrong[other]})"


def _metrics(result: event_pb2.ValidationResult) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in sorted(result.metrics.items())}
