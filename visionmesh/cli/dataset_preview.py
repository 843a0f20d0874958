"""``datasets preview``: a picture of a dataset, saved to a file."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Annotated

import typer

from visionmesh.cli.session import Session
from visionmesh.cli.values import bytes_text
from visionmesh.v1 import dataset_pb2

ENCODINGS = {
    ".jpg": dataset_pb2.PREVIEW_ENCODING_JPEG,
    ".jpeg": dataset_pb2.PREVIEW_ENCODING_JPEG,
    ".png": dataset_pb2.PREVIEW_ENCODING_PNG,
}


def preview(
    session: Session,
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", help="Id of the dataset.")],
    path: Annotated[str, typer.Argument(help="Image of the dataset; a contact sheet of several without it.")] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to save it, .jpg or .png; named by itself if not."),
    ] = None,
    max_side: Annotated[
        int, typer.Option("--max-side", min=0, help="Longest side in pixels, 32 to 4096; 0: 1024.")
    ] = 0,
    count: Annotated[int, typer.Option("--count", min=0, help="Images on a contact sheet, 1 to 100; 0: 16.")] = 0,
    split: Annotated[str, typer.Option("--split", help="Contact sheet of this split: train, val, test.")] = "",
    class_name: Annotated[str, typer.Option("--class", help="Contact sheet of images that show this class.")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Another seed chooses other images.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Draw no boxes, masks, keypoints and labels.")] = False,
) -> None:
    """Save a picture of a dataset: one of its images, or a contact sheet, with what is annotated drawn on it."""
    target = output or Path(_name(dataset_id, path))
    encoding = ENCODINGS.get(target.suffix.lower())
    if encoding is None:
        raise typer.BadParameter(f"{target} ends in none of {', '.join(ENCODINGS)}", param_hint="--output")
    with session.client() as client:
        picture = client.dataset_preview(
            dataset_id,
            path,
            encoding=encoding,
            max_side=max_side,
            image_count=count,
            split=split,
            class_name=class_name,
            seed=seed,
            without_annotations=plain,
        )
    save_picture(target, picture.image)
    if session.json:
        said = {"width": picture.width, "height": picture.height, "content_type": picture.content_type}
        session.print_json({"path": str(target), **said, "images": list(picture.paths)})
    else:
        shown = f"{len(picture.paths)} images" if len(picture.paths) != 1 else picture.paths[0]
        size = f"{picture.width} × {picture.height}, {bytes_text(len(picture.image))}"
        session.out.print(f"saved {target}: {shown}, {size}")


def _name(dataset_id: str, path: str) -> str:
    """A name for the picture, from what it shows, that is a plain file name everywhere."""
    shown = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, [dataset_id, os.path.splitext(path)[0]]))).strip("-.")
    return f"{shown[:100] or 'preview'}.jpg"


def save_picture(target: Path, image: bytes) -> None:
    """Save a picture whole or not at all. Raises OSError."""
    part = target.parent / f".visionmesh-part-{secrets.token_hex(8)}"
    try:
        part.write_bytes(image)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
