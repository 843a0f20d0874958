"""``jobs logs``: the log of a job, from a level on, coloured on a terminal."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from visionmesh.cli.command import command
from visionmesh.cli.job_view import LEVEL
from visionmesh.cli.session import Session
from visionmesh.cli.values import enum_choices, enum_text, enum_value, printable, time_text
from visionmesh.v1 import event_pb2

_STYLES = {
    event_pb2.LOG_LEVEL_DEBUG: "bright_black",
    event_pb2.LOG_LEVEL_INFO: "green",
    event_pb2.LOG_LEVEL_WARNING: "yellow",
    event_pb2.LOG_LEVEL_ERROR: "bold red",
}
_LEVELS_HELP = "Only lines of this level or a graver one: " + ", ".join(enum_choices(event_pb2.LogLevel, LEVEL)) + "."


def add_to(app: typer.Typer) -> None:
    """Add ``jobs logs``."""
    command(
        app,
        "logs",
        examples="visionmesh jobs logs JOB --follow\nvisionmesh jobs logs JOB --level warning",
    )(logs)


def logs(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until the job ends.")] = False,
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help=_LEVELS_HELP)] = "",
) -> None:
    """Show the log of a job; with --json one object per line."""
    least = enum_value(event_pb2.LogLevel, LEVEL, level, "--level") if level else event_pb2.LOG_LEVEL_UNSPECIFIED
    with session.client() as client:
        lines = client.watch_logs(job_id, minimum_level=least) if follow else client.logs(job_id, minimum_level=least)
        for line in lines:
            if session.json:
                session.print_json(line)
            else:
                session.out.print(log_text(line), soft_wrap=True)


def log_text(line: event_pb2.LogLine) -> Text:
    """One line, coloured by its level; what a program wrote cannot act on the terminal."""
    style = _STYLES.get(line.level, "")
    grave = line.level >= event_pb2.LOG_LEVEL_WARNING
    return Text.assemble(
        (time_text(line.time), "bright_black"),
        " ",
        (f"{enum_text(event_pb2.LogLevel, LEVEL, line.level):<7}", style),
        f" {printable(line.source)}: ",
        (printable(line.message), style if grave else ""),
    )
