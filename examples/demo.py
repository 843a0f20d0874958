"""The whole story on one machine: a mesh, datasets, trainings watched live, predictions on images they never saw.

Run it by ``make demo``. It wants no network and no GPU and takes three or four minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from examples import demo_detection
from visionmesh.calls.registry import to_struct
from visionmesh.cli.job_view import JobView
from visionmesh.cli.job_watch import show
from visionmesh.cli.processes import EmbeddedMesh, MeshError
from visionmesh.cli.upload_view import watch_analysis, watch_upload
from visionmesh.client import Client, VisionMeshError, scan
from visionmesh.v1 import dataset_pb2, job_state_pb2, training_pb2

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGE_SIDE = 32
HELD_OUT_PER_CLASS = 5
TARGET_ACCURACY = 0.95
# Digits mean something else mirrored or cropped, so neither is done.
SETTINGS = {
    "optimizer.type": "adamw",
    "scheduler.type": "cosine",
    "scheduler.warmup_epochs": 1,
    "augmentation.hflip": 0.0,
    "augmentation.random_crop_scale_min": 1.0,
}


class DemoError(Exception):
    """The demo did not come out as it should."""


@dataclass(frozen=True)
class Prediction:
    """What the model said of a held-out image; ``confidence`` in [0, 1]."""

    image: Path
    truth: str
    label: str
    confidence: float


@dataclass
class Story:
    """What happened, for the closing summary: each step with its seconds."""

    console: Console
    steps: list[tuple[str, str, float]] = field(default_factory=list)
    number: int = 1

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Announce and time a step; what is put into the list describes its outcome."""
        self.console.print(f"\n{self.number}. {title}", style="bold")
        self.number += 1
        outcome: list[str] = []
        start = time.monotonic()
        yield outcome
        self.steps.append((title, "; ".join(outcome), time.monotonic() - start))
        for line in outcome:
            self.console.print(f"   {line}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; gives 0 when everything came out as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where everything is kept [demo-data/TIME]")
    parser.add_argument("--epochs", type=int, default=4, help="of the classifier [%(default)s]")
    parser.add_argument(
        "--detection-epochs",
        type=int,
        default=demo_detection.EPOCHS,
        help="of the detector [%(default)s]; 0: no detector",
    )
    parser.add_argument("--port", type=int, default=0, help="port of the mesh; 0: any that is free")
    options = parser.parse_args(arguments)
    folder: Path = options.data_folder or Path("demo-data") / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    # Without a terminal a line is as long as it is.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    story = Story(console)
    mesh = EmbeddedMesh(folder / "mesh", options.port, CHECKOUT, on_message=console.print)
    try:
        tell(story, mesh, folder.resolve(), options.epochs, options.detection_epochs)
    except (DemoError, MeshError, VisionMeshError) as error:
        console.print(f"\nThe demo failed: {error}", style="bold red")
        console.print(f"Logs: {(folder / 'mesh' / 'logs').resolve()}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; the mesh was stopped")
        return 130
    summarize(story, folder.resolve())
    return 0


def tell(story: Story, mesh: EmbeddedMesh, folder: Path, epochs: int, detection_epochs: int) -> None:
    """All steps in order; the mesh is stopped whatever happens."""
    with story.step("Export scikit-learn's digits as an image folder") as outcome:
        uploaded, held_out = export_digits(folder / "digits", folder / "held-out")
        outcome.append(f"{uploaded} images to upload, {len(held_out)} held out, in {folder}")
    try:
        with story.step("Start a mesh: gateway, timm and YOLO trainers, SQLite, object folder") as outcome:
            mesh.start()
            outcome.append(f"serving on {mesh.address}, token in {mesh.token_file}")
        with Client(mesh.address, mesh.token) as client:
            with story.step("Upload the dataset and let it be analysed") as outcome:
                dataset = upload(story.console, client, folder / "digits", "digits")
                splits = {name: sum(split.images.values()) for name, split in dataset.class_distribution.items()}
                outcome.append(f"dataset {dataset.id}: {dataset.num_classes} classes, {splits}")
            with story.step("Train test_resnet and watch it live") as outcome:
                job = train(story.console, client, classifier(dataset.id, epochs))
                outcome.append(f"job {job.id}: {accuracy_reached(client, job):.1%} of validation images right")
            with story.step("Predict images that were never uploaded") as outcome:
                predictions = predict(client, job.id, held_out)
                right = sum(item.label == item.truth for item in predictions)
                draw(predictions, folder / "predictions.png")
                outcome.append(f"{right} of {len(predictions)} right; see {folder / 'predictions.png'}")
            if detection_epochs > 0:
                tell_of_detection(story, client, folder, detection_epochs)
    finally:
        with story.step("Stop the mesh"):
            mesh.stop()


def tell_of_detection(story: Story, client: Client, folder: Path, epochs: int) -> None:
    """The steps with boxes."""
    with story.step("Scatter digits over larger canvases, and upload them with their boxes") as outcome:
        unseen = demo_detection.export_scenes(folder / "scenes", folder / "unseen-scenes")
        dataset = upload(story.console, client, folder / "scenes", "scenes")
        outcome.append(
            f"dataset {dataset.id}: {dataset.object_count} digits on {sum(demo_detection.SCENES.values())} scenes"
        )
    with story.step(f"Train {demo_detection.MODEL} and watch it live") as outcome:
        job = train(story.console, client, demo_detection.detector(dataset.id, epochs))
        precision = demo_detection.precision_reached(client, job.id)
        if epochs >= demo_detection.EPOCHS and precision < demo_detection.TARGET_MAP50:
            raise DemoError(f"the detector's mAP50 is {precision:.2f}, less than {demo_detection.TARGET_MAP50}")
        outcome.append(f"job {job.id}: mAP50 {precision:.2f} on validation scenes")
    with story.step("Find digits on scenes that were never uploaded") as outcome:
        found = demo_detection.detect(client, job.id, unseen, folder / "detections.png")
        outcome.append(f"{found} digits found on {len(unseen)} scenes; see {folder / 'detections.png'}")


def export_digits(train_folder: Path, held_out_folder: Path) -> tuple[int, list[tuple[Path, str]]]:
    """Write 1,797 grey PNGs as ``<folder>/<digit>/<number>.png``, the last few of each class into another folder.

    Gives the number of images to upload, and path and label of those held out.
    """
    digits = load_digits()
    by_class: dict[str, list[int]] = {}
    for number, label in enumerate(digits.target):
        by_class.setdefault(str(label), []).append(number)
    uploaded, held_out = 0, []
    for label, numbers in sorted(by_class.items()):
        for place, number in enumerate(numbers):
            hold = place >= len(numbers) - HELD_OUT_PER_CLASS
            path = (held_out_folder if hold else train_folder) / label / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # The pixels of this dataset are 0 to 16.
            image = Image.fromarray((digits.images[number] * (255 / 16)).astype("uint8"))
            image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC).save(path)
            if hold:
                held_out.append((path, label))
            else:
                uploaded += 1
    return uploaded, held_out


def upload(console: Console, client: Client, path: Path, name: str) -> dataset_pb2.Dataset:
    """Upload the folder with a fifth of it for validation, and wait for its analysis."""
    found = scan(path)
    with watch_upload(console, found) as progress:
        dataset = client.upload_folder(found, name, val_fraction=0.2, seed=0, progress=progress)
    dataset = watch_analysis(console, client, dataset.id)
    if dataset.state != dataset_pb2.DATASET_STATE_READY:
        raise DemoError(f"the dataset cannot be trained on: {dataset.failure.message}")
    return dataset


def classifier(dataset_id: str, epochs: int) -> training_pb2.TrainingJobSpec:
    """A job that trains a small classifier from nothing."""
    return training_pb2.TrainingJobSpec(
        experiment_name="digits",
        framework="timm",
        model_name="test_resnet",
        dataset_id=dataset_id,
        epochs=epochs,
        batch_size=32,
        learning_rate=4e-3,
        image_size=IMAGE_SIDE,
        pretrained=False,
        seed=0,
        advanced_config=to_struct(SETTINGS),
    )


def train(console: Console, client: Client, spec: training_pb2.TrainingJobSpec) -> training_pb2.TrainingJob:
    """Create a job, start it and show it until it ends."""
    job = client.start_job(client.create_job(spec).id)
    job = show(client, job, JobView(job), console, console)
    if job.state != job_state_pb2.JOB_STATE_COMPLETED:
        raise DemoError(f"the training did not complete: {job.failure.message or 'it was stopped'}")
    return job


def accuracy_reached(client: Client, job: training_pb2.TrainingJob) -> float:
    """The best validation accuracy. Raises ``DemoError`` when it is below the target."""
    best = max((metric.accuracy for metric in client.metrics(job.id)), default=0.0)
    if best < TARGET_ACCURACY:
        raise DemoError(f"the validation accuracy is {best:.1%}, less than {TARGET_ACCURACY:.0%}")
    return best


def predict(client: Client, job_id: str, images: Sequence[tuple[Path, str]]) -> list[Prediction]:
    """Ask the best checkpoint about each image."""
    predictions = []
    for path, truth in images:
        best = client.predict(path, job_id=job_id, top_k=1).classifications[0]
        predictions.append(Prediction(path, truth, best.label, best.confidence))
    return predictions


def draw(predictions: Sequence[Prediction], path: Path) -> None:
    """One picture of all predictions: the image, truth and answer, confidence; wrong ones in red with a frame."""
    columns, side, caption, gap = 10, 96, 44, 10
    rows = -(-len(predictions) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + caption + gap) + gap), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    for place, item in enumerate(predictions):
        x = gap + place % columns * (side + gap)
        y = gap + place // columns * (side + caption + gap)
        right = item.label == item.truth
        color = "#1b7837" if right else "#c00000"
        with Image.open(item.image) as image:
            sheet.paste(image.convert("RGB").resize((side, side), Image.Resampling.NEAREST), (x, y))
        if not right:
            pen.rectangle((x - 4, y - 4, x + side + 3, y + side + caption - 1), outline=color, width=4)
        pen.text((x + 2, y + side + 2), f"{item.truth} is {item.label}" + ("" if right else "?"), fill=color, font=font)
        pen.text((x + 2, y + side + 21), f"{item.confidence:.1%}", fill="#555555", font=font)
    sheet.save(path)


def summarize(story: Story, folder: Path) -> None:
    """Say what was done, how long it took and where things lie."""
    table = Table(title="What happened", title_justify="left")
    table.add_column("step")
    table.add_column("outcome", overflow="fold")
    table.add_column("seconds", justify="right")
    for title, outcome, seconds in story.steps:
        table.add_row(title, outcome, f"{seconds:.1f}")
    story.console.print()
    story.console.print(table)
    story.console.print(f"Everything is kept in {folder}:", soft_wrap=True)
    for name, what in (
        ("predictions.png", "the held-out images with what the classifier said of them"),
        ("detections.png", "the unseen scenes with what the detector found"),
        ("digits, scenes, …", "the images"),
        ("mesh", "database, objects, token and logs; start it again with the line below"),
    ):
        story.console.print(f"  {name:<18}{what}")
    story.console.print(f"  visionmesh up --data-folder {folder / 'mesh'}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
