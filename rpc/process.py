"""What every server process of the mesh does at its start and at its end."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar, cast

from pydantic import AfterValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from rpc.kill_points import VARIABLE as KILL_VARIABLE
from rpc.kill_points import check_kill_point
from rpc.server import HealthyServer

ENVIRONMENT_PREFIX = "VISIONMESH_"
WRONG_SETTINGS = 2


def _host_and_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or any(map(str.isspace, host)) or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{address!r} is not host:port, for example 127.0.0.1:50051")
    return address


def _hosts_and_ports(addresses: str) -> str:
    return ",".join(_host_and_port(address.strip()) for address in addresses.split(","))


Address = Annotated[str, AfterValidator(_host_and_port)]
# One or more, between commas.
Addresses = Annotated[str, AfterValidator(_hosts_and_ports)]

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class AddressInUse(Exception):
    """The address to listen on cannot be bound."""


def read_settings(settings: type[SettingsT], program: str, description: str) -> SettingsT:
    """The settings from the environment; ``--help`` prints every variable with its meaning and default.

    Exits with code 2 and one line on standard error when something is missing or wrong; values are not repeated.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=describe_settings(settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        check_kill_point()
    except ValueError as error:
        refuse(program, f"{KILL_VARIABLE} is wrong: {error}.")
    try:
        return settings()
    except ValidationError as error:
        refuse(program, _describe_problems(settings, error))


def describe_settings(settings: type[BaseSettings]) -> str:
    """A line for each environment variable: its name, its meaning, its default."""
    # What a process has of its own comes before what it shares with others.
    fields = sorted(settings.model_fields.items(), key=lambda item: item[0] not in settings.__annotations__)
    lines = [_described(name, field) for name, field in fields]
    return "environment variables:\n" + "\n".join(lines)


def refuse(program: str, problem: str) -> NoReturn:
    """End the process: its settings are wrong, or what they name cannot be used."""
    sys.stderr.write(f"{program}: {problem}\n")
    sys.exit(WRONG_SETTINGS)


def bind(served: HealthyServer, address: str) -> str:
    """Bind a server and return its address, the port it was given included. Raises AddressInUse."""
    try:
        port = served.server.add_insecure_port(address)
    except RuntimeError as error:
        raise AddressInUse(
            f"The address {address} cannot be listened on: it is in use or not this machine's."
        ) from error
    return f"{address.rpartition(':')[0]}:{port}"


def listen_for_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the next one has its usual effect."""
    loop = asyncio.get_running_loop()
    told_to_end = asyncio.Event()

    def end() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        told_to_end.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    return told_to_end


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it is installed, else None, which means the standard one."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ModuleNotFoundError:
        return None
    return cast(type[asyncio.AbstractEventLoop], uvloop.Loop)


def write_addresses(path: Path, addresses: Mapping[str, str]) -> None:
    """Tell who waits for it where this process serves; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(dict(addresses)))
    temporary.replace(path)


def _describe_problems(settings: type[BaseSettings], error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "missing":
            problems.append(f"{_variable(name)} is not set: {settings.model_fields[name].description}")
        else:
            where = f"{_variable(name)} is wrong" if name else "The settings cannot be used"
            problems.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}.")
    return " ".join(problems)


def _described(name: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"default: {_shown(field.default)}"
    indent = " " * 6
    meaning = textwrap.wrap(
        f"{field.description} ({default})", width=100, initial_indent=indent, subsequent_indent=indent
    )
    return "\n".join([f"  {_variable(name)}", *meaning])


def _variable(name: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
