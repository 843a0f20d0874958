"""``datasets download``: into a folder, or as one archive."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from visionmesh.cli.session import Session
from visionmesh.cli.values import bytes_text
from visionmesh.client import Downloaded, DownloadProgress


def download(
    session: Session,
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", help="Id of the dataset.")],
    folder: Annotated[Path | None, typer.Argument(help="Folder for the files; named by DATASET if not given.")] = None,
    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="FILE.tar", help="Save one tar archive in place of a folder.")
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Only files whose path begins with this.")] = "",
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Only of this split: train, val, test; may be repeated.")
    ] = None,
) -> None:
    """Download the files of a dataset. Those that are there with the right bytes are passed over, so the same command
    goes on with a download that was interrupted."""
    if folder is not None and archive is not None:
        raise typer.BadParameter("give a folder or --archive, not both", param_hint="--archive")
    place = archive or folder or Path(dataset_id)
    with session.client() as client:
        bring = client.download_dataset if archive is None else client.download_archive
        try:
            with _bar(session.notes) as progress:
                done = bring(dataset_id, place, path_prefix=prefix, splits=split or [], progress=progress)
        except BaseException:
            if archive is None and not session.json and place.is_dir():
                print("the same command goes on where this download ended", file=sys.stderr)
            raise
    if session.json:
        session.print_json(
            {
                "dataset_id": dataset_id,
                "path": str(place),
                "files": done.files,
                "size_bytes": str(done.size_bytes),
                "files_there": done.files_there,
            }
        )
    else:
        session.out.print(_said(done, place))


def _said(done: Downloaded, place: Path) -> str:
    there = f"; {done.files_there} were there" if done.files_there else ""
    return f"downloaded {done.files} files, {bytes_text(done.size_bytes)}, to {place}{there}"


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[DownloadProgress], None] | None]:
    """Give a progress callback that draws a bar of bytes, on a terminal."""
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

        def show(progress: DownloadProgress) -> None:
            said = f"{progress.files_done}/{progress.files_total} files"
            bars.update(bar, completed=progress.bytes_done, total=progress.bytes_total, description=said)

        yield show
