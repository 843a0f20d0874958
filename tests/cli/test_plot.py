"""Curves of a job as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import CREATE, Command
from tests.cli.stand_in import StandIn
from tests.cli.test_curves import job, point
from visionmesh.cli.job_plot import figure
from visionmesh.cli.job_series import Metrics
from visionmesh.v1 import training_pb2


def curves(axes: Any) -> dict[str, list[float]]:
    """Values by label of what the legend names."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if line.get_label()[0] != "_"}


def test_a_picture_shows_losses_together_the_rate_apart_and_the_best() -> None:
    points = [point(1, 0.9, 0.5, val_loss=0.8), point(2, 0.5, 0.75, val_loss=0.6), point(3, 0.25, 0.5, val_loss=0.7)]
    named = job(experiment_name="flowers at $5 and $6", state="JOB_STATE_COMPLETED")
    drawing = figure(named, Metrics(named, points))
    loss, accuracy, rate = drawing.axes
    assert curves(loss) == {"training loss": [0.9, 0.5, 0.25], "validation loss": [0.8, 0.6, 0.7]}
    assert curves(accuracy) == {"accuracy": [0.5, 0.75, 0.5], "best: epoch 2, 0.75": [0.75]}
    assert curves(rate) == {"learning rate": [pytest.approx(0.1), pytest.approx(0.05), pytest.approx(0.1 / 3)]}
    assert [axes.get_ylabel() for axes in drawing.axes] == ["loss", "accuracy", "learning rate"]
    assert {axes.get_xlabel() for axes in drawing.axes} == {"epoch"}
    assert loss.get_legend() is not None and accuracy.get_legend() is not None and rate.get_legend() is None
    title, under = (text.get_text() for text in drawing.texts)
    assert title == "flowers at $5 and $6" and not drawing.texts[0].get_parse_math()
    for part in ("timm/resnet18", "job job_1", "COMPLETED", "3 of 10 epochs", "best accuracy 0.75 in epoch 2"):
        assert part in under


def test_a_job_of_objects_is_judged_by_its_own_metric() -> None:
    points = [event for event in (point(1, 0.9, **{"mAP50-95": 0.25}), point(2, 0.8, **{"mAP50-95": 0.5}))]
    for each in points:
        each.ClearField("learning_rate")
    detector = job(primary_metric="mAP50-95", primary_metric_mode=training_pb2.METRIC_MODE_MAX)
    loss, judged = figure(detector, Metrics(detector, points)).axes
    assert curves(loss) == {"training loss": [0.9, 0.8]}
    assert curves(judged) == {"mAP50-95": [0.25, 0.5], "best: epoch 2, 0.5": [0.5]}


def test_curves_of_a_job_are_saved(visionmesh: Command, tmp_path: Path) -> None:
    assert visionmesh(*CREATE, "--watch").code == 0
    done = visionmesh("jobs", "plot", "j1", "curves.png")
    assert done.code == 0, done.err
    assert "curves of 3 epochs saved in curves.png" in done.out
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.size == (1650, 990)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73), (0xCC, 0x79, 0xA7)} <= colours
    told = visionmesh("jobs", "plot", "j1", "curves.svg", "--json").document
    assert told == {"file": "curves.svg", "epochs": 3, "best_epoch": 1}
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
    for file in ("curves.gif", "curves", "missing/curves.png"):
        refused = visionmesh("jobs", "plot", "j1", file)
        assert refused.code == 2 and "curves" in refused.err
    assert visionmesh("jobs", "plot", "j9", "curves.png").code == 3


def test_a_watch_leaves_a_picture_behind(visionmesh: Command, tmp_path: Path, stand_in: StandIn) -> None:
    visionmesh(*CREATE, "--start")
    done = visionmesh("jobs", "watch", "j1", "--plot", "curves.png")
    assert done.code == 0 and "curves saved in curves.png" in done.err
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"
    in_json = visionmesh("jobs", "watch", "j1", "--json", "--after", "3", "--plot", "other.png")
    assert in_json.code == 0 and in_json.err == "" and len(in_json.lines) == 9
    assert (tmp_path / "other.png").stat().st_size > 10_000
    stand_in.training.events["j1"] = []
    assert "no metrics yet" in visionmesh("jobs", "plot", "j1", "none.png").err
    assert visionmesh("jobs", "plot", "j1", "none.png").code == 1
    assert not (tmp_path / "none.png").exists()


def test_without_matplotlib_it_says_what_to_install_before_it_waits(
    visionmesh: Command, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    visionmesh(*CREATE, "--start")
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what an import of a missing library comes to
    for arguments in (("jobs", "plot", "j1", "curves.png"), ("jobs", "watch", "j1", "--plot", "curves.png")):
        refused = visionmesh(*arguments)
        assert refused.code == 1 and "pip install 'visionmesh[plot]'" in refused.err
    assert stand_in.training.watches == []
    assert visionmesh("jobs", "watch", "j1").code == 0
