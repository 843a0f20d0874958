"""Detecting in process with ultralytics' own ``predict``, as a script does that has the weights.

``python -m benchmarks.local_detection CHECKPOINT_FOLDER IMAGE THREADS``. Commands, by lines of JSON:

answer  predict once; answers [confidence, left, top, right, bottom] of each box
times   predict ``count`` times, one after the other; answers the seconds of each
rate    predict for ``seconds``; answers predictions per second
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.worker import serve, timed
from trainer_yolo.environment import prepare


class Detector:
    """``YOLO`` with the weights of a checkpoint, in torch on the CPU."""

    def __init__(self, checkpoint: Path, threads: int, encoded: bytes) -> None:
        prepare()
        import torch
        from ultralytics import YOLO

        from trainer_yolo.checkpoint import load_model

        description, model = load_model(checkpoint)
        self._image_size = description.image_size
        self._model = YOLO(f"{description.model_name}.yaml")
        self._model.model = model
        self.predict(encoded)
        torch.set_num_threads(threads)  # on a CPU ultralytics leaves one processor free

    def predict(self, encoded: bytes) -> list[list[float]]:
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        # It takes arrays as BGR.
        [result] = self._model.predict(
            np.ascontiguousarray(pixels[..., ::-1]), imgsz=self._image_size, device="cpu", verbose=False
        )
        found = zip(result.boxes.conf.tolist(), result.boxes.xyxy.tolist(), strict=True)
        return [[confidence, *box] for confidence, box in found]


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        image = Path(sys.argv[2]).read_bytes()
        detector = Detector(Path(sys.argv[1]), int(sys.argv[3]), image)
    serve(lambda command: timed(command, lambda: detector.predict(image)))
