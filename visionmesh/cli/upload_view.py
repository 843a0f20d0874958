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
        what = folder.root.name if folder.is_archive else f"{len(folder.files)} files"
        console.print(f"uploaded {what}, {bytes_text(folder.size_bytes)}")
        return
    columns = (
        TextColumn("uploading {task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("", total=folder.size_bytes)
        resumes = -1

        def show(progress: UploadProgress) -> None:
            nonlocal resumes
            total = f"/{progress.files_total}" if progress.files_total else ""
            description = f"{progress.files_done}{total} files"
            if progress.resumes != resumes:
                # What was there before was not sent just now: rate and time left are of what is sent from here on.
                resumes = progress.resumes
                bars.reset(bar, total=folder.size_bytes, completed=progress.bytes_done, description=description)
            else:
                bars.update(bar, completed=progress.bytes_done, description=description)

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
