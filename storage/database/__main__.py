"""``python -m storage.database``: migrations and users."""

from __future__ import annotations

import argparse
import asyncio
import sys

from sqlalchemy.orm import Session

from storage.database.engine import Database
from storage.database.errors import DatabaseError, UserMissing
from storage.database.migrate import migrate
from storage.database.users import UserRepository

URL_HELP = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def main() -> int:
    """Runs the command; 1 when the database cannot be opened or a name is taken or missing."""
    arguments = _parser().parse_args()
    try:
        print(asyncio.run(_run(arguments)))
    except DatabaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m storage.database", description="Looks after the database.")
    commands = parser.add_subparsers(dest="command", required=True)
    upgrade = commands.add_parser("migrate", help="bring the tables to the newest version")
    upgrade.add_argument("url", metavar="URL", help=URL_HELP)
    user = commands.add_parser("add-user", help="make a user and print a Bearer token, which is kept as a hash only")
    user.add_argument("url", metavar="URL", help=URL_HELP)
    user.add_argument("name", metavar="NAME")
    token = commands.add_parser("add-token", help="print one more Bearer token of a user; those given before stay good")
    token.add_argument("url", metavar="URL", help=URL_HELP)
    token.add_argument("name", metavar="NAME")
    return parser


async def _run(arguments: argparse.Namespace) -> str:
    if arguments.command == "migrate":
        await asyncio.to_thread(migrate, arguments.url)
        return "The database is up to date."
    database = Database(arguments.url)
    try:
        return await database.write(lambda session: _token(session, arguments.name, arguments.command == "add-user"))
    finally:
        await database.close()


def _token(session: Session, name: str, new: bool) -> str:
    users = UserRepository(session)
    user = users.create(name) if new else users.by_name(name)
    if user is None:
        raise UserMissing(name)
    return users.add_token(user.id, "command line")


if __name__ == "__main__":
    sys.exit(main())
