"""A bar that shows how far a download is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

ShowBytes = Callable[[int, int, str], None]
"""Told of the bytes that are there, of those there will be, and of what they are."""


@contextmanager
def download_bar(console: Console) -> Iterator[ShowBytes | None]:
    """Give a function that moves the bar, on a terminal."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("downloading {task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("", total=None)

        def show(done: int, total: int, what: str) -> None:
            bars.update(bar, completed=done, total=total, description=what)

        yield show
