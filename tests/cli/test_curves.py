"""Curves and pictures of a job: what is drawn, and that it fits."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from visionmesh.cli.job_curves import Line, chart
from visionmesh.cli.job_screen import picture
from visionmesh.cli.job_series import Metrics, Series, ticks
from visionmesh.cli.job_view import JobView
from visionmesh.cli.values import duration_text, printable
from visionmesh.v1 import event_pb2, job_state_pb2, training_pb2

STAR = "★"
GIB = 1 << 30


def job(**fields: object) -> training_pb2.TrainingJob:
    known = {"id": "job_1", "framework": "timm", "model_name": "resnet18", "epochs": 10, "primary_metric": "accuracy"}
    return training_pb2.TrainingJob(**{**known, **fields})  # type: ignore[arg-type]


def point(
    epoch: int, loss: float | None = None, accuracy: float | None = None, **extra: float
) -> event_pb2.MetricPoint:
    return event_pb2.MetricPoint(
        epoch=epoch, loss=loss, accuracy=accuracy, learning_rate=0.1 / epoch, extra_metrics=extra
    )


def series(*values: float) -> Series:
    return Series("loss", "training loss", dict(enumerate(values, start=1)))


def drawn(*lines: Series, width: int = 40, height: int = 12, best: int | None = None) -> list[str]:
    return chart([Line(line, "cyan") for line in lines], width, height, best).plain.split("\n")


def test_a_curve_falls_from_left_to_right() -> None:
    lines = drawn(series(1.0, 0.8, 0.6, 0.4, 0.2, 0.0))
    assert len(lines) == 12 and all(len(line) <= 40 for line in lines)
    legend, *rows, frame, epochs = lines
    assert legend.startswith("━ training loss")
    assert frame.endswith("─ epoch") and epochs.split() == ["1", "2", "3", "4", "5", "6"]
    inside = [row.partition("┤" if "┤" in row else "│")[2] for row in rows]
    firsts = [len(row) - len(row.lstrip()) for row in inside]
    assert firsts == sorted(firsts)  # the lower, the later
    labels = [float(row.split("┤")[0]) for row in rows if "┤" in row]
    assert len(labels) >= 3 and labels == sorted(set(labels), reverse=True)
    assert all(0 <= label <= 1.05 for label in labels)


def test_the_best_epoch_is_a_star_where_its_value_is() -> None:
    lines = drawn(series(0.1, 0.9, 0.2), best=2)
    [(row, line)] = [(row, line) for row, line in enumerate(lines) if STAR in line]
    assert row <= 2  # at the top
    frame = lines[-2]
    middle = (frame.index("└") + 1 + len(frame)) // 2  # the second of three epochs
    assert abs(line.index(STAR) - middle) <= 1
    assert STAR not in "".join(drawn(series(0.1, 0.9, 0.2), best=7))


def test_two_curves_share_their_frame() -> None:
    both = "".join(drawn(series(0.1, 0.1), Series("val_loss", "validation loss", {1: 0.9, 2: 0.9})))
    assert "training loss" in both and "validation loss" in both
    dots = [line for line in drawn(series(0.1, 0.1), series(0.9, 0.9)) if any("⠀" < sign <= "⣿" for sign in line)]
    assert len(dots) == 2


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, 0.5, 0.5), (1e-7, 2e-7), (-3e9, 4e9), (0.0, 0.0)])
def test_few_flat_and_extreme_values_have_a_curve_too(values: tuple[float, ...]) -> None:
    for width, height in ((24, 6), (40, 12), (10, 3), (300, 40)):
        lines = drawn(series(*values), width=width, height=height, best=1)
        assert len(lines) <= max(height, 4) and all(len(line) <= width for line in lines[1:])
    said = "".join(drawn(series(*values), best=1))
    assert (STAR in said) == bool(values)
    assert ("after the first epoch" in said) == (not values)


@given(
    values=st.dictionaries(st.integers(1, 2**31 - 1), st.floats(), max_size=6),
    width=st.integers(0, 90),
    height=st.integers(0, 30),
)
def test_whatever_a_training_tells_can_be_drawn(values: dict[int, float], width: int, height: int) -> None:
    metrics = Metrics(job(primary_metric="loss"), [point(epoch, value) for epoch, value in values.items()])
    best = metrics.best()
    text = chart([Line(metrics.series("loss"), "cyan")], width, height, best.epoch if best else None).plain
    assert len(text.split("\n")) == max(height, 1)


@given(
    low=st.floats(-1e6, 1e6), size=st.floats(1e-6, 1e6), most=st.integers(1, 20)
)  # fmt: skip
def test_ticks_are_round_evenly_spaced_and_within(low: float, size: float, most: int) -> None:
    high = low + size
    found = ticks(low, high, most)
    assert len(found) <= most
    room = 1e-6 * max(abs(low), abs(high), size)
    assert all(low - room <= tick <= high + room for tick in found)
    steps = [after - before for before, after in pairwise(found)]
    assert all(step == pytest.approx(steps[0], rel=1e-3, abs=room) for step in steps)


def test_a_repeated_epoch_replaces_what_it_told() -> None:
    metrics = Metrics(job(), [point(1, 0.9, 0.1), point(2, 0.8, 0.9), point(3, 0.7, 0.3)])
    assert metrics.best() is not None and metrics.best().epoch == 2  # type: ignore[union-attr]
    metrics.roll_back(1)
    assert [each.epoch for each in metrics.points] == [1]
    metrics.add(point(2, 0.6, 0.4))
    metrics.add(point(2, 0.5, 0.5))
    assert metrics.series("accuracy").values == {1: pytest.approx(0.1), 2: 0.5}
    best = metrics.best()
    assert best is not None and (best.epoch, best.metric, best.value) == (2, "accuracy", 0.5)


def test_the_best_is_by_the_primary_metric_and_its_mode() -> None:
    points = [point(1, 0.9, 0.5, val_loss=0.4), point(2, 0.8, 0.9, val_loss=0.3), point(3, 0.7, 0.9, val_loss=0.6)]
    best = Metrics(job(), points).best()
    assert best is not None and best.epoch == 2  # the first of two as good
    least = training_pb2.METRIC_MODE_MIN
    by_loss = Metrics(job(primary_metric="val_loss", primary_metric_mode=least), points)
    assert by_loss.best() is not None and by_loss.best().epoch == 2  # type: ignore[union-attr]
    assert by_loss.judged().name == "accuracy"  # the losses are shown anyway
    assert [each.name for each in by_loss.losses()] == ["loss", "val_loss"]
    objects = Metrics(job(primary_metric="mAP50-95"), [point(1, 0.9, **{"mAP50-95": 0.25})])
    assert objects.judged().values == {1: 0.25} and [each.name for each in objects.losses()] == ["loss"]
    nothing = Metrics(job(), [point(1, math.nan, math.inf, val_loss=-math.inf)])
    assert nothing.best() is None and nothing.losses() == []


def view(epochs: int) -> JobView:
    """A job that has all there is to show."""
    seen = JobView(job(experiment_name="[bold]flowers[/]", attempt=2, epochs=epochs or 9, state="JOB_STATE_RUNNING"))
    for epoch in range(1, epochs + 1):
        extra = {"val_loss": 1 / epoch + 0.1, "f1": 0.5, "balanced_accuracy": 0.25, "samples_per_second": 1200.0}
        seen.add(point(epoch, 1 / epoch, 1 - 1 / epoch, **extra))
    step = event_pb2.TrainingProgress(epoch=epochs + 1, step=3, steps=9, loss=0.5, images_per_second=1240)
    step.seconds_left = 3723
    use = event_pb2.ResourceUse(cpu_percent=342, cpu_count=8, memory_bytes=3 * GIB, process_count=5)
    use.machine_memory_used_bytes, use.machine_memory_total_bytes = 12 * GIB, 31 * GIB
    for index in range(2):
        use.gpus.add(index=index, utilization_percent=87, memory_used_bytes=GIB, memory_total_bytes=80 * GIB)
    log = event_pb2.LogLine(level=event_pb2.LOG_LEVEL_WARNING, message="look \x1b]0;at\x07 this " * 20)
    for event in (
        event_pb2.JobEvent(progress=step),
        event_pb2.JobEvent(resource_use=use),
        event_pb2.JobEvent(log=log),
        event_pb2.JobEvent(log=log),
    ):
        list(seen.apply(event))
    return seen


def shown(seen: JobView, width: int, height: int | None) -> list[str]:
    console = Console(width=width, height=height or 100, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(picture(seen, width, height, "connection lost"))
    return capture.get().splitlines()


@pytest.mark.parametrize("epochs", [0, 1, 40])
def test_the_picture_fits_the_terminal(epochs: int) -> None:
    seen = view(epochs)
    for width in (30, 60, 80, 120, 200):
        for height in (8, 16, 24, 50):
            lines = shown(seen, width, height)
            assert len(lines) <= height and max(map(len, lines)) <= width, (width, height)
            assert "connection lost" in lines[-1]
            assert "flowers" in lines[0] and "%" in lines[1]
            # Curves where there is room for them.
            assert (any("└" in line for line in lines) == (epochs > 0)) or height < 20


def test_the_picture_says_how_far_how_long_and_at_what_cost() -> None:
    text = "\n".join(shown(view(4), 200, 40))
    assert "timm/resnet18  RUNNING  attempt 2" in text and "[bold]flowers[/]" in text
    assert "epoch 5/4  step 3/9  1 h 02 min left  1,240 images/s  loss 0.5000" in text
    assert "cpu 342 % of 800 %  memory 3.0 GiB in 5 processes" in text
    assert "GPU 1 87 % 1.0 GiB of 80.0 GiB  machine 12.0 GiB of 31.0 GiB" in text
    assert "training loss" in text and "validation loss" in text and "learning rate" in text and STAR in text
    assert "4/4" in text and "balanced_accuracy" in text
    assert "\x1b" not in text and "\x07" not in text
    assert not any("└" in line for line in shown(view(4), 200, 8))
    whole = shown(view(40), 80, None)
    assert sum("/40 " in line for line in whole) >= 40  # in the end, with all its epochs


def test_progress_has_a_line_every_half_minute() -> None:
    seen = JobView(job())
    lines: list[str] = []
    for second in range(0, 95, 5):
        event = event_pb2.JobEvent(progress=event_pb2.TrainingProgress(epoch=1, step=second, steps=100))
        event.time.FromSeconds(1_800_000_000 + second)
        lines += seen.apply(event)
    assert [line.split()[3] for line in lines] == ["30/100", "60/100", "90/100"]
    assert seen.seconds_left() is None
    done = event_pb2.JobStateChange(to_state=job_state_pb2.JOB_STATE_COMPLETED)
    assert len(list(seen.apply(event_pb2.JobEvent(state_change=done)))) == 1
    assert seen.step is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (751, "12 min 31 s"), (3600, "1 h 00 min"),
     (86399, "23 h 59 min"), (97200, "1 d 3 h")],
)  # fmt: skip
def test_lengths_of_time_are_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_text_of_others_cannot_act_on_a_terminal() -> None:
    assert printable("a\tb ü 猫\x1b[31m\r\x9b") == "a\tb ü 猫�[31m��"
