"""A training as ``yolo train`` does it: ``python -m benchmarks.yolo_script SETTINGS``, a JSON object.

It is ultralytics' own trainer with its own files, and knows nothing of VisionMesh. Prints JSON, a line when training
begins and one after each epoch and its validation; what ultralytics prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stdout
from typing import Any


def train(settings: dict[str, Any]) -> None:
    # ultralytics reads this when it is imported.
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_CONFIG_DIR=settings["output"])
    import torch
    from ultralytics import YOLO

    lines = sys.stdout

    def tell(**message: Any) -> None:
        lines.write(json.dumps({"time": time.time(), **message}) + "\n")
        lines.flush()

    def begin(trainer: Any) -> None:
        torch.set_num_threads(settings["threads"])  # on a CPU ultralytics leaves one processor free
        tell()

    with redirect_stdout(sys.stderr):
        model = YOLO(f"{settings['model']}.yaml")
        model.add_callback("on_train_start", begin)
        model.add_callback("on_fit_epoch_end", lambda trainer: tell(map50=float(trainer.metrics["metrics/mAP50(B)"])))
        model.train(**settings["arguments"])


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
