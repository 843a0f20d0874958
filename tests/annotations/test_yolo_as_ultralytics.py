"""Label files with all that is odd and allowed: our reader sees in them what ultralytics sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotations.formats.yolo import read_yolo
from tests.annotations.dataset_folder import HEIGHT, IMAGE, WIDTH, make_dataset, read
from tests.annotations.ultralytics_reader import read_with_ultralytics

LABELS = {
    "detect": "\ufeff0 0.5 0.5 0.5 0.5\r\n\r\n 1.0\t.25 5e-1 0.1 1\n"
    "0 0.5 0.5 0.5 0.5\n1 0.995 -0.005 0.1 0.2\n0 0.9 0.9 0.4 0.4\n",
    "segment": "0 0.1 0.1 0.9 0.1 0.5 0.9\n1 0.1 0.2 0.9 0.2 0.9 0.8 0.1 0.8\n"
    "0 0.1 0.1 0.9 0.1 0.5 0.9\n0 0.5 0.5 1.02 0.5 0.7 0.7\n",
    "pose": "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.75 0.5 1\n1 0.5 0.5 0.2 0.2 0 0 0 0.5 0.5 2\n",
    "obb": "0 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5\n1 0.9 0.4 1.1 0.5 1.0 0.9 0.8 0.8\n",
}
MORE = {"pose": "kpt_shape: [2, 3]\nflip_idx: [1, 0]\n", "segment": "task: segment\n"}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset for each task: an image with these labels, one with none and one without a label file."""
    return {
        task: make_dataset(
            tmp_path_factory.mktemp(task) / "data",
            {
                "data.yaml": f"train: images/train\nval: images/val\nnames: {{0: cat, 1: dog}}\n{MORE.get(task, '')}",
                "images/train/1.jpg": IMAGE,
                "labels/train/1.txt": lines,
                "images/train/2.jpg": IMAGE,
                "labels/train/2.txt": "",
                "images/train/3.jpg": IMAGE,
                "images/val/1.jpg": IMAGE,
                "labels/val/1.txt": lines,
            },
        )
        for task, lines in LABELS.items()
    }


@pytest.fixture(scope="module")
def as_ultralytics(datasets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ultralytics reads of them."""
    yamls = {task: folder / "data.yaml" for task, folder in datasets.items()}
    return read_with_ultralytics(yamls, tmp_path_factory.mktemp("config"))


@pytest.mark.parametrize("task", LABELS)
def test_both_read_the_same(task: str, datasets: dict[str, Path], as_ultralytics: dict[str, Any]) -> None:
    found = read(read_yolo, datasets[task])

    for split in ("train", "val"):
        theirs = as_ultralytics[task]["splits"][split]["images"]
        ours = {path: image for path, image in found.images.items() if image.split == split}
        assert {Path(file).name for file in theirs} == {Path(path).name for path in ours}
        for file, label in theirs.items():
            image = ours[f"images/{split}/{Path(file).name}"]
            boxes = sorted(
                [
                    category,
                    max((x - w / 2) * WIDTH, 0),
                    max((y - h / 2) * HEIGHT, 0),
                    min((x + w / 2) * WIDTH, WIDTH),
                    min((y + h / 2) * HEIGHT, HEIGHT),
                ]
                for category, x, y, w, h in label["boxes"]
            )
            mine = sorted(
                [each.category_id, each.box.x_min, each.box.y_min, each.box.x_max, each.box.y_max]
                for each in image.objects
            )
            assert len(mine) == len(boxes)
            assert all(one == pytest.approx(other, abs=0.01) for one, other in zip(mine, boxes, strict=True))
            assert len(label["segments"]) == sum(bool(each.polygons or each.rotated_box) for each in image.objects)
            seen = [[int(point.visibility) for point in each.keypoints] for each in image.objects if each.keypoints]
            assert sorted(seen) == sorted([int(point[2]) for point in points] for points in label["keypoints"] or ())
