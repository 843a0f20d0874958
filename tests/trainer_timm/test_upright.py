"""Image files of every kind are trained on and predicted upright: as the same picture, stored plainly."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer.object_dataset import encode, turned
from tests.trainer_timm.helpers import Recorder, make_spec
from trainer.adapter import PredictOptions, Sample, TrainingDataset
from trainer.images import decode_image
from trainer_timm.adapter import TimmAdapter
from trainer_timm.images import read_image
from trainer_timm.prediction import TimmPredictor

WIDTH, HEIGHT = 36, 24
MAX_PIXELS = 10_000


def picture(bright_side: int) -> Image.Image:
    """A ramp from dark to bright: towards the top (0) or the left (1). Turned by 90°, one is the other."""
    ramp = np.linspace(0, 255, HEIGHT if bright_side == 0 else WIDTH).astype(np.uint8)[::-1]
    values = np.broadcast_to(ramp[:, None] if bright_side == 0 else ramp[None, :], (HEIGHT, WIDTH))
    return Image.fromarray(np.ascontiguousarray(values)).convert("RGB")


def deep(image: Image.Image) -> Image.Image:
    """The same in 16 bits: clipped to 8 bits, nearly all of it would be white."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def animated(image: Image.Image) -> bytes:
    """A GIF that goes on with a black frame."""
    black = Image.new("L", image.size)
    return encode(image.convert("L"), "GIF", save_all=True, append_images=[black])


def kinds(image: Image.Image) -> dict[str, bytes]:
    """Files of one picture, by name."""
    palette = image.quantize(64)
    return {
        "plain.png": encode(image),
        "turned.jpg": turned(image, "JPEG", quality=95),
        "turned.png": turned(image, "PNG"),
        "turned.webp": turned(image, "WEBP", quality=95),
        "inks.jpg": encode(image.convert("CMYK"), "JPEG", quality=95),
        "turned-inks.jpg": turned(image.convert("CMYK"), "JPEG", quality=95),
        "inks.tif": encode(image.convert("CMYK"), "TIFF"),
        "deep.png": encode(deep(image)),
        "turned-deep.png": turned(deep(image), "PNG"),
        "palette.png": encode(palette),
        "turned-palette.png": turned(palette, "PNG"),
        "moving.gif": animated(image),
        "grey.png": encode(image.convert("L")),
        "clear.png": encode(image.convert("RGBA")),
    }


KINDS = sorted(kinds(picture(0)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingDataset, Recorder, TimmPredictor]:
    """A model that tells top from left, trained and validated on files of every kind."""
    root = tmp_path_factory.mktemp("upright")
    samples = []
    for label, name in enumerate(("top", "left")):
        for kind, data in kinds(picture(label)).items():
            for split in ("train", "val"):
                path = root / "data" / split / name / kind
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                samples.append(Sample(f"{split}/{name}/{kind}", split, label))
    dataset = TrainingDataset(root / "data", ("top", "left"), tuple(samples))
    recorder = Recorder()
    spec = make_spec(epochs=16, batch_size=7, learning_rate=4e-3)
    assert TimmAdapter().train(spec, dataset, root / "run", recorder)
    shutil.copytree(recorder.checkpoints[-1][1], root / "alone")
    predictor = TimmAdapter().load_predictor(root / "alone", 1)
    assert isinstance(predictor, TimmPredictor)
    return dataset, recorder, predictor


@pytest.mark.parametrize("bright_side", [0, 1], ids=["top", "left"])
@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_see_the_picture_as_a_person_does(
    kind: str, bright_side: int, trained: tuple[TrainingDataset, Recorder, TimmPredictor], tmp_path: Path
) -> None:
    predictor = trained[2]
    expected = np.asarray(picture(bright_side)).astype(int)
    data = kinds(picture(bright_side))[kind]
    (tmp_path / kind).write_bytes(data)
    seen = np.asarray(read_image(tmp_path, kind)).astype(int)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).max() <= 12, "training sees another picture"
    # Prediction gets the bytes, from a request or from the dataset's file.
    predicted = predictor.prepare(decode_image(data, MAX_PIXELS))
    assert torch.equal(predicted, predictor.prepare(read_image(tmp_path, kind))), "prediction sees another picture"


def test_files_of_every_kind_are_told_apart_by_what_is_up(
    trained: tuple[TrainingDataset, Recorder, TimmPredictor],
) -> None:
    dataset, recorder, predictor = trained
    assert recorder.epochs[-1].accuracy == 1.0
    summary: dict[str, Any] = dict(recorder.validations[-1][1])
    rows = {row["path"]: row for row in summary["images"]}
    for sample in dataset.split("val"):
        data = (dataset.root / sample.path).read_bytes()
        image = decode_image(data, MAX_PIXELS)
        [said] = predictor.predict_batch([predictor.prepare(image)], [PredictOptions()])
        assert said.classifications[0].label_id == sample.label_id, sample.path
        # What validation found of the file is what a request with its bytes is told.
        expected = dict(rows[sample.path]["predictions"])
        assert {item.label_id: item.confidence for item in said.classifications} == pytest.approx(expected, abs=1e-5)


def test_turned_and_plain_files_give_the_same_answer(trained: tuple[TrainingDataset, Recorder, TimmPredictor]) -> None:
    predictor = trained[2]
    for label in (0, 1):
        plain, sideways = (
            predictor.logits([predictor.prepare(Image.open(io.BytesIO(kinds(picture(label))[kind])))])
            for kind in ("plain.png", "turned.png")
        )
        assert torch.allclose(plain, sideways, atol=1e-5)
