"""A job on a terminal: state, bar, resources, curves, the last epochs, and what is to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from visionmesh.cli.job_curves import MINIMUM_HEIGHT, MINIMUM_WIDTH, Line, chart
from visionmesh.cli.job_view import JobView, progress_text, resource_texts, state_text
from visionmesh.v1 import event_pb2

REFRESHES_PER_SECOND = 4
CURVES_HEIGHT = 13
_STYLES = {"COMPLETED": "bold green", "FAILED": "bold red", "STOPPED": "bold yellow", "RUNNING": "bold cyan"}
_LOSS_COLOURS = ("cyan", "magenta")
_JUDGED_COLOUR, _RATE_COLOUR = "green", "blue"
_GAP = 2
# Lines of the table that are no epochs.
_TABLE_FRAME = 4
_LEAST_ROWS = 3


class JobScreen:
    """Keeps the picture of a job on the terminal for the length of the block, and up to date while nothing happens.

    Drawn in a thread of its own, so that the time left goes on: events go in by ``apply``.
    """

    def __init__(self, view: JobView, out: Console) -> None:
        self.connection = ""
        """What to say of the connection; empty while there is one."""
        self._view = view
        self._out = out
        self._lock = Lock()
        self._live = Live(
            get_renderable=self._picture,
            console=out,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            vertical_overflow="crop",
        )

    def apply(self, event: event_pb2.JobEvent) -> None:
        """Take an event."""
        with self._lock:
            for _ in self._view.apply(event):
                pass

    def tell(self, doing: str) -> None:
        """Show what goes on when no event tells it."""
        with self._lock:
            self._view.doing = doing

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _picture(self) -> RenderableType:
        with self._lock:
            # The last line stays free: a picture of the terminal's height would scroll.
            return picture(self._view, self._out.width, self._out.height - 1, self.connection)


def picture(view: JobView, width: int, height: int | None = None, connection: str = "") -> RenderableType:
    """A job in ``width`` columns and, where that is given, ``height`` lines; without, with all its epochs."""
    head: list[RenderableType] = [_heading(view), _bar(view, width)]
    resources = _packed(resource_texts(view.resources), width) if view.resources is not None else []
    remarks = list(view.remarks)
    if height is not None:
        resources, remarks = resources[: max(height // 6, 1)], remarks[-max(height // 8, 1) :]
    head += [_line(text, "bright_black") for text in resources]
    foot = [_line(text, "yellow") for text in remarks]
    if connection:
        foot.append(_line(connection, "bold yellow"))
    if height is None:
        return Group(*head, "", _curves(view, width, CURVES_HEIGHT), view.table(width=width), *foot)
    rows = height - len(head) - len(foot) - _TABLE_FRAME
    room = rows - _LEAST_ROWS - 1
    curves: list[RenderableType] = []
    if room >= MINIMUM_HEIGHT and width >= MINIMUM_WIDTH:
        tall = min(room, CURVES_HEIGHT)
        curves = ["", _curves(view, width, tall)]
        rows -= tall + 1
    table: list[RenderableType] = [view.table(rows, width)] if rows > 0 and view.metrics.points else []
    return Group(*head, *curves, *table, *foot)


def _heading(view: JobView) -> Text:
    state = state_text(view.state)
    text = Text.assemble((view.title, "bold"), f"  {view.model}  ", (state, _STYLES.get(state, "bold")))
    if view.attempt > 1:
        text.append(f"  attempt {view.attempt}")
    text.append(f"  {view.job_id}", style="bright_black")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _bar(view: JobView, width: int) -> RenderableType:
    said = view.doing if view.step is None else progress_text(view.step, view.total_epochs, view.seconds_left())
    text = _line(f" {view.progress:4.0%}  {said}")
    grid = Table.grid()
    bar = ProgressBar(
        total=1.0,
        completed=view.progress,
        width=min(max(width // 5, 8), 40),
        complete_style="cyan",
        finished_style="green",
    )
    grid.add_row(bar, text)
    return grid


def _curves(view: JobView, width: int, height: int) -> RenderableType:
    """Losses and the metric that counts beside each other, and the learning rate where there is room for it."""
    metrics = view.metrics
    best = metrics.best()
    losses = metrics.losses() or [metrics.series("loss")]
    panels: list[Sequence[Line]] = [
        [Line(series, colour) for series, colour in zip(losses, _LOSS_COLOURS, strict=False)],
        [Line(metrics.judged(), _JUDGED_COLOUR)],
        [Line(metrics.learning_rate(), _RATE_COLOUR)],
    ]
    if not panels[-1][0].series.values:
        panels.pop()
    shown = max(min(len(panels), (width + _GAP) // (40 + _GAP), 3), 2)
    if width < 2 * MINIMUM_WIDTH + _GAP:
        panels, shown = panels[1:2], 1  # what counts, where there is room for one
    each = (width - (shown - 1) * _GAP) // shown
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    best_epoch = best.epoch if best is not None else None
    grid.add_row(*(chart(lines, each, height, best_epoch) for lines in panels[:shown]))
    return grid


def _packed(parts: Sequence[str], width: int) -> list[str]:
    """Parts in as few lines as they fit into."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + _GAP + len(part) <= width:
            lines[-1] += " " * _GAP + part
        else:
            lines.append(part)
    return lines


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
