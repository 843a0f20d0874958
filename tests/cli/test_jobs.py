"""``jobs``, from creation to what was learnt, against a stand-in gateway."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CREATE, Command
from tests.cli.stand_in import StandIn
from visionmesh.cli import job_queue
from visionmesh.v1 import job_state_pb2, training_pb2


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
    settings = ("optimizer.type=sgd", "scheduler.milestones=[30, 60]", "ema.enabled=true")
    visionmesh(*CREATE, "--watch", *(word for setting in settings for word in ("--set", setting)))
    assert "timm/resnet18" in visionmesh("jobs", "list").out
    shown = visionmesh("jobs", "show", "j1").out
    assert all(setting in shown for setting in settings)
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


def test_start_of_a_completed_job_is_refused_with_both_states(visionmesh: Command) -> None:
    visionmesh(*CREATE, "--watch")
    done = visionmesh("jobs", "start", "j1")
    assert done.code == 1
    assert "INVALID_STATE_TRANSITION" in done.err and "from: COMPLETED" in done.err


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
