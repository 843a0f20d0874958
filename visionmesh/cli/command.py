"""Register a command with the global options, and turn what it raises into an exit code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from visionmesh.cli.failures import INTERRUPTED, USAGE, CommandError, exit_code_of, report
from visionmesh.cli.session import GlobalOptions, Session
from visionmesh.client import FolderError, VisionMeshError

_PANEL = "Global options"

AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Gateway to call [env: VISIONMESH_ADDRESS; default: 127.0.0.1:50051].",
        rich_help_panel=_PANEL,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="Bearer token [env: VISIONMESH_TOKEN].", rich_help_panel=_PANEL),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with the token [env: VISIONMESH_TOKEN_FILE; default: ./visionmesh-data/token].",
        rich_help_panel=_PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="One JSON document on stdout, or one per line for streams; errors as JSON on stderr.",
        rich_help_panel=_PANEL,
    ),
]

_GLOBAL = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("address", None, AddressOption),
        ("token", None, TokenOption),
        ("token_file", None, TokenFileOption),
        ("json", False, JsonOption),
    )
]
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def command(app: typer.Typer, name: str, *, examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(session, ...)`` as a command with the global options and ``examples`` in its help."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def run(**values: Any) -> None:
            context: typer.Context = values.pop("context")
            given = GlobalOptions(**{parameter.name: values.pop(parameter.name) for parameter in _GLOBAL})
            outer = context.find_root().obj
            session = Session(given.over(outer) if isinstance(outer, GlobalOptions) else given)
            with reporting(session):
                function(session, **values)

        parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own] + [*_GLOBAL, _CONTEXT]
        run.__name__ = function.__name__
        run.__doc__ = function.__doc__
        # typer reads a command's parameters from here.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        app.command(name, epilog=_epilog(examples))(run)
        return function

    return register


@contextmanager
def reporting(session: Session) -> Iterator[None]:
    """Report errors on stderr and exit with their code."""
    try:
        yield
    except VisionMeshError as error:
        report(error, as_json=session.json, address=session.address)
        raise typer.Exit(exit_code_of(error)) from error
    except CommandError as error:
        report(error, as_json=session.json)
        raise typer.Exit(error.exit_code) from error
    except FolderError as error:
        report(CommandError("INVALID_REQUEST", str(error)), as_json=session.json)
        raise typer.Exit(USAGE) from error
    except BrokenPipeError:
        # Whoever read our output has had enough; `main` ends quietly.
        raise
    except OSError as error:
        report(CommandError("FILE_UNREADABLE", str(error)), as_json=session.json)
        raise typer.Exit(USAGE) from error
    except KeyboardInterrupt as error:
        report(CommandError("INTERRUPTED", "interrupted"), as_json=session.json)
        raise typer.Exit(INTERRUPTED) from error


def _epilog(examples: str) -> str:
    # Each example is a paragraph of its own, or the help would run them together.
    return "\n\n".join(["Examples:", *(line.strip() for line in examples.strip().splitlines())])
