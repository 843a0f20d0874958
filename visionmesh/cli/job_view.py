"""A job as it is watched: what its events add up to, as a table, a bar and plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from visionmesh.cli.job_attempts import end_lines
from visionmesh.cli.values import enum_text, time_text
from visionmesh.v1 import common_pb2, event_pb2, job_state_pb2, training_pb2

STATE = "JOB_STATE_"
_STYLES = {"COMPLETED": "bold green", "FAILED": "bold red", "STOPPED": "bold yellow", "RUNNING": "bold cyan"}
_LEVELS = {event_pb2.LOG_LEVEL_WARNING: "warning", event_pb2.LOG_LEVEL_ERROR: "error"}


class JobView:
    """What is known of a job so far. Feed it events; ask it for lines or a picture."""

    def __init__(self, job: training_pb2.TrainingJob) -> None:
        self.job_id = job.id
        self.title = job.experiment_name or job.model_name
        self.model = f"{job.framework}/{job.model_name}"
        self.state: job_state_pb2.JobState = job.state
        self.total_epochs = job.epochs
        self.progress = job.progress
        self.epochs: dict[int, event_pb2.MetricPoint] = {}
        self.doing = ""

    def add(self, metric: event_pb2.MetricPoint) -> None:
        """Take the metrics of an epoch; a repeated epoch replaces what was told before."""
        self.epochs[metric.epoch] = metric
        self._reached(metric.epoch)

    def apply(self, event: event_pb2.JobEvent) -> Iterator[str]:
        """Take an event; gives the lines that say it without a terminal, none for small progress."""
        match event.WhichOneof("payload"):
            case "state_change":
                self.state = event.state_change.to_state
                yield f"{time_text(event.time)}  {state_text(self.state)}" + failure_text(event.state_change)
            case "attempt_start" if event.attempt_start.attempt > 1:
                yield f"attempt {event.attempt_start.attempt}"
            case "attempt_end":
                for line in end_lines(event.attempt_end):
                    self.doing = line
                    yield line
            case "preparation":
                if event.preparation.message != self.doing:
                    self.doing = event.preparation.message
                    yield self.doing
            case "training_start":
                start = event.training_start
                self.total_epochs = start.total_epochs or self.total_epochs
                self.doing = f"training on {start.device}"
                yield f"{self.doing}, {start.steps_per_epoch} steps an epoch"
            case "progress":
                step = event.progress
                self.doing = f"epoch {step.epoch}, step {step.step}/{step.steps}, loss {step.loss:.4f}"
                self.doing += f", {step.images_per_second:.0f} images/s"
                self._reached(step.epoch - 1 + step.step / max(step.steps, 1))
            case "metric":
                self.add(event.metric)
                yield self._metric_line(event.metric)
            case "roll_back":
                to_epoch = event.roll_back.to_epoch
                self.epochs = {epoch: metric for epoch, metric in self.epochs.items() if epoch <= to_epoch}
                self._reached(to_epoch)
                yield f"goes on from epoch {to_epoch}"
            case "log" if event.log.level in _LEVELS:
                self.doing = f"{_LEVELS[event.log.level]}: {event.log.message}"
                yield self.doing

    def picture(self, rows: int | None = None) -> RenderableType:
        """State, bar and the table of epochs, of which only the last ``rows`` fit."""
        state = state_text(self.state)
        heading = Text.assemble((self.title, "bold"), f"  {self.model}  ", (state, _STYLES.get(state, "bold")))
        done = Text(f" {self.progress:4.0%}  {self.doing}", no_wrap=True, overflow="ellipsis")
        bar = Table.grid()
        bar.add_row(ProgressBar(total=1.0, completed=self.progress, width=40), done)
        return Group(heading, bar, self.table(rows))

    def table(self, rows: int | None = None) -> Table:
        """Metrics by epoch."""
        shown = [self.epochs[epoch] for epoch in sorted(self.epochs)]
        extras = sorted({name for metric in shown for name in metric.extra_metrics})
        shown = shown[-rows:] if rows else shown
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("epoch", "loss", "accuracy", "lr", *extras):
            table.add_column(name, justify="right")
        for metric in shown:
            table.add_row(
                f"{metric.epoch}/{self.total_epochs}",
                f"{metric.loss:.4f}" if metric.HasField("loss") else "-",
                f"{metric.accuracy:.4f}" if metric.HasField("accuracy") else "-",
                f"{metric.learning_rate:.3g}" if metric.HasField("learning_rate") else "-",
                *(f"{metric.extra_metrics[name]:.4g}" if name in metric.extra_metrics else "-" for name in extras),
            )
        return table

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

    def _reached(self, epochs: float) -> None:
        self.progress = min(epochs / self.total_epochs, 1.0) if self.total_epochs else self.progress


def state_text(state: job_state_pb2.JobState) -> str:
    """A job's state for a person."""
    return enum_text(job_state_pb2.JobState, STATE, state)


def failure_text(holder: event_pb2.JobStateChange | training_pb2.TrainingJob) -> str:
    """Why something failed, to stand behind its state; empty when it did not."""
    if not holder.HasField("failure"):
        return ""
    failure: common_pb2.Failure = holder.failure
    return f": {failure.reason}: {failure.message}"
