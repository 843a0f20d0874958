"""Curves of a job as a picture, with matplotlib: the only part of the client that needs it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visionmesh.cli.command import command
from visionmesh.cli.failures import CommandError
from visionmesh.cli.job_series import Best, Metrics, Series
from visionmesh.cli.job_view import state_text
from visionmesh.cli.session import Session
from visionmesh.v1 import training_pb2

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Colours that people with any kind of colour vision tell apart (Okabe and Ito, "Color Universal Design").
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_GOLD = "#E69F00"
_INK, _FAINT, _GRID = "#222222", "#6b6b6b", "#e3e3e3"
_SIZE_INCHES, _DOTS_PER_INCH = (11.0, 6.6), 150
# Up to so many epochs each has a point of its own.
_MARKED_EPOCHS = 40


class PlotFile:
    """Where a picture goes. Making one checks that it can be made, before anything is waited for.

    Raises ``CommandError`` without matplotlib, ``typer.BadParameter`` for a name that is none of a picture's.
    """

    def __init__(self, path: Path) -> None:
        require_matplotlib()
        if path.suffix.lower() not in FORMATS:
            raise typer.BadParameter(f"{path} must end with one of {', '.join(FORMATS)}")
        if not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.absolute().parent}")
        self.path = path

    def save(self, job: training_pb2.TrainingJob, metrics: Metrics) -> bool:
        """Draw a job there; False when it has no metrics, and then nothing is written."""
        if not metrics.points:
            return False
        drawn = io.BytesIO()
        with warnings.catch_warnings():
            # A name in letters that the font has not shows as boxes, which says it well enough.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure(job, metrics).savefig(drawn, format=self.path.suffix[1:].lower(), dpi=_DOTS_PER_INCH)
        self.path.write_bytes(drawn.getvalue())
        return True


def add_to(app: typer.Typer) -> None:
    """Add ``jobs plot``."""
    command(app, "plot", examples="visionmesh jobs plot JOB curves.png")(plot)


def plot(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.png", help="Picture to write: .png, .svg or .pdf.")],
) -> None:
    """Draw the curves of a job: losses, the metric it is judged by, and the learning rate."""
    target = PlotFile(file)
    with session.client() as client:
        job = client.get_job(job_id)
        metrics = Metrics(job, client.metrics(job_id))
    if not target.save(job, metrics):
        raise CommandError("NO_METRICS", f"job {job_id} has no metrics yet; it is {state_text(job.state)}")
    best = metrics.best()
    if session.json:
        session.print_json({"file": str(file), "epochs": len(metrics.points), "best_epoch": best.epoch if best else 0})
    else:
        session.out.print(f"curves of {len(metrics.points)} epochs saved in {file}", soft_wrap=True)


def require_matplotlib() -> None:
    """Raise CommandError, which says what to install, when matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        message = "drawing curves needs matplotlib, which is not installed: pip install 'visionmesh[plot]'"
        raise CommandError("MATPLOTLIB_MISSING", message) from error


def figure(job: training_pb2.TrainingJob, metrics: Metrics) -> Figure:
    """Losses and the metric that counts side by side, the learning rate below."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=_SIZE_INCHES, facecolor="white")
    rate = metrics.learning_rate()
    grid = drawing.add_gridspec(
        2 if rate.values else 1,
        2,
        height_ratios=[3.2, 1] if rate.values else None,
        left=0.08,
        right=0.975,
        top=0.84,
        bottom=0.085,
        hspace=0.38,
        wspace=0.17,
    )
    best = metrics.best()
    losses = drawing.add_subplot(grid[0, 0])
    _panel(losses, "loss", list(zip(metrics.losses(), (_BLUE, _ORANGE), strict=False)), metrics, best)
    judged = metrics.judged()
    _panel(drawing.add_subplot(grid[0, 1], sharex=losses), judged.label, [(judged, _GREEN)], metrics, best)
    if rate.values:
        below = drawing.add_subplot(grid[1, :], sharex=losses)
        _panel(below, rate.label, [(rate, _PURPLE)], metrics, best)
        below.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    _headings(drawing, job, metrics, best)
    return drawing


def _panel(axes: Axes, label: str, lines: Sequence[tuple[Series, str]], metrics: Metrics, best: Best | None) -> None:
    """Curves over the epochs; a dashed line stands at the best epoch, a star where a curve is what it is best by."""
    for series, colour in lines:
        epochs = sorted(series.values)
        marker = "o" if len(epochs) <= _MARKED_EPOCHS else None
        values = [series.values[epoch] for epoch in epochs]
        axes.plot(epochs, values, color=colour, label=series.label, linewidth=1.8, marker=marker, markersize=3.5)
    labelled = len(lines)
    if best is not None:
        axes.axvline(best.epoch, color=_FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        if any(series.name == best.metric for series, _ in lines):
            text = f"best: epoch {best.epoch}, {best.value:.4g}"
            star = {"marker": "*", "markersize": 15, "color": _GOLD, "markeredgecolor": _INK, "linestyle": "none"}
            axes.plot([best.epoch], [best.value], label=text, **star)  # type: ignore[arg-type]
            labelled += 1
    _frame(axes, label, metrics)
    if labelled > 1:
        legend = axes.legend(frameon=True, framealpha=0.85, edgecolor="none", labelcolor=_INK)
        for entry in legend.get_texts():
            entry.set_parse_math(False)


def _frame(axes: Axes, label: str, metrics: Metrics) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", color=_FAINT)
    axes.set_ylabel(label, color=_FAINT, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.tick_params(colors=_FAINT, length=3)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    first, last = metrics.points[0].epoch, metrics.points[-1].epoch
    room = max((last - first) * 0.02, 0.5 if first == last else 0.1)
    axes.set_xlim(first - room, last + room)


def _headings(drawing: Figure, job: training_pb2.TrainingJob, metrics: Metrics, best: Best | None) -> None:
    def write(height: float, text: str, **look: Any) -> None:
        drawing.text(0.08, height, text, ha="left", parse_math=False, **look)

    write(0.945, job.experiment_name or job.model_name, fontsize=16, fontweight="bold", color=_INK)
    parts = [f"{job.framework}/{job.model_name}", f"job {job.id}", state_text(job.state)]
    parts.append(f"{metrics.points[-1].epoch} of {job.epochs} epochs")
    if best is not None:
        parts.append(f"best {best.metric.replace('_', ' ')} {best.value:.4g} in epoch {best.epoch}")
    write(0.9, "   ·   ".join(parts), fontsize=10.5, color=_FAINT)
