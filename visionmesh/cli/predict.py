"""``predict``: what a trained model says of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from visionmesh.cli.command import command
from visionmesh.cli.failures import exit_code_of, report
from visionmesh.cli.session import Session, to_json
from visionmesh.cli.tables import print_table
from visionmesh.client import VisionMeshError
from visionmesh.v1 import inference_pb2

# What concerns one image alone; the others are still predicted.
_OF_THE_IMAGE = frozenset({"IMAGE_UNREADABLE", "IMAGE_TOO_LARGE", "MESSAGE_TOO_LARGE"})


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(
        app,
        "predict",
        examples="visionmesh predict JOB photo.jpg\nvisionmesh predict JOB photos/*.jpg --top-k 1 --json",
    )(predict)


def predict(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Job whose best checkpoint answers, else its last.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", exists=True, dir_okay=False, help="Image files.")],
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="This checkpoint answers instead of the job's best.")
    ] = "",
    top_k: Annotated[int, typer.Option("--top-k", min=0, max=1000, help="At most this many classes; 0: 5.")] = 0,
    confidence: Annotated[
        float | None, typer.Option("--confidence", min=0.0, max=1.0, help="Leave out what is less sure.")
    ] = None,
) -> None:
    """Predict images with a trained model; with --json one object per image and line.

    An image that cannot be read is reported, and the others are predicted all the same.
    """
    failed = 0
    with session.client() as client:
        for image in images:
            try:
                answer = client.predict(
                    image,
                    job_id="" if checkpoint else job_id,
                    checkpoint_id=checkpoint,
                    top_k=top_k,
                    confidence_threshold=confidence,
                )
            except VisionMeshError as error:
                if error.reason not in _OF_THE_IMAGE:
                    raise
                report(error, as_json=session.json, address=session.address, image=str(image))
                failed = failed or exit_code_of(error)
                continue
            if session.json:
                session.print_json({"image": str(image), **to_json(answer)})
            else:
                _print(session, image, answer)
    if failed:
        raise typer.Exit(failed)


def _print(session: Session, image: Path, answer: inference_pb2.PredictResponse) -> None:
    size = f"{answer.image_width}×{answer.image_height}"
    session.out.print(f"{image}  {size}  {answer.model_name}  {answer.inference_time_ms:.1f} ms")
    if answer.detections:
        rows: list[tuple[str, str, str]] = [
            (
                item.label,
                f"{item.confidence:.4f}",
                f"{item.box.x_min:.0f},{item.box.y_min:.0f} to {item.box.x_max:.0f},{item.box.y_max:.0f}",
            )
            for item in answer.detections
        ]
        print_table(session.out, ["label", "confidence#", "box"], rows, empty="")
        return
    print_table(
        session.out,
        ["label", "confidence#"],
        ((item.label, f"{item.confidence:.4f}") for item in answer.classifications),
        empty="nothing above the confidence asked for",
    )
