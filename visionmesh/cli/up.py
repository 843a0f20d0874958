"""``up``: run a whole mesh on this machine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from visionmesh.cli.command import command
from visionmesh.cli.failures import CommandError
from visionmesh.cli.session import Session

if TYPE_CHECKING:
    from visionmesh.cli.processes import EmbeddedMesh


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(
        app,
        "up",
        examples=(
            "visionmesh up\nvisionmesh up --port 0 --data-folder /srv/visionmesh\n"
            "visionmesh up --trainer trainer_timm --trainer examples.trainer_centroid"
        ),
    )(up)


def up(
    session: Session,
    data_folder: Annotated[
        Path, typer.Option("--data-folder", file_okay=False, help="Where everything is kept.")
    ] = Path("visionmesh-data"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to serve; 0: any that is free.")] = 50051,
    database_url: Annotated[
        str, typer.Option("--database-url", metavar="URL", help="Database in place of the folder's SQLite file.")
    ] = "",
    object_store: Annotated[
        str,
        typer.Option(
            "--object-store", metavar="PLACE", help="Folder or s3://BUCKET/PREFIX in place of the folder's own."
        ),
    ] = "",
    trainers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainer", metavar="MODULE", help="Trainer to run, a module of the checkout; again for more [all it has]."
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option("--home", file_okay=False, help="Checkout that holds the servers [env: VISIONMESH_HOME]."),
    ] = None,
) -> None:
    """Start gateway and trainers on this machine, and run them until Ctrl-C.

    A part that dies is started again. Ctrl-C stops trainings at their next batch, to go on when the mesh is started
    again, then the servers; a second Ctrl-C stops everything at once. With --json one object says when the mesh is
    ready.
    """
    # Process management wants a Unix; the rest of the command does not.
    from visionmesh.cli.processes import TRAINERS, EmbeddedMesh, MeshError

    mesh = EmbeddedMesh(
        data_folder,
        port,
        home,
        database_url=database_url,
        object_store=object_store,
        trainers=trainers or TRAINERS,
        on_message=session.notes.print,
    )
    with _stopping_on_signals(mesh) as stopping:
        try:
            if session.notes.is_terminal:
                with session.notes.status("starting gateway and trainers"):
                    mesh.start()
            else:
                mesh.start()
        except MeshError as error:
            if stopping.is_set():
                session.notes.print("stopped")
                return
            raise CommandError("MESH_NOT_STARTED", str(error)) from error
        try:
            _introduce(session, mesh)
            while not stopping.wait(0.5):
                continue
            session.notes.print("stopping; trainings end at their next batch (Ctrl-C again stops at once)")
        finally:
            mesh.stop()
        session.notes.print("stopped")


@contextmanager
def _stopping_on_signals(mesh: EmbeddedMesh) -> Iterator[threading.Event]:
    """Give an event that the first signal sets; a second one kills."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            mesh.kill()
        stopping.set()
        mesh.request_stop()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _introduce(session: Session, mesh: EmbeddedMesh) -> None:
    token_file, root = mesh.token_file, mesh.folder.root
    if session.json:
        session.print_json(
            {
                "address": mesh.address,
                "token_file": str(token_file),
                "data_folder": str(root),
                "logs": str(root / "logs"),
                "processes": mesh.pids(),
            }
        )
        return
    print_line = session.out.print
    print_line(f"VisionMesh serves on {mesh.address}", style="bold green")
    print_line(f"  token  {token_file}", soft_wrap=True)
    print_line(f"  logs   {root / 'logs'}", soft_wrap=True)
    print_line("  try")
    print_line(
        f'    grpcurl -plaintext -H "authorization: Bearer $(cat {token_file})" {mesh.address} '
        "visionmesh.v1.RegistryService/ListFrameworks",
        soft_wrap=True,
    )
    print_line(
        f"    visionmesh frameworks --address {mesh.address} --token-file {token_file}",
        soft_wrap=True,
    )
    print_line("Ctrl-C stops it.")
