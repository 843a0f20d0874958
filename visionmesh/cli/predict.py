"""``predict``: what a trained model says of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from visionmesh.cli.coco_results import CocoResults
from visionmesh.cli.command import command
from visionmesh.cli.drawing import draw_prediction, require_pillow
from visionmesh.cli.failures import USAGE, CommandError, exit_code_of, report
from visionmesh.cli.session import Session, to_json
from visionmesh.cli.tables import print_table
from visionmesh.errors import from_failure
from visionmesh.v1 import inference_pb2

# What concerns one image alone; the others are still predicted.
_OF_THE_IMAGE = frozenset({"IMAGE_UNREADABLE", "IMAGE_TOO_LARGE", "MESSAGE_TOO_LARGE", "INTERNAL"})

# Files of a folder that are taken for images; a file that is named itself may end in anything.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(
        app,
        "predict",
        examples="visionmesh predict JOB photo.jpg --draw .\n"
        "visionmesh predict JOB photos/ --top-k 1 --json > answers.jsonl\n"
        "visionmesh predict JOB photos/ --labels cat --labels dog --coco results.json",
    )(predict)


def predict(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Job whose best checkpoint answers, else its last.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", exists=True, help="Image files, and folders of them.")
    ],
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="This checkpoint answers instead of the job's best.")
    ] = "",
    top_k: Annotated[int, typer.Option("--top-k", min=0, max=1000, help="At most this many classes; 0: 5.")] = 0,
    confidence: Annotated[
        float | None, typer.Option("--confidence", min=0.0, max=1.0, help="Leave out what is less sure.")
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option("--iou", min=0.0, max=1.0, help="Boxes that overlap more are one object [default: 0.7]."),
    ] = None,
    max_detections: Annotated[
        int, typer.Option("--max-detections", min=0, max=3000, help="At most this many objects; 0: 300.")
    ] = 0,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", metavar="NAME", help="Only this class; give it again for more of them."),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FOLDER",
            file_okay=False,
            help="Draw what is found on each image, as NAME-predicted.jpg in this folder.",
        ),
    ] = None,
    coco: Annotated[
        Path | None,
        typer.Option("--coco", metavar="FILE", dir_okay=False, help="Write what is found as results in COCO's format."),
    ] = None,
) -> None:
    """Predict images with a trained model, in one stream; with --json one object per image and line, in order.

    An image that cannot be read is reported, and the others are predicted all the same. Results in COCO's format number
    the images by file name from 1 and the classes by label id from 1, and have masks as run lengths.
    """
    found = list(_files(images))
    if not found:
        raise CommandError("USAGE", f"No image files ({', '.join(SUFFIXES)}) were found.", USAGE)
    if draw is not None:
        require_pillow()
    paths, names = [path for path, _ in found], [name for _, name in found]
    targets = _targets(names)
    results = CocoResults(names)
    failed = 0
    with session.client() as client, _progress(session, len(paths)) as advance:
        answers = client.predict_stream(
            paths,
            job_id="" if checkpoint else job_id,
            checkpoint_id=checkpoint,
            top_k=top_k,
            confidence_threshold=confidence,
            iou_threshold=iou,
            max_detections=max_detections,
            labels=labels or (),
            run_length_masks=coco is not None,
        )
        for place, (image, target, answer) in enumerate(zip(paths, targets, answers, strict=True)):
            advance()
            if answer.WhichOneof("result") == "failure":
                error = from_failure(answer.failure)
                if error.reason not in _OF_THE_IMAGE:
                    raise error
                report(error, as_json=session.json, address=session.address, image=str(image))
                failed = failed or exit_code_of(error)
                continue
            if coco is not None:
                results.add(place, answer.response)
            if draw is not None:
                failed = _draw(session, image, answer.response, draw / target) or failed
            if session.json:
                session.print_json({"image": str(image), **to_json(answer.response)})
            else:
                _print(session, image, answer.response)
    if coco is not None:
        results.write(coco)
        session.notes.print(f"results in COCO's format: {coco}")
    if failed:
        raise typer.Exit(failed)


def _files(given: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The files, and those of folders that look like images, in order, each with its path within what was given."""
    for path in given:
        if path.is_dir():
            found = sorted(found for found in path.rglob("*") if found.suffix.lower() in SUFFIXES)
            yield from ((inner, inner.relative_to(path).as_posix()) for inner in found)
        else:
            yield path, path.name


def _targets(names: Iterable[str]) -> list[Path]:
    """Where each image is drawn, within the folder for that: two never in one place."""
    taken: set[Path] = set()
    targets = []
    for name in names:
        image = Path(name)
        target = image.with_name(f"{image.stem}-predicted.jpg")
        number = 2
        while target in taken:
            target = image.with_name(f"{image.stem}-predicted-{number}.jpg")
            number += 1
        taken.add(target)
        targets.append(target)
    return targets


def _draw(session: Session, image: Path, answer: inference_pb2.PredictResponse, target: Path) -> int:
    """Draw one image; return 0, or the exit code when its file cannot be read here or the picture not be written."""
    try:
        draw_prediction(image, answer, target)
    except OSError as error:
        unreadable = CommandError("FILE_UNREADABLE", f"cannot be drawn: {error}")
        report(unreadable, as_json=session.json, image=str(image))
        return unreadable.exit_code
    session.notes.print(f"drawn: {target}")
    return 0


@contextmanager
def _progress(session: Session, total: int) -> Iterator[Callable[[], None]]:
    """Give what counts an image. A bar is drawn where results go elsewhere: on the terminal they show it themselves."""
    if total == 1 or not session.notes.is_terminal or session.out.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=session.notes, redirect_stdout=False) as bars:
        bar = bars.add_task("", total=total)
        yield lambda: bars.advance(bar)


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
