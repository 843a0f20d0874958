"""A training to its first step as anyone writes it with ultralytics: the rival of the mesh in ``fast_start``.

``python -m benchmarks.yolo_first_step SETTINGS``, a JSON object. Writes a line of JSON with the time of the step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from ultralytics import YOLO


def train(settings: dict[str, Any]) -> None:
    def tell(trainer: Any) -> None:
        if not trainer.optimizer.state:
            return  # gradients of several batches make a step
        # Behind the end of the line that its progress bar has begun.
        print("\n" + json.dumps({"time": time.time()}), flush=True)
        os._exit(0)

    model = YOLO(f"{settings['model']}.yaml")
    model.add_callback("on_train_batch_end", tell)
    model.train(
        data=settings["data"],
        epochs=settings["epochs"],
        batch=settings["batch_size"],
        imgsz=settings["image_size"],
        lr0=settings["learning_rate"],
        seed=settings["seed"],
        project=settings["output"],
        device="cpu",
        workers=0,
        plots=False,
        amp=False,
    )


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
