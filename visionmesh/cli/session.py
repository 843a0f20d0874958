"""What every command is given: where the mesh is, who calls, and where to write."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console

from visionmesh.cli.failures import UNAUTHENTICATED, CommandError
from visionmesh.client import Client

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TOKEN_FILE = Path("visionmesh-data/token")
_PIPE_WIDTH = 200


@dataclass(frozen=True)
class GlobalOptions:
    """The options that every command takes, before or after its name; None where not given."""

    address: str | None = None
    token: str | None = None
    token_file: Path | None = None
    json: bool = False

    def over(self, other: GlobalOptions) -> GlobalOptions:
        """These options, with those of ``other`` where these say nothing."""
        # A token given closer by wins over a token file given further away, so the two go together.
        mine = self.token is not None or self.token_file is not None
        return GlobalOptions(
            address=self.address or other.address,
            token=self.token if mine else other.token,
            token_file=self.token_file if mine else other.token_file,
            json=self.json or other.json,
        )


class Session:
    """One invocation of a command."""

    def __init__(self, options: GlobalOptions, environment: Mapping[str, str] = os.environ) -> None:
        self._options = options
        self._environment = environment
        self.json = options.json
        self.address = options.address or environment.get("VISIONMESH_ADDRESS") or DEFAULT_ADDRESS

    @cached_property
    def out(self) -> Console:
        """Results, on stdout."""
        return _console(stderr=False)

    @cached_property
    def notes(self) -> Console:
        """Progress and remarks, on stderr; nothing of them with ``--json``."""
        return _console(stderr=True, quiet=self.json)

    def token(self) -> str:
        """The Bearer token. Raises ``CommandError`` when there is none."""
        options, environment = self._options, self._environment
        if options.token:
            return options.token
        if options.token_file is not None:
            return _read(options.token_file)
        if token := environment.get("VISIONMESH_TOKEN"):
            return token
        return _read(Path(environment.get("VISIONMESH_TOKEN_FILE") or DEFAULT_TOKEN_FILE))

    def client(self) -> Client:
        """A client of the mesh; use it as a context manager."""
        return Client(self.address, self.token())

    def print_json(self, document: Message | Mapping[str, Any]) -> None:
        """One JSON document on one line of stdout."""
        print(json.dumps(to_json(document), ensure_ascii=False))
        sys.stdout.flush()


def to_json(value: Any) -> Any:
    """Messages as JSON values: snake_case names, names of enum values, empty fields included."""
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if isinstance(value, Mapping):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def _console(*, stderr: bool, quiet: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A pipe has no width; a table must not be cut to 80 columns for it.
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(stderr=stderr, quiet=quiet, width=width, highlight=False, markup=False, emoji=False)


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        message = (
            f"no token: {path} cannot be read ({error.strerror}); start a mesh with `visionmesh up`, "
            "or give --token, --token-file or VISIONMESH_TOKEN"
        )
        raise CommandError("TOKEN_MISSING", message, UNAUTHENTICATED) from error
    if not token:
        raise CommandError("TOKEN_MISSING", f"no token: {path} is empty", UNAUTHENTICATED)
    return token
