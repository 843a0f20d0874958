"""Tables and lists of fields, as all commands draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(console: Console, columns: Iterable[str], rows: Iterable[Iterable[object]], *, empty: str) -> None:
    """Draw rows under columns; a column whose name ends with ``#`` is right-aligned. ``empty`` stands for no rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table if table.row_count else empty)


def print_fields(console: Console, fields: Mapping[str, object]) -> None:
    """Draw names and values, one pair a line; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if str(value) not in ("", "-"):
            table.add_row(name, Text(str(value)))
    console.print(table)
