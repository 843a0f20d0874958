"""What stood in a file, fit for the message of a problem."""

from __future__ import annotations

_LONGEST = 200


def shown(value: object) -> str:
    """A name or an id on one line, cut where it is long, without what UTF-8 or a terminal cannot show."""
    if value is None:
        return "(none)"
    if isinstance(value, str):
        text = value[:_LONGEST]
        return text if text.isprintable() and text else ascii(text)
    if isinstance(value, int | float):
        # Whoever wrote ten thousand digits need not read them again.
        return str(value) if isinstance(value, float) or abs(value) < 10**20 else "(a huge number)"
    return f"(a {type(value).__name__})"
