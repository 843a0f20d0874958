"""Prediction needs the checkpoint folder alone and repeats what validation saw."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer_timm.helpers import Recorder, make_spec, write_dataset
from trainer.adapter import Prediction, PredictOptions, Predictor, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.evaluation import evaluate
from trainer_timm.loading import DecodedImages, LoadingPlan, SampleImages, evaluation_loader
from trainer_timm.prediction import TimmPredictor
from trainer_timm.transforms import evaluation_transform, resolve_preprocessing


def oblong(label: int, rng: np.random.Generator) -> Image.Image:
    """Draw an image that has to be resized and cropped."""
    return Image.fromarray(rng.integers(0, 90 + 80 * label, (50, 70, 3)).astype(np.uint8))


def predict(predictor: Predictor, image: Image.Image, options: PredictOptions) -> Prediction:
    """Predict one image alone."""
    [prediction] = predictor.predict_batch([predictor.prepare(image)], [options])
    return prediction


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingDataset, Recorder, Path]:
    """Train two epochs; the checkpoint lies alone, as after a download."""
    root = tmp_path_factory.mktemp("prediction")
    dataset = write_dataset(root / "data", class_names=tuple("abcdefg"), train=14, val=14, draw=oblong)
    recorder = Recorder()
    assert TimmAdapter().train(make_spec(learning_rate=4e-3), dataset, root / "run", recorder)
    alone = root / "alone"
    alone.mkdir()
    shutil.copy(recorder.checkpoints[-1][1] / "weights.safetensors", alone)
    return dataset, recorder, alone


@pytest.fixture(scope="module")
def predictor(trained: tuple[TrainingDataset, Recorder, Path]) -> TimmPredictor:
    found = TimmAdapter().load_predictor(trained[2], 1)
    assert isinstance(found, TimmPredictor)
    return found


def test_it_says_what_it_is(predictor: TimmPredictor) -> None:
    assert predictor.task_type == "IMAGE_CLASSIFICATION"
    assert predictor.model_name == "test_resnet"
    assert predictor.class_names == tuple("abcdefg")
    # 0.37 million float32 parameters.
    assert 1_400_000 < predictor.memory_bytes < 1_600_000


def test_predictions_are_the_outputs_of_validation(
    trained: tuple[TrainingDataset, Recorder, Path], predictor: TimmPredictor
) -> None:
    dataset, recorder, _ = trained
    matrix = np.zeros((7, 7), dtype=int)
    losses = []
    summary: dict[str, Any] = dict(recorder.validations[-1][1])
    rows = {row["path"]: row for row in summary["images"]}
    assert list(rows) == [sample.path for sample in dataset.split("val")]
    for sample in dataset.split("val"):
        with Image.open(dataset.root / sample.path) as image:
            logits = predictor.logits([predictor.prepare(image)])[0]
            said = predict(predictor, image, PredictOptions()).classifications
        first, row = said[0], rows[sample.path]
        assert first.label_id == int(logits.argmax())
        # What is kept of each image is what the model says when it is asked about it.
        assert row["label_id"] == sample.label_id and len(row["predictions"]) == 5
        assert [label for label, _ in row["predictions"]] == [item.label_id for item in said]
        assert [sure for _, sure in row["predictions"]] == pytest.approx([item.confidence for item in said], abs=1e-5)
        matrix[sample.label_id, first.label_id] += 1
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(sample.label_id))))
        assert row["loss"] == pytest.approx(losses[-1], abs=1e-5)
    assert matrix.tolist() == summary["confusion_matrix"]
    assert np.mean(losses) == pytest.approx(summary["metrics"]["val_loss"], rel=1e-5)


def test_preprocessing_is_bit_for_bit_that_of_validation(
    trained: tuple[TrainingDataset, Recorder, Path], predictor: TimmPredictor
) -> None:
    dataset = trained[0]
    samples = dataset.split("val")[:1]
    # The model's own preprocessing, as training resolves it, against the one that the checkpoint carries.
    transform = evaluation_transform(resolve_preprocessing(predictor.model, 32))
    images = SampleImages(DecodedImages(dataset.root, 0), samples, transform)
    batch = evaluation_loader(images, 1, LoadingPlan(0, 0, False))
    tensor, _ = next(iter(batch))
    with Image.open(dataset.root / samples[0].path) as image, torch.inference_mode():
        assert torch.equal(predictor.logits([predictor.prepare(image)])[0], predictor.model(tensor)[0])
    result = evaluate(predictor.model, batch, dataset.class_names, torch.device("cpu"), lambda: False)
    assert result is not None and result.metrics["val_loss"] > 0


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (40, 30), 90),
        Image.new("1", (40, 30), 1),
        Image.new("P", (40, 30), 3),
        Image.new("RGBA", (40, 30), (10, 20, 30, 40)),
        Image.new("LA", (40, 30), (10, 20)),
        Image.new("CMYK", (40, 30), (10, 20, 30, 40)),
        Image.new("I;16", (40, 30), 30000),
        Image.new("I", (40, 30), 30000),
        Image.new("F", (40, 30), 0.5),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (500, 7)),
    ],
    ids=lambda image: f"{image.mode}-{image.width}x{image.height}",
)
def test_every_kind_of_image_is_classified(image: Image.Image, predictor: TimmPredictor) -> None:
    found = predict(predictor, image, PredictOptions(top_k=7)).classifications
    assert sum(item.confidence for item in found) == pytest.approx(1.0, abs=1e-5)


def test_top_k_and_threshold(predictor: TimmPredictor) -> None:
    image = Image.new("RGB", (40, 40), "red")
    everything = predict(predictor, image, PredictOptions(top_k=100)).classifications
    assert len(everything) == 7
    confidences = [item.confidence for item in everything]
    assert confidences == sorted(confidences, reverse=True)
    assert all(item.label == predictor.class_names[item.label_id] for item in everything)
    assert predict(predictor, image, PredictOptions()).classifications == everything[:5]
    assert predict(predictor, image, PredictOptions(top_k=2)).classifications == everything[:2]
    # What reaches the threshold exactly is kept.
    above = predict(predictor, image, PredictOptions(confidence_threshold=confidences[2])).classifications
    assert above == everything[:3]
    assert predict(predictor, image, PredictOptions(confidence_threshold=1.0)).classifications == ()


def test_the_size_of_a_model_with_fixed_input_comes_from_the_checkpoint(
    textures: TrainingDataset, tmp_path: Path
) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec(model_name="test_vit", epochs=1), textures, tmp_path, recorder)
    predictor = TimmAdapter().load_predictor(recorder.checkpoints[0][1], 1)
    assert len(predict(predictor, Image.new("RGB", (99, 50)), PredictOptions()).classifications) == 3


def test_a_predictor_that_nobody_has_any_more_is_freed_at_once(trained: tuple[TrainingDataset, Recorder, Path]) -> None:
    found = TimmAdapter().load_predictor(trained[2], 1)
    freed = weakref.ref(found)
    gc.disable()  # it sees little of a model, and would come too late
    try:
        del found
        assert freed() is None
    finally:
        gc.enable()
