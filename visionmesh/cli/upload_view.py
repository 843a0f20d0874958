"""An upload and an analysis as a person watches them: bars on a terminal, a line each elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from visionmesh.cli.values import bytes_text
from visionmesh.client import Client, Folder, UploadProgress
from visionmesh.v1 import dataset_pb2


@contextmanager
def watch_upload(console: Console, folder: Folder) -> Iterator[Callable[[UploadProgress], None] | None]:
    """Give a progress callback that draws a bar of bytes; without a terminal there is a line at the end instead."""
    if not console.is_terminal:
        yield None
        console.print(f"uploaded {len(folder.files)} files, {bytes_text(folder.size_bytes)}")
        return
    columns = (
        TextColumn("uploading {task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(f"{len(folder.files)} files", total=folder.size_bytes)

        def show(progress: UploadProgress) -> None:
            bars.update(
                bar,
                completed=progress.bytes_done,
                description=f"{progress.files_done}/{progress.files_total} files",
            )

        yield show


def watch_analysis(console: Console, client: Client, dataset_id: str) -> dataset_pb2.Dataset:
    """Wait for the end of the analysis, with a bar of files on a terminal."""
    if not console.is_terminal:
        return client.wait_for_dataset(dataset_id)
    columns = (TextColumn("analysing"), BarColumn(), TextColumn("{task.completed}/{task.total} files"))
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("", total=None)

        def show(update: dataset_pb2.WatchDatasetResponse) -> None:
            bars.update(bar, completed=update.analyzed_files, total=update.total_files or None)

        return client.wait_for_dataset(dataset_id, on_update=show)
