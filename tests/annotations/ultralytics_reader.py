"""Reads datasets as ultralytics does, in a process of its own: ``python ultralytics_reader.py TASK DATA_YAML …``.

Prints a JSON object for each pair: the splits, of each image file its boxes (class, x, y, w, h as shares), segments and
keypoints, and what ultralytics found wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_with_ultralytics(datasets: Mapping[str, Path], config_folder: Path) -> dict[str, Any]:
    """What ultralytics reads, by task, of a ``data.yaml`` for each."""
    settings = config_folder / "Ultralytics"
    settings.mkdir(parents=True)
    offline = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0", "YOLO_CONFIG_DIR": str(config_folder)}
    arguments = [str(part) for pair in datasets.items() for part in pair]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | offline | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(arguments: list[str]) -> None:
    import matplotlib

    # Ultralytics downloads these where they are not; what they look like matters to no label.
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        shutil.copy(font, Path(os.environ["YOLO_CONFIG_DIR"]) / "Ultralytics" / name)

    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset, load_dataset_cache_file

    found = {}
    for task, path in zip(arguments[::2], arguments[1::2], strict=True):
        data = check_det_dataset(path)
        splits = {}
        for split in ("train", "val"):
            dataset = YOLODataset(img_path=data[split], data=data, task=task, augment=False, imgsz=64)
            cache = load_dataset_cache_file(Path(dataset.label_files[0]).parent.with_suffix(".cache"))
            splits[split] = {
                "images": {label["im_file"]: _plain(label) for label in dataset.labels},
                "wrong": cache["msgs"],
            }
        found[task] = {"splits": splits, "names": data["names"]}
    print(json.dumps(found))


def _plain(label: dict[str, Any]) -> dict[str, Any]:
    keypoints = label["keypoints"]
    return {
        "boxes": [[int(cls[0]), *map(float, box)] for cls, box in zip(label["cls"], label["bboxes"], strict=True)],
        "segments": [segment.ravel().tolist() for segment in label["segments"]],
        "keypoints": None if keypoints is None else keypoints.tolist(),
        "shape": list(label["shape"]),
    }


if __name__ == "__main__":
    _main(sys.argv[1:])
