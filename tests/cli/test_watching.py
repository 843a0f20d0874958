"""Watching a job: on a terminal, in a pipe, and through gateways and connections that go away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import CREATE, Command
from tests.cli.refusing import TOKEN
from tests.cli.stand_in import StandIn, serve
from tests.cli.terminal import Terminal, until
from tests.proxy import Proxy
from visionmesh.cli.job_logs import log_text
from visionmesh.client import Client, Patience
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

CREATE_AND_START = (*CREATE, "--start")
STORY_EVENTS = 12


def add_event(stand_in: StandIn, **payload: object) -> None:
    """One more event of the job."""
    events = stand_in.training.events["j1"]
    event = event_pb2.JobEvent(job_id="j1", sequence=len(events) + 1, **payload)  # type: ignore[arg-type]
    for part in (event.metric if event.HasField("metric") else None, event.log if event.HasField("log") else None):
        if part is not None:
            part.sequence = event.sequence
    events.append(event)


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do something while the block runs; its error is the test's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised again in the test's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(60)
    if errors:
        raise errors[0]


def restart(stand_in: StandIn, **payload: object) -> None:
    """The gateway stops while it is watched and comes back, with one more event, after which the job ends."""
    until(lambda: stand_in.training.watches)
    stand_in.stop().wait()
    add_event(stand_in, **payload)
    stand_in.training.hang = False
    stand_in.stop = serve(stand_in.address, training=stand_in.training).stop


def test_a_watch_on_a_terminal_is_a_live_picture(visionmesh: Command, stand_in: StandIn) -> None:
    training = stand_in.training
    training.hang = True
    visionmesh(*CREATE_AND_START)
    add_event(stand_in, progress=event_pb2.TrainingProgress(epoch=3, step=9, steps=10, loss=0.5, seconds_left=60.4))
    use = event_pb2.ResourceUse(cpu_percent=150, cpu_count=2, memory_bytes=3 << 30)
    add_event(stand_in, resource_use=use)
    with Terminal("jobs", "watch", "j1", "--plot", "curves.png") as terminal:
        until(lambda: "cpu 150 % of 200 %" in terminal.text)
        live = terminal.text
        assert "timm/resnet18" in live and "━ validation loss" in live and "★" in live
        # The time left goes on while nothing happens.
        until(lambda: "step 9/10  59 s left" in terminal.text)
        stand_in.stop().wait()
        until(lambda: "connection lost" in terminal.text)
        wrong = event_pb2.LogLine(level=event_pb2.LOG_LEVEL_ERROR, message="\x1b[2Jgone", source="stderr")
        add_event(stand_in, log=wrong)
        stand_in.stop = serve(stand_in.address, training=training).stop
        until(lambda: "error: �[2Jgone" in terminal.text)
        training.outcome = job_state_pb2.JOB_STATE_STOPPED
        training.hang = False
        assert terminal.ended() == 6
        end = terminal.text
    assert training.watches[0] is None or training.watches[0] == 0
    assert set(training.watches[1:]) == {STORY_EVENTS + 2}
    last = end.rstrip().splitlines()
    assert last[-2].startswith("job j1 STOPPED") and last[-1] == "curves saved in curves.png"
    assert "\x1b[2J" not in terminal.raw.partition("�")[2]
    # The cursor is where it was: a terminal is left as it was found.
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_ctrl_c_on_a_terminal_saves_the_picture_and_leaves_the_job(
    visionmesh: Command, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.training.hang = True
    visionmesh(*CREATE_AND_START)
    # As of a job that is far from its end: its metrics are known from the watch alone.
    with Terminal("jobs", "watch", "j1", "--plain", "--plot", "curves.png") as terminal:
        until(lambda: "epoch 3/3  loss 0.3333" in terminal.text)
        stand_in.stop().wait()
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 130
        text = terminal.text
    stand_in.training.hang = False
    assert "curves saved in curves.png" in text and "see it again with: visionmesh jobs watch j1" in text
    assert "Traceback" not in text and "\x1b[?25l" not in terminal.raw
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"


def test_a_gateway_that_comes_back_is_watched_on_without_gap_or_repeat(visionmesh: Command, stand_in: StandIn) -> None:
    stand_in.training.hang = True
    visionmesh(*CREATE_AND_START)
    metric = event_pb2.MetricPoint(epoch=3, loss=0.125)
    with beside(lambda: restart(stand_in, metric=metric)):
        done = visionmesh("jobs", "watch", "j1", "--json")
    assert [int(event["sequence"]) for event in done.lines] == list(range(1, STORY_EVENTS + 2))
    assert (done.code, done.err) == (0, "")
    assert len(stand_in.training.watches) == 2


def test_in_a_pipe_it_is_said_once_that_the_connection_is_lost(visionmesh: Command, stand_in: StandIn) -> None:
    stand_in.training.hang = True
    visionmesh(*CREATE_AND_START)
    with beside(lambda: restart(stand_in, roll_back=event_pb2.RollBack(to_epoch=2))):
        done = visionmesh("jobs", "watch", "j1")
    assert done.code == 0
    assert (done.err.count("connection lost"), done.err.count("connected again")) == (1, 1)
    assert done.out.count("epoch 3/3") == 1 and done.out.count("goes on from epoch 2") == 1
    assert "\x1b" not in done.out


def test_a_gateway_that_is_away_at_the_very_end_is_waited_for(visionmesh: Command, stand_in: StandIn) -> None:
    visionmesh(*CREATE_AND_START)
    stand_in.training.get_job_breaks = 2
    done = visionmesh("jobs", "watch", "j1")
    assert done.code == 0 and "job j1 COMPLETED  best accuracy 0.9750" in done.out
    assert stand_in.training.get_job_breaks == 0 and done.err.count("connection lost") == 1


def test_a_watch_whose_place_is_no_longer_kept_goes_on_from_how_the_job_stands(
    visionmesh: Command, stand_in: StandIn
) -> None:
    training = stand_in.training
    visionmesh(*CREATE_AND_START)
    training.removed_through = 7
    training.jobs["j1"].last_sequence = 1

    def later() -> None:
        until(lambda: len(training.watches) >= 1)
        training.jobs["j1"].last_sequence = 8

    with beside(later):
        done = visionmesh("jobs", "watch", "j1")
    assert done.code == 0, done.err
    assert "epoch 3/3" in done.out and training.watches[-1] == 8
    script = visionmesh("jobs", "watch", "j1", "--json", "--after", "1")
    assert script.code == 2 and script.error["reason"] == "SEQUENCE_EXPIRED"  # a script is told of the gap


@pytest.mark.parametrize(("outcome", "code"), [("COMPLETED", 0), ("FAILED", 1), ("STOPPED", 6)])
def test_the_exit_code_tells_how_the_job_ended(visionmesh: Command, stand_in: StandIn, outcome: str, code: int) -> None:
    stand_in.training.outcome = getattr(job_state_pb2, f"JOB_STATE_{outcome}")
    assert visionmesh(*CREATE_AND_START, "--watch").code == code
    assert visionmesh("jobs", "watch", "j1").code == code
    assert visionmesh("jobs", "watch", "j1", "--json").code == code


def test_a_connection_that_died_without_a_word_is_noticed(stand_in: StandIn) -> None:
    training = stand_in.training
    port = int(stand_in.address.rpartition(":")[2])
    lost: list[str] = []
    patience = Patience(30, lambda error, seconds: lost.append(error.code.name), lambda: lost.append("back"))
    with Proxy(port) as proxy, Client(f"127.0.0.1:{proxy.port}", TOKEN, keepalive_seconds=1.0) as client:
        client.create_job(training_pb2.TrainingJobSpec(framework="timm", model_name="resnet18", epochs=3))
        client.start_job("j1")
        training.hang = True
        sequences = []
        for event in client.watch_job("j1", patience=patience):
            sequences.append(event.sequence)
            if event.sequence == STORY_EVENTS:
                proxy.silence()
                add_event(stand_in, log=event_pb2.LogLine(message="unheard"))
                training.hang = False
    assert sequences == list(range(1, STORY_EVENTS + 2))
    assert training.watches == [None, STORY_EVENTS]
    assert lost == ["UNAVAILABLE", "back"]


def test_logs_are_shown_from_a_level_on(visionmesh: Command, stand_in: StandIn) -> None:
    visionmesh(*CREATE_AND_START)
    for level, message in (("DEBUG", "d"), ("WARNING", "w\x1b[31m"), ("ERROR", "e")):
        line = event_pb2.LogLine(level=f"LOG_LEVEL_{level}", message=message, source="stderr")
        add_event(stand_in, log=line)
    for extra in ((), ("--follow",)):
        done = visionmesh("jobs", "logs", "j1", "--level", "warning", *extra)
        lines = done.out.splitlines()
        assert [line.partition("WARNING" if "WARNING" in line else "ERROR")[2].strip() for line in lines] == [
            "stderr: w�[31m",
            "stderr: e",
        ]
        assert "\x1b" not in done.out  # plain in a pipe
    assert len(visionmesh("jobs", "logs", "j1").out.splitlines()) == 4
    documents = visionmesh("jobs", "logs", "j1", "--level", "ERROR", "--json").lines
    assert [line["level"] for line in documents] == ["LOG_LEVEL_ERROR"]
    refused = visionmesh("jobs", "logs", "j1", "--level", "loud")
    assert refused.code == 2 and "debug, info, warning, error" in refused.err
    terminal = Console(force_terminal=True, color_system="standard", width=80)
    with terminal.capture() as coloured:
        for event in stand_in.training.events["j1"]:
            if event.HasField("log"):
                terminal.print(log_text(event.log))
    assert "\x1b[33mWARNING\x1b[0m" in coloured.get() and "\x1b[1;31mERROR  \x1b[0m" in coloured.get()
