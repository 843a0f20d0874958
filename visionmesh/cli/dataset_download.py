"""``datasets download``: into a folder, or as one archive."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from visionmesh.cli.download_bar import ShowBytes, download_bar
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
            with download_bar(session.notes) as bar:
                progress = None if bar is None else partial(_show, bar)
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


def _show(bar: ShowBytes, progress: DownloadProgress) -> None:
    bar(progress.bytes_done, progress.bytes_total, f"{progress.files_done}/{progress.files_total} files")
