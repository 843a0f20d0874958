"""A job as it is watched: what its events add up to, and the plain lines that say it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table

from visionmesh.cli.job_attempts import end_lines
from visionmesh.cli.job_series import Metrics, value_of
from visionmesh.cli.values import bytes_text, duration_text, enum_text, printable, time_text
from visionmesh.v1 import common_pb2, event_pb2, job_state_pb2, training_pb2

STATE = "JOB_STATE_"
LEVEL = "LOG_LEVEL_"
# Of progress within an epoch a line is said this often, by the clock of the training.
PROGRESS_LINE_SECONDS = 30.0
_REMARKS = 3
_HEADINGS = {"learning_rate": "lr"}
_LEVELS = {event_pb2.LOG_LEVEL_WARNING: "warning", event_pb2.LOG_LEVEL_ERROR: "error"}


class JobView:
    """What is known of a job so far. Feed it events; it gives the lines that say them without a terminal."""

    def __init__(self, job: training_pb2.TrainingJob) -> None:
        self.job_id = job.id
        self.title = printable(job.experiment_name or job.model_name)
        self.model = f"{job.framework}/{job.model_name}"
        self.total_epochs = job.epochs
        self.renew(job)
        self.doing = ""
        self.step: event_pb2.TrainingProgress | None = None
        self.resources: event_pb2.ResourceUse | None = None
        self.remarks: deque[str] = deque(maxlen=_REMARKS)
        self._step_time = 0.0  # by this machine's clock
        self._line_time: float | None = None  # by the training's

    def renew(self, job: training_pb2.TrainingJob, points: Iterable[event_pb2.MetricPoint] = ()) -> None:
        """Take over how a job stands, with the metrics of its epochs."""
        self.state: job_state_pb2.JobState = job.state
        self.attempt = job.attempt
        self.progress = job.progress
        self.metrics = Metrics(job, points)

    def add(self, metric: event_pb2.MetricPoint) -> None:
        """Take the metrics of an epoch; a repeated epoch replaces what was told before."""
        self.metrics.add(metric)
        self._reached(metric.epoch)

    def seconds_left(self) -> float | None:
        """Until all epochs are done, by now; None where that is not known."""
        return self._left(self.step.seconds_left) if self.step and self.step.HasField("seconds_left") else None

    def apply(self, event: event_pb2.JobEvent) -> Iterator[str]:
        """Take an event; gives the lines that say it without a terminal, none for small progress."""
        match event.WhichOneof("payload"):
            case "state_change":
                self.state = event.state_change.to_state
                if self.state != job_state_pb2.JOB_STATE_RUNNING:
                    self.step = self.resources = None
                yield f"{time_text(event.time)}  {state_text(self.state)}" + failure_text(event.state_change)
            case "attempt_start":
                self.attempt = event.attempt_start.attempt
                if self.attempt > 1:
                    yield f"attempt {self.attempt} begins"
            case "attempt_end":
                for line in end_lines(event.attempt_end):
                    self.doing = line
                    yield line
            case "preparation":
                if event.preparation.message != self.doing:
                    self.doing = printable(event.preparation.message)
                    yield self.doing
            case "training_start":
                start = event.training_start
                self.total_epochs = start.total_epochs or self.total_epochs
                self.doing = f"training on {start.device}"
                yield f"{self.doing}, {start.steps_per_epoch} steps an epoch"
            case "progress":
                self.step, self._step_time = event.progress, time.monotonic()
                self._reached(self.step.epoch - 1 + self.step.step / max(self.step.steps, 1))
                told = event.time.ToNanoseconds() / 1e9
                if self._line_time is None:
                    self._line_time = told
                elif told - self._line_time >= PROGRESS_LINE_SECONDS:
                    self._line_time = told
                    yield progress_text(self.step, self.total_epochs, self.seconds_left())
            case "metric":
                self.add(event.metric)
                yield self._metric_line(event.metric)
            case "roll_back":
                to_epoch = event.roll_back.to_epoch
                self.metrics.roll_back(to_epoch)
                self.step = None
                self._reached(to_epoch)
                yield f"goes on from epoch {to_epoch}"
            case "resource_use":
                self.resources = event.resource_use
            case "log" if event.log.level in _LEVELS:
                remark = f"{_LEVELS[event.log.level]}: {printable(event.log.message)}"
                self.remarks.append(remark)
                yield remark

    def table(self, rows: int | None = None, width: int | None = None) -> Table:
        """Metrics by epoch: of the last ``rows``, and as many as fit into ``width`` columns, where these are given."""
        shown = self.metrics.points
        best = self.metrics.best()
        names = self._columns(width)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("epoch", *names):
            table.add_column(_HEADINGS.get(name, name), justify="right")
        for metric in shown[-rows:] if rows else shown:
            table.add_row(
                f"{metric.epoch}/{self.total_epochs}",
                *(_number(name, value_of(metric, name)) for name in names),
                style="bold" if best is not None and best.epoch == metric.epoch else None,
            )
        return table

    def _columns(self, width: int | None) -> list[str]:
        """Names of metrics: those of every job, then the others; without ``width``, all of them."""
        extras = sorted({name for metric in self.metrics.points for name in metric.extra_metrics})
        if width is None:
            return ["loss", "accuracy", "learning_rate", *extras]
        judged = self.metrics.judged().name
        chosen, left = [], width - len("100/100")
        for name in dict.fromkeys(["loss", "val_loss", judged, "learning_rate", *extras]):
            if self.metrics.series(name).values:
                left -= max(len(_HEADINGS.get(name, name)), 8) + 3
                if left < 0:
                    break
                chosen.append(name)
        return chosen

    def _metric_line(self, metric: event_pb2.MetricPoint) -> str:
        parts = [f"epoch {metric.epoch}/{self.total_epochs}"]
        if metric.HasField("loss"):
            parts.append(f"loss {metric.loss:.4f}")
        if metric.HasField("accuracy"):
            parts.append(f"accuracy {metric.accuracy:.4f}")
        if metric.HasField("learning_rate"):
            parts.append(f"lr {metric.learning_rate:.3g}")
        parts += [f"{name} {value:.4g}" for name, value in sorted(metric.extra_metrics.items())]
        return "  ".join(parts)

    def _left(self, seconds: float) -> float:
        return max(seconds - (time.monotonic() - self._step_time), 0.0)

    def _reached(self, epochs: float) -> None:
        self.progress = min(max(epochs / self.total_epochs, 0.0), 1.0) if self.total_epochs else self.progress


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if name in ("loss", "accuracy") else f"{value:{'.3g' if name == 'learning_rate' else '.4g'}}"


def progress_text(step: event_pb2.TrainingProgress, total_epochs: int, seconds_left: float | None) -> str:
    """How far a training is within its epoch, what matters most first."""
    parts = [f"epoch {step.epoch}/{total_epochs}", f"step {step.step}/{step.steps}"]
    if seconds_left is not None:
        parts.append(f"{duration_text(seconds_left)} left")
    return "  ".join([*parts, f"{step.images_per_second:,.0f} images/s", f"loss {step.loss:.4f}"])


def resource_texts(use: event_pb2.ResourceUse) -> list[str]:
    """What a training takes of its machine, as far as it is known."""
    parts = []
    if use.HasField("cpu_percent"):
        parts.append(f"cpu {use.cpu_percent:.0f} % of {use.cpu_count * 100} %")
    if use.HasField("memory_bytes"):
        processes = f" in {use.process_count} processes" if use.process_count > 1 else ""
        parts.append(f"memory {bytes_text(use.memory_bytes)}{processes}")
    parts += [_gpu_text(gpu) for gpu in use.gpus]
    if use.HasField("machine_memory_total_bytes"):
        used, total = bytes_text(use.machine_memory_used_bytes), bytes_text(use.machine_memory_total_bytes)
        parts.append(f"machine {used} of {total}")
    return parts


def _gpu_text(gpu: event_pb2.GpuUse) -> str:
    parts = [f"GPU {gpu.index}"]
    if gpu.HasField("utilization_percent"):
        parts.append(f"{gpu.utilization_percent:.0f} %")
    if gpu.HasField("memory_used_bytes"):
        parts.append(f"{bytes_text(gpu.memory_used_bytes)} of {bytes_text(gpu.memory_total_bytes)}")
    if gpu.HasField("temperature_celsius"):
        parts.append(f"{gpu.temperature_celsius:.0f} °C")
    return " ".join(parts)


def state_text(state: job_state_pb2.JobState) -> str:
    """A job's state for a person."""
    return enum_text(job_state_pb2.JobState, STATE, state)


def failure_text(holder: event_pb2.JobStateChange | training_pb2.TrainingJob) -> str:
    """Why something failed, to stand behind its state; empty when it did not."""
    if not holder.HasField("failure"):
        return ""
    failure: common_pb2.Failure = holder.failure
    return f": {failure.reason}: {printable(failure.message)}"
