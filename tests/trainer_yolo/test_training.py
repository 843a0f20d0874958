"""What a training tells, how it is stopped and how it ends; and that ultralytics stays within its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_yolo.helpers import CLASS_NAMES, Recorder, make_spec, matrix_of
from trainer.adapter import TrainingDataset, TrainingDiverged
from trainer.runs.failures import failure_of
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.names import CLASSIFICATION, DETECTION, POSE, PRIMARY_METRICS, SEGMENTATION, TASKS
from trainer_yolo.run_trainer import RunTrainer
from trainer_yolo.training import Run
from visionmesh.mesh.v1 import run_pb2

DatasetOf = Callable[[str], TrainingDataset]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("task_type", TASKS)
def test_a_training_tells_its_beginning_its_steps_its_epochs_and_its_checkpoints(
    task_type: str, dataset_of: DatasetOf, tmp_path: Path
) -> None:
    recorder = Recorder()
    assert YoloAdapter().train(make_spec(task_type), dataset_of(task_type), tmp_path, recorder)

    assert recorder.beginnings == [(2, 1, 3, "cuda" if torch.cuda.is_available() else "cpu")]
    last_steps = [step[:3] for step in recorder.steps if step[1] == step[2]]
    assert last_steps == [(1, 3, 3), (2, 3, 3)]
    assert all(loss > 0 and speed > 0 for *_, loss, speed in recorder.steps)
    assert [epoch.epoch for epoch in recorder.epochs] == [1, 2]
    assert [epoch.step for epoch in recorder.epochs] == [3, 6]
    measured = set(PRIMARY_METRICS[task_type])
    for epoch, (number, summary), checkpoint in zip(
        recorder.epochs, recorder.validations, recorder.checkpoints, strict=True
    ):
        assert number == checkpoint[0] == epoch.epoch
        metrics = summary["metrics"]
        assert isinstance(metrics, dict) and measured <= set(metrics) <= {*checkpoint[3]}
        assert measured <= {*epoch.extra, "accuracy"}
        assert epoch.learning_rate == epoch.extra["learning_rate_weight"] > 0
        assert epoch.extra["samples_per_second"] > 0
        assert (epoch.accuracy is None) == (task_type != CLASSIFICATION)
        scores: Any = summary["per_class"]
        assert [score["label"] for score in scores] == list(CLASS_NAMES)
        assert sum(score["support"] for score in scores) == 6
        matrix: Any = summary["confusion_matrix"]
        # Every truth is in its row: taken for a class, or missed.
        assert [sum(row) for row in matrix][:2] == [score["support"] for score in scores]
        assert len(matrix) == len(matrix[0]) == (2 if task_type == CLASSIFICATION else 3)
        images: Any = summary["images"]
        assert task_type == CLASSIFICATION or matrix_of(images, 2) == matrix
        assert all(("ap50" in score and "ap50_95" in score) == (task_type != CLASSIFICATION) for score in scores)
    assert "box_mAP50-95" in recorder.checkpoints[0][3] if task_type in (SEGMENTATION, POSE) else True


def test_what_a_classifier_says_of_each_image_goes_with_the_validation(dataset_of: DatasetOf, tmp_path: Path) -> None:
    recorder, dataset = Recorder(), dataset_of(CLASSIFICATION)
    assert YoloAdapter().train(make_spec(CLASSIFICATION, epochs=1), dataset, tmp_path, recorder)
    summary: Any = recorder.validations[0][1]
    assert [(image["path"], image["label_id"]) for image in summary["images"]] == [
        (sample.path, sample.label_id) for sample in dataset.split("val")
    ]
    right = [image["predictions"][0][0] == image["label_id"] for image in summary["images"]]
    assert recorder.epochs[0].accuracy == pytest.approx(sum(right) / len(right))
    assert summary["metrics"]["val_loss"] == pytest.approx(sum(image["loss"] for image in summary["images"]) / 6)
    assert [sum(row) for row in summary["confusion_matrix"]] == [3, 3]


@pytest.mark.parametrize("asked", [1, 2, 4])
def test_a_stop_ends_the_training_at_the_next_batch(asked: int, dataset_of: DatasetOf, tmp_path: Path) -> None:
    recorder = Recorder(stop_at=asked)
    assert not YoloAdapter().train(make_spec(), dataset_of(DETECTION), tmp_path, recorder)
    # The fourth is asked in the validation of the first epoch.
    assert recorder.asked == asked and not recorder.checkpoints


def test_the_best_is_told_by_the_primary_metric(dataset_of: DatasetOf, tmp_path: Path) -> None:
    highest, lowest = Recorder(), Recorder()
    for mode, recorder in (("max", highest), ("min", lowest)):
        spec = make_spec(DETECTION, epochs=3, primary_metric="loss", primary_metric_mode=mode)
        assert YoloAdapter().train(spec, dataset_of(DETECTION), tmp_path / mode, recorder)
    losses = [epoch.loss for epoch in highest.epochs]
    assert losses == [epoch.loss for epoch in lowest.epochs]
    assert [best for _, _, best, _ in highest.checkpoints] == [
        loss == max(losses[: at + 1]) for at, loss in enumerate(losses)
    ]
    assert [best for _, _, best, _ in lowest.checkpoints] == [
        loss == min(losses[: at + 1]) for at, loss in enumerate(losses)
    ]


def test_early_stopping_says_why_and_a_resume_from_its_end_trains_nothing(
    dataset_of: DatasetOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "fitness", lambda self, trainer, results: 1.0)
    config: dict[str, Any] = {"early_stopping.patience": 1}
    recorder, again = Recorder(), Recorder()
    spec = make_spec(DETECTION, config, epochs=5)
    assert YoloAdapter().train(spec, dataset_of(DETECTION), tmp_path / "a", recorder)
    assert [item[0] for item in recorder.checkpoints] == [1, 2]
    assert any("Stopped early after epoch 2" in line for _, line in recorder.lines)
    spec = make_spec(DETECTION, config, epochs=5, resume_from=recorder.checkpoints[-1][1])
    assert YoloAdapter().train(spec, dataset_of(DETECTION), tmp_path / "b", again)
    assert not again.epochs


def test_a_loss_that_is_not_finite_ends_the_training(
    dataset_of: DatasetOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = RunTrainer.preprocess_batch

    def poison(self: RunTrainer, batch: Any) -> Any:
        batch = prepare(self, batch)
        if self.epoch == 1:
            batch["img"] = batch["img"] * float("nan")
        return batch

    monkeypatch.setattr(RunTrainer, "preprocess_batch", poison)
    recorder = Recorder()
    with pytest.raises(TrainingDiverged, match="epoch 2; try a lower learning rate"):
        YoloAdapter().train(make_spec(epochs=3), dataset_of(DETECTION), tmp_path, recorder)
    assert [item[0] for item in recorder.checkpoints] == [1]


def test_a_batch_that_does_not_fit_is_an_error_and_not_a_smaller_batch(
    dataset_of: DatasetOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunTrainer, batch: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(RunTrainer, "preprocess_batch", full)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        YoloAdapter().train(make_spec(), dataset_of(DETECTION), tmp_path, Recorder())
    assert failure_of(caught.value, run_pb2.RunSpec()).reason == "OUT_OF_MEMORY"


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_computes_on_as_many_threads_as_the_run_has(
    threads: int, dataset_of: DatasetOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    step = RunTrainer.optimizer_step

    def look(self: RunTrainer) -> None:
        seen.add(torch.get_num_threads())
        step(self)

    monkeypatch.setattr(RunTrainer, "optimizer_step", look)
    spec = replace(make_spec(CLASSIFICATION, epochs=1), threads=threads)
    assert YoloAdapter().train(spec, dataset_of(CLASSIFICATION), tmp_path, Recorder())
    assert seen == {threads}


def test_a_training_looks_nothing_up_says_nothing_and_writes_into_its_folder_alone(tmp_path: Path) -> None:
    home, run, work = tmp_path / "home", tmp_path / "run", tmp_path / "work"
    for folder in (home, run, work):
        folder.mkdir()
    code = f"""
import socket
from pathlib import Path

def refuse(*arguments, **options):
    raise AssertionError(f"looked up {{arguments}}")

socket.getaddrinfo = socket.create_connection = refuse
from tests.trainer_yolo.helpers import Recorder, make_spec, write_dataset
from trainer_yolo.adapter import YoloAdapter
dataset = write_dataset(Path({str(tmp_path / "data")!r}), "OBJECT_DETECTION")
before = {{path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()}}
spec = make_spec(model_name="yolo11n", image_size=32, epochs=1)
recorder = Recorder()
assert YoloAdapter().train(spec, dataset, Path({str(run)!r}), recorder)
assert {{path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()}} == before
assert recorder.epochs and not recorder.lines, recorder.lines
"""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("YOLO_", "XDG_", "MPL"))},
        "HOME": str(home),
        "TMPDIR": str(tmp_path / "work"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert not list(home.iterdir())
    # The folder that a server would use is made, and nothing is in it.
    assert not [path for path in work.rglob("*") if path.is_file()]
    assert (run / "ultralytics" / "Ultralytics" / "settings.json").is_file()
