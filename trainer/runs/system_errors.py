"""What the operating system said behind an error, whichever library passed it on."""

from __future__ import annotations

import re
from collections.abc import Iterator

# An error that came from a worker of Python, or from a library in Rust such as safetensors, has its number in its text
# alone.
_NUMBER = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)|\bOs \{ code: (\d+)")


def error_number(error: BaseException) -> int | None:
    """The ``errno`` of an error; None when it has none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(next(filter(None, found.groups()))) if found else None


def came_from(error: BaseException, *, also_during: bool = False) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; ``also_during`` those that it was raised while handling."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (link.__context__ if also_during else None)
