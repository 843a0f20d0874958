"""The command as a whole, from its arguments to stdout, stderr and exit code, against a stand-in gateway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import CREATE, Command
from tests.cli.refusing import TOKEN
from tests.cli.stand_in import MODELS, StandIn


def test_frameworks_shows_what_is_out_of_reach_on_stderr(visionmesh: Command) -> None:
    done = visionmesh("frameworks")
    assert done.code == 0
    assert "timm" in done.out and "image_classification" in done.out
    assert "warning: yolo at 127.0.0.1:9: connection refused" in done.err


def test_json_has_names_of_enums_and_snake_case(visionmesh: Command) -> None:
    framework = visionmesh("frameworks", "--json").document["frameworks"][0]
    assert framework["task_types"] == ["TASK_TYPE_IMAGE_CLASSIFICATION"]
    assert framework["free_slots"] == 2
    assert framework["unavailable_reason"] == ""


def test_models_are_all_listed_or_limited(visionmesh: Command) -> None:
    assert len(visionmesh("models", "--json").document["models"]) == MODELS
    assert [item["model_name"] for item in visionmesh("--json", "models", "--limit", "1").document["models"]] == [
        "model_0000"
    ]
    done = visionmesh("models", "--text", "0042")
    assert "model_0042" in done.out and "model_0043" not in done.out


def test_schema_shows_settings_and_presets(visionmesh: Command) -> None:
    done = visionmesh("schema", "timm")
    assert "optimizer.type" in done.out and "adamw, sgd" in done.out
    assert "number, 0 to 0.999" in done.out and "(with optimizer.type=sgd)" in done.out


def test_predict_reports_an_unreadable_image_and_goes_on(visionmesh: Command, folder: Path) -> None:
    bad, good = folder / "bad.png", folder / "dog" / "0.png"
    bad.write_bytes(b"no image")
    done = visionmesh("predict", "j1", str(bad), str(good), "--top-k", "1", "--json")
    assert done.code == 2
    assert done.error["reason"] == "IMAGE_UNREADABLE" and done.error["image"] == str(bad)
    assert [(line["image"], len(line["classifications"])) for line in done.lines] == [(str(good), 1)]
    text = visionmesh("predict", "j1", str(good))
    assert "cat" in text.out and "0.7500" in text.out


def test_predict_takes_folders_and_answers_in_order(visionmesh: Command, folder: Path) -> None:
    images = sorted(str(path) for path in folder.rglob("*.png"))
    (folder / "notes.txt").write_text("no image")
    done = visionmesh("predict", "j1", str(folder), images[-1], "--json")
    assert done.code == 0
    assert [line["image"] for line in done.lines] == [*images, images[-1]]
    empty = folder / "empty"
    empty.mkdir()
    assert visionmesh("predict", "j1", str(empty)).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("jobs", "show", "nothing"), 3, "JOB_NOT_FOUND"),
        (("schema", "nothing"), 3, "FRAMEWORK_NOT_FOUND"),
        (("frameworks", "--token", "wrong"), 4, "TOKEN_INVALID"),
        (("frameworks", "--token-file", "/nowhere/token"), 4, "TOKEN_MISSING"),
        (("frameworks", "--address", "127.0.0.1:1"), 5, "UNAVAILABLE"),
        (("predict", "j1", "/nowhere.png"), 2, "USAGE"),
        (("jobs", "list", "--state", "asleep"), 2, "USAGE"),
        (("jobs", "create", "--epochs", "many"), 2, "USAGE"),
        (("nothing",), 2, "USAGE"),
    ],
)
def test_errors_have_their_exit_code(visionmesh: Command, arguments: tuple[str, ...], code: int, reason: str) -> None:
    told = visionmesh(*arguments, "--json")
    assert (told.code, told.error["reason"], told.out) == (code, reason, "")
    text = visionmesh(*arguments)
    assert text.code == code
    assert text.out == "" and "Traceback" not in text.err


def test_token_comes_from_the_nearest_place(
    visionmesh: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VISIONMESH_TOKEN")
    missing = visionmesh("frameworks")
    assert missing.code == 4 and "visionmesh-data/token" in missing.err
    (tmp_path / "visionmesh-data").mkdir()
    (tmp_path / "visionmesh-data" / "token").write_text(TOKEN + "\n")
    assert visionmesh("frameworks").code == 0
    (tmp_path / "wrong").write_text("wrong")
    monkeypatch.setenv("VISIONMESH_TOKEN_FILE", str(tmp_path / "wrong"))
    assert visionmesh("frameworks").code == 4
    assert visionmesh("--token", TOKEN, "frameworks").code == 0
    assert visionmesh("--token", TOKEN, "frameworks", "--token-file", str(tmp_path / "wrong")).code == 4


def test_version_names_the_contract(visionmesh: Command) -> None:
    assert visionmesh("version", "--json").document["contract"] == "visionmesh.v1"


def test_every_command_has_help_with_examples(visionmesh: Command) -> None:
    for group in (["up"], ["frameworks"], ["models"], ["schema"], ["predict"], ["version"], ["jobs", "create"]):
        done = visionmesh(*group, "--help")
        assert done.code == 0
        assert "Examples:" in done.out and "--json" in done.out
    assert "Exit codes" in visionmesh("--help").out


def test_ctrl_c_leaves_a_watch_with_130_and_no_traceback(
    visionmesh: Command, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.training.hang = True
    visionmesh(*CREATE, "--start")
    output = tmp_path / "out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "visionmesh.cli.main", "jobs", "watch", "j1"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background has its children ignore the signal.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
        )
        deadline = time.monotonic() + 60
        while "epoch 3/3" not in output.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    stand_in.training.hang = False
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "visionmesh jobs watch j1" in err


def test_reader_that_goes_away_ends_the_command_quietly(visionmesh: Command) -> None:
    command = f"{sys.executable} -m visionmesh.cli.main models --json | head -c 20"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.startswith('{"models"')
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
