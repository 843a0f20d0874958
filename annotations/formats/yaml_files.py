"""YAML that strangers wrote, as plain text, lists and mappings: no tags, no bombs.

Every scalar stays the text that stands in the file, so that a class called ``no`` is not turned into False.
"""

from __future__ import annotations

from typing import Any

import yaml

from annotations.formats.small_files import Unreadable, read_bytes
from annotations.reading import Source

MAX_YAML_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 20
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}


def read_yaml(source: Source, path: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; values are str, list or dict. Raises Unreadable."""
    return parse_yaml(read_bytes(source, path, MAX_YAML_BYTES))


def parse_yaml(data: bytes) -> dict[str, Any]:
    """The mapping that YAML in bytes holds. Raises Unreadable."""
    try:
        _refuse_tricks(data)
        # The base loader makes text, lists and dicts, and nothing else; yaml.safe_load would also resolve types.
        content = yaml.load(data, Loader=yaml.CBaseLoader)
    except (yaml.YAMLError, UnicodeError, ValueError, TypeError) as error:
        raise Unreadable(f"The file is no valid YAML: {_said(error)}.") from error
    if not isinstance(content, dict):
        raise Unreadable("The file holds no mapping of names to values, as `names: [cat, dog]` would be.")
    return {key: value for key, value in content.items() if isinstance(key, str)}


def _refuse_tricks(data: bytes) -> None:
    """Go through the events, which cost no more memory than the file, before anything is built of them.

    Aliases of text are harmless; of lists and mappings they can name each other without end, or grow a small file into
    gigabytes.
    """
    depth = 0
    texts: set[str] = set()
    for event in yaml.parse(data, Loader=yaml.CBaseLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in texts:
                raise Unreadable("The file repeats a list or a mapping by an alias (`*name`). Write it out.")
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.tag is not None and event.tag not in _PLAIN_TAGS and event.tag != "!":
                raise Unreadable(f"The file asks for an object of a program by the tag {event.tag[:80]!r}. Remove it.")
            if isinstance(event, yaml.ScalarEvent) and event.anchor:
                texts.add(event.anchor)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise Unreadable(f"The file is nested more than {_MAX_DEPTH} levels deep.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _said(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return "it cannot be read as text" if isinstance(error, UnicodeError) else f"{error} "[:200].split("\n")[0].strip()
