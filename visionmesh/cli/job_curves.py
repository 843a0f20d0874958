"""Curves in the terminal: lines of braille dots in a frame, with ticks, a legend and the best epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from plotille import Canvas
from rich.text import Text

from visionmesh.cli.job_series import Series, ticks

_BLANK = "\u2800"
_STAR, _DOT = "★", "•"
_DIM = "bright_black"
_STAR_STYLE = "bold yellow"
# Frame, legend and numbers beside the dots.
MINIMUM_WIDTH, MINIMUM_HEIGHT = 24, 6


@dataclass(frozen=True)
class Line:
    """One series with its colour."""

    series: Series
    colour: str


@dataclass(frozen=True)
class _Area:
    """The dots' place: characters, and the values at their edges."""

    width: int
    height: int
    low: float
    high: float
    first: float
    last: float

    def column(self, epoch: float) -> int:
        return min(int((epoch - self.first) / (self.last - self.first) * self.width), self.width - 1)

    def row(self, value: float) -> int:
        """From the top."""
        return self.height - 1 - min(int((value - self.low) / (self.high - self.low) * self.height), self.height - 1)


def chart(lines: Sequence[Line], width: int, height: int, best_epoch: int | None = None) -> Text:
    """``lines`` over their epochs in ``width`` times ``height`` characters; a star stands at the best epoch."""
    drawn = [line for line in lines if line.series.values]
    epochs = [epoch for line in drawn for epoch in line.series.values]
    if not epochs or width < MINIMUM_WIDTH or height < MINIMUM_HEIGHT:
        return _empty(lines, width, height, "" if epochs else "after the first epoch")
    numbers = [value for line in drawn for value in line.series.values.values()]
    low, high = _padded(min(numbers), max(numbers))
    labels = {value: f"{value:.6g}" for value in ticks(low, high, max((height - 3) // 2, 2))}
    margin = max(len(label) for label in labels.values())
    first = min(epochs)
    area = _Area(width - margin - 2, height - 3, low, high, first, max(*epochs, first + 1))
    cells, colours = _cells(drawn, area)
    if best_epoch is not None:
        _mark(cells, colours, drawn[-1].series.values, best_epoch, area)
    text = _legend(lines, width)
    tick_rows = {area.row(value): label for value, label in labels.items()}
    for row in range(area.height):
        label = tick_rows.get(row)
        text.append(f"\n{label or '':>{margin}} ", style=_DIM)
        text.append("┤" if label is not None else "│", style=_DIM)
        for cell, colour in zip(cells[row], colours[row], strict=True):
            # Some fonts draw the braille blank as empty circles.
            text.append(" " if cell == _BLANK else cell, style=colour)
    text.append(f"\n{' ' * margin} └{'─' * (area.width - 6)} epoch\n", style=_DIM)
    text.append(" " * (margin + 2) + _epoch_labels(area), style=_DIM)
    return text


def _empty(lines: Sequence[Line], width: int, height: int, message: str) -> Text:
    below = [""] * max(height - 1, 0)
    if below:
        below[len(below) // 2] = message.center(width).rstrip()[:width]
    return Text("\n").join([_legend(lines, width), *(Text(line, style=_DIM) for line in below)])


def _legend(lines: Sequence[Line], width: int) -> Text:
    text = Text()
    for line in lines:
        text.append("━ ", style=line.colour).append(f"{line.series.label}  ")
    text.truncate(max(width, 0), overflow="ellipsis")
    return text


def _padded(low: float, high: float) -> tuple[float, float]:
    """Limits with some room: a flat line runs through the middle, and differences that no label tells stay small."""
    largest = max(abs(low), abs(high))
    room = max((high - low) * 0.05, largest * 1e-4) if low < high else largest * 0.1 or 1.0
    return low - room if low < 0 or low > room else 0.0, high + room


def _cells(lines: Sequence[Line], area: _Area) -> tuple[list[list[str]], list[list[str]]]:
    """Characters and their colours by row, from the top: dots of all lines together, in the colour of the last."""
    cells = [[_BLANK] * area.width for _ in range(area.height)]
    colours = [[""] * area.width for _ in range(area.height)]
    for line in lines:
        canvas = Canvas(area.width, area.height, area.first, area.low, area.last + 1e-9, area.high)
        points = sorted(line.series.values.items())
        # Of the canvas the last column of dots lies inside, the end of the epochs on its edge.
        shrink = (area.width * 2 - 1) / (area.width * 2)
        places = [(area.first + (epoch - area.first) * shrink, value) for epoch, value in points]
        for (x0, y0), (x1, y1) in pairwise(places):
            canvas.line(x0, y0, x1, y1)
        for row, dots in enumerate(canvas.plot(linesep="\n").split("\n")):
            for column, dot in enumerate(dots):
                if dot not in (_BLANK, " "):
                    cells[row][column] = chr(ord(cells[row][column]) | ord(dot))
                    colours[row][column] = line.colour
        if len(points) == 1:
            [(epoch, value)] = points
            row, column = area.row(value), area.column(epoch)
            cells[row][column], colours[row][column] = _DOT, line.colour
    return cells, colours


def _mark(
    cells: list[list[str]], colours: list[list[str]], values: Mapping[int, float], epoch: int, area: _Area
) -> None:
    if epoch in values:
        row, column = area.row(values[epoch]), area.column(epoch)
        cells[row][column], colours[row][column] = _STAR, _STAR_STYLE


def _epoch_labels(area: _Area) -> str:
    """Numbers of epochs under the frame, as many as have room."""
    line = [" "] * area.width
    most = max(area.width // (len(str(int(area.last))) + 3), 2)
    chosen = [value for value in ticks(area.first, area.last, most) if value == int(value)]
    for value in dict.fromkeys([int(area.first), *map(int, chosen), int(area.last)]):
        label = str(value)
        start = min(max(area.column(value) - len(label) // 2, 0), area.width - len(label))
        around = line[max(start - 1, 0) : start + len(label) + 1]
        if not "".join(around).strip():
            line[start : start + len(label)] = label
    return "".join(line)
