"""``python -m storage.database migrate URL``."""

from __future__ import annotations

import argparse
import sys

from storage.database.errors import DatabaseUnavailable
from storage.database.migrate import migrate


def main() -> int:
    """Runs the command; 1 when the database cannot be opened."""
    parser = argparse.ArgumentParser(prog="python -m storage.database", description="Looks after the database.")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrade = commands.add_parser("migrate", help="bring the tables to the newest version")
    upgrade.add_argument("url", metavar="URL", help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
    arguments = parser.parse_args()
    try:
        migrate(arguments.url)
    except DatabaseUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    print("The database is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
