"""Predicting in process, as a script does that has the checkpoint.

``python -m benchmarks.local_prediction WEIGHTS IMAGE THREADS [MODEL.ONNX]``. The model is eager torch, or ONNX Runtime
with its own defaults where a model for it is named, prepared as the checkpoint's description says. Commands, by lines
of JSON (``benchmarks.worker``):

answer  predict once; answers label → confidence
times  predict ``count`` times, one after the other; answers the seconds of each
rate    predict for ``seconds``; answers predictions per second
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import timm
import torch
from PIL import Image
from safetensors import safe_open
from timm.data.transforms_factory import create_transform

from benchmarks.worker import serve, timed

TOP = 5


class Classifier:
    """A timm model from a checkpoint's ``weights.safetensors``, or as it was ``exported`` for ONNX Runtime."""

    def __init__(self, weights: Path, threads: int, exported: Path | None = None) -> None:
        # Beside ONNX Runtime, threads of torch would only take its processors.
        torch.set_num_threads(1 if exported else threads)
        with safe_open(weights, framework="pt") as file:
            about = json.loads(file.metadata()["visionmesh"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        self._labels: list[str] = about["class_names"]
        self._model = timm.create_model(about["model_name"], num_classes=len(self._labels)).eval()
        self._model.load_state_dict(state)
        self._session: Any = None
        if exported is not None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._session = onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
        prepared = about["preprocessing"]
        size = prepared["image_size"]
        self._transform = create_transform(
            input_size=(3, size, size),
            interpolation=prepared["interpolation"],
            mean=tuple(prepared["mean"]),
            std=tuple(prepared["std"]),
            crop_pct=prepared["crop_pct"],
            crop_mode=prepared["crop_mode"],
        )

    def predict(self, encoded: bytes) -> dict[str, float]:
        image = Image.open(io.BytesIO(encoded)).convert("RGB")
        with torch.inference_mode():
            chances = self._scores(self._transform(image).unsqueeze(0))[0].softmax(0)
        values, places = chances.topk(min(TOP, len(self._labels)))
        return {self._labels[place]: value for place, value in zip(places.tolist(), values.tolist(), strict=True)}

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        if self._session is None:
            scores: torch.Tensor = self._model(images)
            return scores
        return torch.from_numpy(self._session.run(None, {"images": images.numpy()})[0])


if __name__ == "__main__":
    exported = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    loaded, encoded = Classifier(Path(sys.argv[1]), int(sys.argv[3]), exported), Path(sys.argv[2]).read_bytes()
    loaded.predict(encoded)
    serve(lambda command: timed(command, lambda: loaded.predict(encoded)))
