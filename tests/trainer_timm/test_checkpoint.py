"""Checkpoints are safetensors with documented JSON, whole or absent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tests.trainer_timm.helpers import Recorder, make_spec
from trainer.adapter import TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import (
    ModelDescription,
    TrainingState,
    load_model,
    load_training_state,
    take_snapshot,
)
from trainer_timm.transforms import Preprocessing
from trainer_torch.checkpoint_files import write_checkpoint

PREPROCESSING = Preprocessing(32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "bilinear", 0.95, "center")


def metadata(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        content: dict[str, Any] = json.loads(file.metadata()["visionmesh"])
        return content


def save(folder: Path, epoch: int = 1, weight: float = 1.0) -> Path:
    description = ModelDescription("test_resnet", ("a", "b"), PREPROCESSING, epoch, {"accuracy": 0.5}, {"timm": "1"})
    # A view that is not contiguous and a tensor that shares its memory: safetensors would refuse both.
    matrix = torch.full((2, 3), weight)
    state = TrainingState(
        optimizer={
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": matrix.T}, 2: {"count": 4}},
            "param_groups": [{"lr": 0.1, "params": [0, 1, 2]}],
        },
        epoch=epoch,
        updates=10,
        best_metric=0.5,
    )
    return write_checkpoint(folder, take_snapshot(description, {"weight": matrix, "transposed": matrix.T}, state))


def test_a_checkpoint_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = save(tmp_path)
    assert folder == tmp_path / "epoch-0001"
    description, weights = load_model(folder)
    assert description.class_names == ("a", "b")
    assert description.preprocessing == PREPROCESSING
    assert torch.equal(weights["transposed"], torch.ones(3, 2))
    state = load_training_state(folder)
    assert (state.epoch, state.updates, state.best_metric) == (1, 10, 0.5)
    assert state.optimizer["param_groups"] == [{"lr": 0.1, "params": [0, 1, 2]}]
    assert state.optimizer["state"][2] == {"count": 4}
    assert torch.equal(state.optimizer["state"][0]["exp_avg"], torch.ones(3, 2))
    assert state.optimizer["state"][0]["step"] == torch.tensor(3.0)


def test_the_metadata_of_a_training_is_what_the_documentation_says(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec(epochs=1), textures, tmp_path, recorder)
    epoch, folder, _, metrics = recorder.checkpoints[0]
    assert sorted(path.name for path in folder.iterdir()) == ["training_state.safetensors", "weights.safetensors"]
    content = metadata(folder / "weights.safetensors")
    assert content.pop("versions")["timm"] == TimmAdapter().versions()["timm"]
    assert content == {
        "framework": "timm",
        "model_name": "test_resnet",
        "task_type": "IMAGE_CLASSIFICATION",
        "class_names": ["a", "b", "c"],
        "preprocessing": {
            "image_size": 32,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bilinear",
            "crop_pct": 0.95,
            "crop_mode": "center",
        },
        "epoch": epoch,
        "metrics": metrics,
    }
    state = metadata(folder / "training_state.safetensors")
    assert set(state) == {"optimizer", "epoch", "updates", "best_metric", "scheduler", "early_stopping"}
    assert (state["epoch"], state["updates"], state["best_metric"]) == (1, 2, metrics["accuracy"])


def test_an_epoch_told_again_replaces_the_first_telling(tmp_path: Path) -> None:
    save(tmp_path, weight=1.0)
    folder = save(tmp_path, weight=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001"]
    assert torch.equal(load_model(folder)[1]["weight"], torch.full((2, 3), 2.0))


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_cleared(tmp_path: Path) -> None:
    partial = tmp_path / ".epoch-0001.partial"
    partial.mkdir()
    (partial / "weights.safetensors").write_bytes(b"torn")
    assert list(tmp_path.glob("epoch-*")) == []
    assert load_model(save(tmp_path))[0].epoch == 1
    assert not partial.exists()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TimmAdapter().load_predictor(tmp_path, 1)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"torn")
    with pytest.raises(SafetensorError):
        TimmAdapter().load_predictor(tmp_path, 1)
    save_file({"weight": torch.ones(1)}, weights)
    with pytest.raises(SafetensorError, match="no metadata named visionmesh"):
        TimmAdapter().load_predictor(tmp_path, 1)
    save_file({"weight": torch.ones(1)}, weights, metadata={"visionmesh": json.dumps({"framework": "yolo"})})
    with pytest.raises(SafetensorError, match="made by yolo"):
        TimmAdapter().load_predictor(tmp_path, 1)


def test_the_page_of_the_documentation_names_every_key(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    page = page.partition("## What the timm trainer writes")[2].partition("\n## ")[0]
    told = {row[0]: row[-1] for row in re.findall(r"^\| `([\w.]+)` \|([^|]+)\|([^|]+)\|$", page, re.MULTILINE)}
    folder = save(tmp_path)
    written = {path.name: set(metadata(path)) for path in folder.iterdir()}
    assert {name: set(re.findall(r"`(\w+)`", keys)) for name, keys in told.items()} == written
