"""The ``visionmesh`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from visionmesh.cli import dataset_import, datasets, jobs, predict, registry, up, version
from visionmesh.cli.command import AddressOption, JsonOption, TokenFileOption, TokenOption
from visionmesh.cli.failures import EXIT_CODES_HELP, FAILED, INTERRUPTED, USAGE, CommandError, report
from visionmesh.cli.session import GlobalOptions

app = typer.Typer(
    name="visionmesh",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES_HELP
    + "\n\nExamples:\n\nvisionmesh up\n\nvisionmesh datasets upload photos/ --name flowers\n\n"
    + "visionmesh jobs create --framework timm --model resnet18 --dataset DATASET --epochs 5 --start --watch\n\n"
    + "visionmesh predict JOB photo.jpg",
)


@app.callback()
def _options(
    context: typer.Context,
    address: AddressOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Train vision models on a mesh of your own, and use them.

    The global options stand before or after the name of a command.
    """
    context.obj = GlobalOptions(address, token, token_file, json)


up.add_to(app)
registry.add_to(app)
dataset_commands = datasets.group()
dataset_import.add_to(dataset_commands)
app.add_typer(dataset_commands, name="datasets")
app.add_typer(jobs.group(), name="jobs")
predict.add_to(app)
version.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        # Without its own handling of errors typer raises them, so that wrong usage can be told as JSON too.
        code = app(given, prog_name="visionmesh", standalone_mode=not as_json)
        return code if isinstance(code, int) else 0
    except TyperException as error:
        report(CommandError("USAGE", error.format_message(), USAGE), as_json=True)
        return error.exit_code
    except typer.Abort:
        report(CommandError("ABORTED", "not confirmed"), as_json=as_json)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _quietly()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else FAILED


def _quietly() -> int:
    # The reader of our output has gone; flushing it again at exit would print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
