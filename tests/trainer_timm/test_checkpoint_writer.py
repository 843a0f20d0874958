"""Checkpoints that are written while the training goes on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.adapter import TrainingDiverged
from trainer_timm.checkpoint import ModelDescription, TrainingState, load_model, take_snapshot
from trainer_timm.transforms import Preprocessing
from trainer_torch.checkpoint_files import Snapshot
from trainer_torch.checkpoint_writer import CheckpointWriter

PREPROCESSING = Preprocessing(32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "bilinear", 0.95, "center")
DESCRIPTION = ModelDescription("test_resnet", ("a", "b"), PREPROCESSING, 1, {"accuracy": 0.5}, {"timm": "1"})


def snapshot_of(weight: torch.Tensor) -> Snapshot:
    optimizer: dict[str, Any] = {"state": {}, "param_groups": []}
    return take_snapshot(DESCRIPTION, {"weight": weight}, TrainingState(optimizer, 1, 1, 0.5))


def test_a_checkpoint_holds_the_weights_of_its_moment(tmp_path: Path) -> None:
    weight, told = torch.ones(3), list[Path]()
    with CheckpointWriter(tmp_path) as writer:
        writer.write(snapshot_of(weight), told.append)
        weight.zero_()

    [folder] = told
    assert load_model(folder)[1]["weight"].tolist() == [1, 1, 1]


def test_the_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    may_end = threading.Event()
    told: list[str] = []

    def tell(folder: Path) -> None:
        may_end.wait(30)
        told.append(folder.name)

    with CheckpointWriter(tmp_path) as writer:
        writer.write(snapshot_of(torch.ones(1)), tell)
        assert told == []  # and yet we are here
        may_end.set()
        writer.wait()
        assert told == ["epoch-0001"]


def test_what_keeps_a_checkpoint_from_being_written_ends_the_training(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("where a folder should be")
    with pytest.raises(OSError, match="a file"), CheckpointWriter(tmp_path / "a file") as writer:
        writer.write(snapshot_of(torch.ones(1)), lambda folder: None)
        writer.wait()


def test_what_ended_the_training_is_told_before_what_befell_its_last_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("where a folder should be")
    with pytest.raises(TrainingDiverged) as caught, CheckpointWriter(tmp_path / "a file") as writer:
        writer.write(snapshot_of(torch.ones(1)), lambda folder: None)
        raise TrainingDiverged("The loss became NaN.")
    assert "last checkpoint" in caught.value.__notes__[0]
