"""The command from its arguments to stdout, stderr and exit code, against a stand-in gateway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.refusing import TOKEN
from tests.cli.stand_in import MODELS, StandIn
from visionmesh.cli import job_queue
from visionmesh.v1 import common_pb2, dataset_pb2, job_state_pb2, training_pb2

CREATE = ("jobs", "create", "--framework", "timm", "--model", "resnet18", "--dataset", "d1", "--epochs", "3")


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


def test_upload_reports_the_dataset_and_what_was_skipped(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    done = visionmesh("datasets", "upload", str(folder), "--tag", "a", "--tag", "b", "--format", "dice")
    assert done.code == 0, done.err
    assert "READY" in done.out and "d1" in done.out
    assert "skipped 3 hidden: .DS_Store, .git/, cat/Thumbs.db" in done.err
    assert "uploaded 6 files" in done.err
    spec = stand_in.datasets.specs["d1"]
    assert (spec.format, list(spec.tags)) == (dataset_pb2.DATASET_FORMAT_DICE, ["a", "b"])


def test_upload_in_json_is_one_document(visionmesh: Command, folder: Path) -> None:
    done = visionmesh("datasets", "upload", str(folder), "--json")
    assert done.document["dataset"]["state"] == "DATASET_STATE_READY"
    assert done.document["dataset"]["total_size_bytes"].isdigit()
    assert done.document["skipped"] == [".DS_Store", ".git/", "cat/Thumbs.db"]
    assert done.err == ""


def test_upload_that_cannot_be_trained_on_fails(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    stand_in.datasets.broken_image = True
    done = visionmesh("datasets", "upload", str(folder))
    assert done.code == 1
    assert "DATASET_NOT_TRAINABLE: One class only." in done.out
    assert "broken_image" in done.out and "cat/1.png" in done.out


def test_interrupted_upload_says_how_to_go_on(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    found = visionmesh("datasets", "upload", str(folder), "--no-wait")
    assert found.code == 0
    del stand_in.datasets.files["d1"]["cat/2.png"]
    (folder / "cat" / "1.png").write_bytes(b"another")
    refused = visionmesh("datasets", "upload", str(folder), "--resume", "d1")
    assert refused.code == 2
    assert "cat/1.png has changed since it was uploaded" in refused.err
    assert f"visionmesh datasets upload {folder} --resume d1" in refused.err


def test_upload_takes_an_archive_and_detects_the_format(visionmesh: Command, stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"packed")
    done = visionmesh("datasets", "upload", "pets.zip", "--streams", "2")
    assert done.code == 0, done.err
    assert "uploaded pets.zip, 6 B" in done.err
    assert stand_in.datasets.unpacked == ["pets.zip"]
    assert stand_in.datasets.specs["d1"].format == dataset_pb2.DATASET_FORMAT_UNSPECIFIED


def test_upload_that_is_given_up_says_why_and_how_to_go_on(
    visionmesh: Command, stand_in: StandIn, folder: Path
) -> None:
    stand_in.datasets.broken = True
    done = visionmesh("datasets", "upload", str(folder), "--give-up-after", "0.3")
    assert done.code == 5
    assert "SHUTTING_DOWN: The server is draining.; going on in" in done.err
    assert "given up after 0.3 s in which nothing got through" in done.err
    assert f"visionmesh datasets upload {folder} --resume d1" in done.err
    stand_in.datasets.broken = False
    assert visionmesh("datasets", "upload", str(folder), "--resume", "d1").code == 0


def test_datasets_are_listed_shown_and_deleted(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    visionmesh("datasets", "upload", str(folder))
    assert "pets" in visionmesh("datasets", "list", "--state", "ready").out
    assert "no datasets" in visionmesh("datasets", "list", "--state", "failed").out
    assert visionmesh("datasets", "show", "d1", "--json").document["dataset"]["file_count"] == 6
    assert visionmesh("datasets", "delete", "d1", "--yes").out == "deleted d1\n"
    assert stand_in.datasets.datasets == {}


def test_a_dataset_is_shown_with_its_statistics(visionmesh: Command, stand_in: StandIn, folder: Path) -> None:
    visionmesh("datasets", "upload", str(folder))
    dataset = stand_in.datasets.datasets["d1"]
    del dataset.class_names[:]
    dataset.MergeFrom(
        dataset_pb2.Dataset(
            format=dataset_pb2.DATASET_FORMAT_YOLO,
            format_detected_from="data.yaml names the folders of its splits",
            class_names=["cat", *(f"class {number}" for number in range(24))],
            class_distribution={"train": dataset_pb2.ClassDistribution(images={"cat": 31})},
            task_types=[common_pb2.TASK_TYPE_OBJECT_DETECTION],
            object_count=47,
        )
    )
    stand_in.datasets.statistics["d1"] = dataset_pb2.DatasetStatistics(
        images={"train": 33, "val": 8},
        images_without_objects={"train": 2},
        objects={"train": dataset_pb2.ObjectDistribution(objects={"cat": 40})},
        objects_per_image=dataset_pb2.Histogram(lower_bounds=[0, 1, 2, 3], counts=[2, 30, 9, 0]),
        relative_box_sizes=dataset_pb2.Histogram(lower_bounds=[0, 0.5], counts=[1, 46]),
    )
    lines = [line.split() for line in visionmesh("datasets", "show", "d1").out.splitlines()]
    assert "detected: data.yaml names the folders" in " ".join(next(line for line in lines if line[:1] == ["format"]))
    assert ["tasks", "OBJECT_DETECTION"] in lines and ["objects", "47"] in lines
    assert ["class", "train", "val"] in lines
    assert ["cat", "40", "in", "31", "0", "in", "0"] in lines
    assert ["(no", "objects)", "2", "0"] in lines and ["images", "33", "8"] in lines
    assert ["class", "18", "0", "in", "0", "0", "in", "0"] in lines
    assert ["and", "5", "more", "classes;", "--json", "lists", "all"] in lines
    bars = {" ".join(line[:-2]): (line[-2], len(line[-1])) for line in lines if line and set(line[-1]) == {"█"}}
    assert bars == {
        "0": ("2", 2),
        "1": ("30", 24),
        "2": ("9", 7),
        "0 to 0.5": ("1", 1),
        "from 0.5": ("46", 24),
    }
    document = visionmesh("datasets", "show", "d1", "--json").document
    assert document["statistics"]["images"] == {"train": 33, "val": 8}


def test_job_settings_come_from_preset_and_pairs(visionmesh: Command, stand_in: StandIn) -> None:
    pairs = ["optimizer.momentum=0.95", "augmentation.auto_augment=none", "flag=true", "text=NaN", "mean=[0.5,1]"]
    given = [part for pair in pairs for part in ("--set", pair)]
    done = visionmesh(*CREATE, "--preset", "standard", "--learning-rate", "0.004", *given, "--json")
    assert done.code == 0, done.err
    assert dict(stand_in.training.specs[0].advanced_config.items())["optimizer.type"] == "sgd"
    assert done.document["advanced_config"] == {
        "optimizer.type": "sgd",
        "optimizer.momentum": 0.95,
        "augmentation.auto_augment": "none",
        "flag": True,
        "text": "NaN",
        "mean": [0.5, 1.0],
    }
    assert stand_in.training.specs[0].learning_rate == 0.004


def test_unset_learning_rate_is_left_to_the_server(visionmesh: Command, stand_in: StandIn) -> None:
    assert visionmesh(*CREATE).code == 0
    assert not stand_in.training.specs[0].HasField("learning_rate")
    assert not stand_in.training.specs[0].HasField("advanced_config")


def test_check_creates_nothing(visionmesh: Command, stand_in: StandIn) -> None:
    assert visionmesh(*CREATE, "--check").out == "the job is right; nothing was created\n"
    assert stand_in.training.jobs == {}


def test_unknown_preset_names_those_there_are(visionmesh: Command) -> None:
    done = visionmesh(*CREATE, "--preset", "best")
    assert done.code == 2
    assert "basic, standard" in done.err


def test_job_is_created_started_and_watched(visionmesh: Command) -> None:
    done = visionmesh(*CREATE, "--start", "--watch")
    assert done.code == 0, done.err
    assert "job j1 created: PENDING" in done.out and "job j1 started: QUEUED" in done.out
    assert "epoch 3/3  loss 0.3333  accuracy 0.9000  lr 0.004  val_loss 0.5" in done.out
    assert "job j1 COMPLETED  best accuracy 0.9750" in done.out.splitlines()[-1]


def test_watch_outlives_a_broken_connection(visionmesh: Command, stand_in: StandIn) -> None:
    stand_in.training.break_every = 4
    visionmesh(*CREATE, "--start")
    done = visionmesh("jobs", "watch", "j1")
    assert done.code == 0
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert done.err.count("connection lost (The server is draining.)") == 2


def test_watch_in_json_is_an_event_per_line(visionmesh: Command) -> None:
    visionmesh(*CREATE, "--start")
    events = visionmesh("jobs", "watch", "j1", "--json").lines
    assert [event["sequence"] for event in events] == [str(number) for number in range(1, 13)]
    assert events[-1]["state_change"]["to_state"] == "JOB_STATE_COMPLETED"
    assert [event["sequence"] for event in visionmesh("jobs", "watch", "j1", "--json", "--after", "10").lines] == [
        "11",
        "12",
    ]


def test_watch_of_a_failed_job_exits_with_1(visionmesh: Command, stand_in: StandIn) -> None:
    stand_in.training.outcome = job_state_pb2.JOB_STATE_FAILED
    done = visionmesh(*CREATE, "--watch")
    assert done.code == 1
    assert "FAILED: TRAINING_DIVERGED: The loss became NaN." in done.out
    again = visionmesh("jobs", "watch", "j1")
    assert again.code == 1
    assert "3/3" in again.out


def test_a_restarted_job_tells_its_attempts(visionmesh: Command, stand_in: StandIn) -> None:
    stand_in.training.restarts = True
    watched = visionmesh(*CREATE, "--max-restarts", "2", "--no-progress-seconds", "60", "--watch")
    assert watched.code == 0, watched.err
    told = [line for line in watched.out.splitlines() if "attempt" in line or "restart" in line]
    assert told[0] == "attempt 1 failed: TRAINING_PROCESS_KILLED: The training process was ended by SIGKILL."
    assert told[1].startswith("restart at 2027-01-15") and told[1].endswith("1 left after it")
    assert told[2] == "attempt 2 begins"
    assert watched.out.splitlines()[-1].endswith("restarts 1 of 2")
    spec = stand_in.training.specs[0]
    assert (spec.max_restarts, spec.no_progress_seconds) == (2, 60)
    # Whoever comes later is told as well.
    later = visionmesh("jobs", "watch", "j1").out
    assert told[0] in later and "restarts: 1 of 2" in later
    shown = visionmesh("jobs", "show", "j1").out
    assert "1 of 2" in shown and "attempt 1 failed: TRAINING_PROCESS_KILLED" in shown
    table = visionmesh("jobs", "attempts", "j1").out
    assert "127.0.0.1:7" in table and "127.0.0.1:8" in table and "TRAINING_PROCESS_KILLED" in table
    listed = visionmesh("jobs", "attempts", "j1", "--json").document["attempts"]
    assert [(item["attempt"], item["first_epoch"]) for item in listed] == [(1, 1), (2, 2)]


def test_restarts_that_are_not_given_are_left_to_the_server(visionmesh: Command, stand_in: StandIn) -> None:
    visionmesh(*CREATE)
    visionmesh(*CREATE, "--max-restarts", "0")
    unset, none = stand_in.training.specs
    assert not unset.HasField("max_restarts") and not unset.HasField("no_progress_seconds")
    assert none.HasField("max_restarts") and none.max_restarts == 0
    assert "last failed attempt" not in visionmesh("jobs", "show", "j1").out


def test_job_is_listed_shown_and_measured(visionmesh: Command) -> None:
    visionmesh(*CREATE, "--watch", "--set", "optimizer.type=sgd")
    assert "timm/resnet18" in visionmesh("jobs", "list").out
    assert "optimizer.type=sgd" in visionmesh("jobs", "show", "j1").out
    assert [item["epoch"] for item in visionmesh("jobs", "metrics", "j1", "--json").document["metrics"]] == [1, 2, 3]
    assert "val_loss" in visionmesh("jobs", "metrics", "j1").out
    assert "INFO    training: cpu" in visionmesh("jobs", "logs", "j1").out
    assert visionmesh("jobs", "logs", "j1", "--follow", "--json").lines[0]["message"] == "cpu"
    assert "2.0 MiB" in visionmesh("jobs", "checkpoints", "j1").out


def test_the_place_in_the_queue_is_shown_and_told_as_it_changes(
    visionmesh: Command, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queue, "POLL_SECONDS", 0.02)
    visionmesh(*CREATE, "--start")
    stand_in.training.places = [7]
    assert "number 7 in the queue" in visionmesh("jobs", "show", "j1").out
    assert "QUEUED #7" in visionmesh("jobs", "list").out
    stand_in.training.places = [5, 5, 2, 2]
    lines = visionmesh("jobs", "watch", "j1").out.splitlines()
    assert [line for line in lines if "in the queue" in line] == [
        "number 5 in the queue",
        "number 2 in the queue",
    ]
    assert "COMPLETED" in lines[-1]


def test_a_model_is_judged_by_class_and_by_image(visionmesh: Command, stand_in: StandIn) -> None:
    visionmesh(*CREATE, "--watch")
    best = visionmesh("jobs", "validation", "j1").out
    assert "0.2000" in best and "cat" in best and "accuracy" in best and "dog (5)" in best and "cat (0)" not in best
    assert "0.3000" in visionmesh("jobs", "validation", "j1", "--epoch", "3").out
    assert "epoch 9 was not validated" in visionmesh("jobs", "validation", "j1", "--epoch", "9").out
    [one] = visionmesh("jobs", "validation", "j1", "--json").document["results"]
    assert (one["epoch"], one["classes"][0]["label"]) == (2, "cat")
    every = visionmesh("jobs", "validation", "j1", "--all", "--json").document["results"]
    assert [item["epoch"] for item in every] == [1, 2, 3]
    assert visionmesh("jobs", "validation", "j1", "--all").code == 2

    wrong = visionmesh("jobs", "images", "j1", "--wrong", "--sort", "largest-loss-first", "--predicted", "dog")
    assert "val/cat/2.png" in wrong.out and "val/cat/1.png" not in wrong.out and "0.7500" in wrong.out
    asked = stand_in.training.image_requests[-1]
    assert (asked.correct, asked.HasField("correct"), asked.predicted_label) == (False, True, "dog")
    assert asked.order == training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST

    def paths(*options: str) -> list[str]:
        return [item["path"][8:9] for item in visionmesh("jobs", "images", "j1", *options, "--json").document["images"]]

    assert paths() == ["0", "1", "2", "3"]  # of both pages
    assert paths("--right") == ["1", "3"] and paths("--limit", "3") == ["0", "1", "2"]
    assert visionmesh("jobs", "images", "j1", "--right", "--wrong").code == 2
    assert visionmesh("jobs", "images", "j1", "--sort", "colour").code == 2
    assert visionmesh("jobs", "images", "none").code == 3


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


def test_start_of_a_completed_job_is_refused_with_both_states(visionmesh: Command) -> None:
    visionmesh(*CREATE, "--watch")
    done = visionmesh("jobs", "start", "j1")
    assert done.code == 1
    assert "INVALID_STATE_TRANSITION" in done.err and "from: COMPLETED" in done.err


def test_a_dataset_is_looked_at_as_asked(visionmesh: Command, stand_in: StandIn) -> None:
    for text in ("crops", "image-labels", "IMAGE_LABELS"):
        assert visionmesh(*CREATE, "--dataset-view", text).code == 0
    views = [visionmesh("jobs", "show", job, "--json").document["dataset_view"] for job in ("j1", "j2", "j3")]
    assert views == ["DATASET_VIEW_CROPS", "DATASET_VIEW_IMAGE_LABELS", "DATASET_VIEW_IMAGE_LABELS"]
    assert "crops" in visionmesh("jobs", "show", "j1").out
    refused = visionmesh(*CREATE, "--dataset-view", "portraits")
    assert refused.code == 2 and "crops" in refused.err and "image_labels" in refused.err


def test_start_tells_a_warm_start_from_going_on(visionmesh: Command, stand_in: StandIn) -> None:
    visionmesh(*CREATE)
    for arguments in (("--checkpoint", "c1"), ("--checkpoint", "c1", "--resume"), ("--resume",), ()):
        assert visionmesh("jobs", "start", "j1", *arguments).code == 0
    asked = [(request.resume, request.checkpoint_id) for request in stand_in.training.starts]
    assert asked == [(False, "c1"), (True, "c1"), (True, ""), (False, "")]


def test_violations_are_listed(visionmesh: Command) -> None:
    arguments = [argument.replace("resnet18", "resnet") for argument in CREATE]
    done = visionmesh(*arguments)
    assert done.code == 2
    assert "  - job.model_name: unknown; did you mean resnet18?" in done.err
    told = visionmesh(*arguments, "--json")
    assert told.error["violations"][0]["field"] == "job.model_name"


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
