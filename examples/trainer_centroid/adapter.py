"""Classifies an image by the nearest mean image of a class: one pass over the data, and no gradient anywhere.

Every epoch looks at one more share of the training images, so that there is something to watch.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.neighbors import NearestCentroid

from annotations.pictures import upright_rgb
from trainer.adapter import (
    BadTrainingData,
    Classification,
    ConfigField,
    ConfigOption,
    ConfigSchema,
    Export,
    FieldType,
    ModelInfo,
    Prediction,
    PredictOptions,
    Preset,
    PretrainedUnavailable,
    Sample,
    TrainingDataset,
    TrainingReporter,
    TrainingSpec,
)

TASK = "IMAGE_CLASSIFICATION"
MODEL = ModelInfo("nearest_centroid", (TASK,), 0, 16, (), (), "bilinear", (), "The nearest mean image.", "BSD-3-Clause")
METRICS = ("euclidean", "manhattan")
FIELD = ConfigField(
    "distance.metric",
    FieldType.SELECT,
    "Distance",
    "How far an image is from the mean of a class.",
    default="euclidean",
    options=tuple(ConfigOption(name, name.capitalize()) for name in METRICS),
)


class CentroidAdapter:
    """The ``Adapter`` of the example."""

    framework = "centroid"

    def __init__(self, pretrained_folder: Path | None = None) -> None:
        pass

    def versions(self) -> Mapping[str, str]:
        return {"scikit-learn": sklearn.__version__}

    def task_types(self) -> Sequence[str]:
        return [TASK]

    def list_models(self) -> Sequence[ModelInfo]:
        return [MODEL]

    def get_model(self, name: str) -> ModelInfo:
        if name != MODEL.name:
            raise KeyError(name)
        return MODEL

    def config_schema(self, task_type: str) -> ConfigSchema:
        presets = [Preset(name, name.capitalize(), "The default.", {FIELD.name: FIELD.default}) for name in PRESETS]
        return ConfigSchema((FIELD,), tuple(presets))

    def primary_metrics(self, task_type: str) -> Mapping[str, str]:
        return {"accuracy": "max"}

    def check_pretrained(self, model_name: str) -> None:
        raise PretrainedUnavailable("Means are never published; train with pretrained false.")

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        """Look at ``epoch`` of ``epochs`` shares of each class, and validate. What is resumed is the epoch alone."""
        done = _read(spec.resume_from)[1]["epoch"] if spec.resume_from else 0
        train, val = dataset.split("train"), dataset.split("val")
        if not train or not val:
            raise BadTrainingData("There must be images for training and for validation.")
        order = _by_turns(train, spec.seed)
        best = -1.0
        reporter.began(spec.epochs, done + 1, 1, "cpu")
        for epoch in range(done + 1, spec.epochs + 1):
            if reporter.should_stop():
                return False
            shown = order[: max(len(dataset.class_names), len(order) * epoch // spec.epochs)]
            model = NearestCentroid(metric=spec.config[FIELD.name]).fit(*_arrays(dataset.root, shown, spec.image_size))
            images, labels = _arrays(dataset.root, val, spec.image_size)
            accuracy = float((model.predict(images) == labels).mean())
            reporter.progress(epoch, 1, 1, 1 - accuracy, float(len(shown)))
            reporter.metrics(epoch, epoch, None, accuracy, None, {})
            about = {
                "framework": self.framework,
                "class_names": dataset.class_names,
                "classes": model.classes_.tolist(),
                "image_size": spec.image_size,
                "metric": spec.config[FIELD.name],
                "epoch": epoch,
            }
            folder = _write(run_folder / "checkpoints" / f"epoch-{epoch}", model.centroids_, about)
            reporter.checkpoint(epoch, folder, accuracy > best, {"accuracy": accuracy})
            best = max(best, accuracy)
        return True

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> CentroidPredictor:
        return CentroidPredictor(*_read(checkpoint_folder))


PRESETS = ("basic", "standard", "advanced")


class CentroidPredictor:
    """The ``Predictor`` of the example: the closer a class, the higher its confidence."""

    task_type, model_name, batch_size, runtime = TASK, MODEL.name, 1, "numpy"

    def __init__(self, centroids: np.ndarray[Any, Any], about: Mapping[str, Any]) -> None:
        self.class_names = tuple(about["class_names"])
        self.memory_bytes = centroids.nbytes
        self._centroids, self._classes, self._about = centroids, about["classes"], about

    def prepare(self, image: Image.Image) -> Any:
        return _pixels(image, self._about["image_size"])

    def predict_batch(self, inputs: Sequence[Any], options: Sequence[PredictOptions]) -> Sequence[Prediction]:
        return [self._predict(pixels, chosen) for pixels, chosen in zip(inputs, options, strict=True)]

    def export(self, runtime: str) -> Export | None:
        return None

    def _predict(self, pixels: Any, options: PredictOptions) -> Prediction:
        apart = self._centroids - pixels
        far = np.abs(apart).sum(1) if self._about["metric"] == "manhattan" else np.sqrt((apart**2).sum(1))
        near = np.exp(far.min() - far)
        ranked = sorted(zip(near / near.sum(), self._classes, strict=True), reverse=True)
        named = [Classification(self.class_names[label], label, float(sure)) for sure, label in ranked]
        kept = [
            item for item in named if item.confidence >= options.confidence_threshold and options.allows(item.label)
        ]
        return Prediction(classifications=tuple(kept[: options.top_k]))


def _by_turns(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Shuffle, and then let the classes take turns: the first few are of every class."""
    seen: Counter[int] = Counter()
    turns = []
    for place in np.random.default_rng(seed).permutation(len(samples)):
        seen[samples[place].label_id] += 1
        turns.append((seen[samples[place].label_id], samples[place]))
    return [sample for _, sample in sorted(turns, key=lambda turn: turn[0])]


def _arrays(root: Path, samples: Sequence[Sample], side: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images as rows of float64, (N, side * side * 3), and label ids, (N,)."""
    images = []
    for sample in samples:
        with Image.open(root / sample.path) as image:
            images.append(_pixels(image, side))
    return np.stack(images), np.array([sample.label_id for sample in samples])


def _pixels(image: Image.Image, side: int) -> np.ndarray[Any, Any]:
    small = upright_rgb(image).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float64).ravel() / 255


def _write(folder: Path, centroids: np.ndarray[Any, Any], about: Mapping[str, Any]) -> Path:
    """Write a checkpoint that appears whole."""
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    save_file({"centroids": centroids}, partial / "weights.safetensors", {"centroid": json.dumps(about)})
    # Its name says that a training can go on from here.
    save_file({"epoch": np.array(about["epoch"])}, partial / "training_state.safetensors")
    os.replace(partial, folder)
    return folder


def _read(folder: Path) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    with safe_open(folder / "weights.safetensors", framework="numpy") as file:
        about = (file.metadata() or {}).get("centroid")
        if about is None:
            raise SafetensorError("weights.safetensors holds no centroids.")
        return file.get_tensor("centroids"), json.loads(about)
