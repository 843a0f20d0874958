"""``jobs download``: a file of a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from visionmesh.cli.download_bar import download_bar
from visionmesh.cli.job_changes import JobArgument
from visionmesh.cli.session import Session
from visionmesh.cli.values import bytes_text


def download(
    session: Session,
    job_id: JobArgument,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="ID", help="This checkpoint; the best, else the last if not given.")
    ] = "",
    file: Annotated[
        str, typer.Option("--file", metavar="NAME", help="This file of it; weights.safetensors if not given.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File or folder to put it; JOB-FILE here if not given."),
    ] = None,
) -> None:
    """Download the weights of a job's best checkpoint, or another file. It appears whole and verified; the same command
    goes on with a download that was interrupted."""
    with session.client() as client:
        try:
            with download_bar(session.notes) as bar:
                done = client.download_checkpoint(
                    job_id,
                    output,
                    checkpoint_id=checkpoint,
                    file_name=file,
                    progress=None if bar is None else lambda there, total: bar(there, total, file or "weights"),
                )
        except KeyboardInterrupt:
            if not session.json:
                print("the same command goes on where this download ended", file=sys.stderr)
            raise
    if session.json:
        session.print_json(
            {
                "job_id": job_id,
                "checkpoint_id": done.checkpoint_id,
                "epoch": done.epoch,
                "path": str(done.path),
                "size_bytes": str(done.file.size_bytes),
                "sha256": done.file.sha256,
                "was_there": done.was_there,
            }
        )
        return
    said = "was there:" if done.was_there else "downloaded"
    of = f"of epoch {done.epoch}, {bytes_text(done.file.size_bytes)}"
    session.out.print(f"{said} {done.path}, {done.file.name} {of}")
