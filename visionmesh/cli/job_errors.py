"""``jobs errors``: the validation images that a model is most wrong about, as a picture to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from visionmesh.cli.dataset_preview import ENCODINGS, save_picture
from visionmesh.cli.drawing import require_pillow
from visionmesh.cli.error_sheet import OBJECTS_SIDE, SIDE, Tile, draw_sheet
from visionmesh.cli.failures import NOT_FOUND, CommandError
from visionmesh.cli.job_changes import JobArgument
from visionmesh.cli.session import Session
from visionmesh.cli.values import bytes_text
from visionmesh.client import Client
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2, training_pb2

MOST_IMAGES = 100
# What is wrong with one image is said in its place on the sheet; the others are drawn.
_OF_ONE_IMAGE = {
    "IMAGE_UNREADABLE": "cannot be decoded",
    "IMAGE_TOO_LARGE": "too large to be decoded",
    "FILE_NOT_FOUND": "not in the dataset",
    "STORAGE_CORRUPT": "broken in the store",
}
_CROP = re.compile(r"(?P<image>(?:[^#]|##)+)#\d+\.png")


def errors(
    session: Session,
    job_id: JobArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to save it, .jpg or .png; JOB-errors.jpg if not."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_IMAGES, help="At most this many images.")] = 24,
    label: Annotated[
        str, typer.Option("--label", metavar="CLASS", help="Only those of, or with, this true class.")
    ] = "",
    predicted: Annotated[str, typer.Option("--predicted", metavar="CLASS", help="Only those taken for this.")] = "",
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="Of this checkpoint instead of the best.")
    ] = "",
) -> None:
    """Save a contact sheet of the validation images that the model gets wrong, the largest loss first.

    Boxes of objects that are there are drawn in blue with a whole line, those that the model found dashed: orange where
    it is wrong.
    """
    require_pillow()
    target = output or Path(re.sub(r"[^\w.-]+", "-", job_id)[:100] + "-errors.jpg")
    if target.suffix.lower() not in ENCODINGS:
        raise typer.BadParameter(f"{target} ends in none of {', '.join(ENCODINGS)}", param_hint="--output")
    if not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {target.absolute().parent}", param_hint="--output")
    with session.client() as client:
        job = client.get_job(job_id)
        every = client.validation_images(
            job_id,
            checkpoint_id=checkpoint,
            correct=False,
            label=label,
            predicted_label=predicted,
            order=training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST,
            page_size=limit,
        )
        found = list(islice(every, limit))
        tiles = [_tile(client, job, image) for image in found]
    size = ""
    if tiles:
        png = ENCODINGS[target.suffix.lower()] == dataset_pb2.PREVIEW_ENCODING_PNG
        picture, width, height = draw_sheet(tiles, _title(job, tiles), "PNG" if png else "JPEG")
        save_picture(target, picture)
        size = f"{width} × {height}, {bytes_text(len(picture))}"
    if session.json:
        session.print_json({"path": str(target) if tiles else "", "images": found})
    elif tiles:
        session.out.print(f"saved {target}: {_count(tiles)}, {size}")
    else:
        session.out.print("no such image is wrong: nothing was saved")


def _tile(client: Client, job: training_pb2.TrainingJob, image: training_pb2.ValidationImage) -> Tile:
    # Of a crop the whole image is to be had, with its objects drawn on it: the crop's name says which.
    crop = job.dataset_view == training_pb2.DATASET_VIEW_CROPS and _CROP.fullmatch(image.path)
    path = crop["image"].replace("##", "#") if crop else image.path
    try:
        side = OBJECTS_SIDE if image.width else SIDE
        found = client.dataset_preview(job.dataset_id, path, max_side=side, without_annotations=not crop)
    except VisionMeshError as error:
        if error.reason in _OF_ONE_IMAGE:
            return Tile(image, missing=_OF_ONE_IMAGE[error.reason])
        if error.reason == "DATASET_NOT_FOUND":
            message = (
                f"dataset {job.dataset_id} of job {job.id} is deleted, or not yours to see any more, so its images "
                f"cannot be drawn; `visionmesh jobs images {job.id} --wrong` lists what the model said of them"
            )
            raise CommandError(error.reason, message, NOT_FOUND) from error
        raise
    return Tile(image, found.image)


def _title(job: training_pb2.TrainingJob, tiles: Sequence[Tile]) -> str:
    return f"{job.experiment_name or job.id} - {job.framework}/{job.model_name} - worst {_count(tiles)}"


def _count(tiles: Sequence[Tile]) -> str:
    return f"{len(tiles)} image{'s' if len(tiles) != 1 else ''}"
