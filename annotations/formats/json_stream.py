"""A JSON object whose lists may be larger than memory, read item by item (docs/decisions/0009).

    {"info": {…}, "images": [{…}, {…}, …]}

comes out as (info, VALUE, {…}), (images, LIST, None), (images, ITEM, {…}), (images, ITEM, {…}), …

A list in place of the object comes out likewise, under the empty key. Numbers may be NaN and infinite, as Python and
other tools write them against the standard.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, BinaryIO, NamedTuple

_CHUNK_BYTES = 1 << 20
# One item, in characters. What is larger is no image and no annotation; the limit bounds the memory.
MAX_ITEM_LENGTH = 1 << 24
_SPACE = " \t\r\n"
_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
# What may stand behind a number that goes on: 1.5 is followed by e- in "1.5e-3". The empty one: the text ends.
_NUMBER_ENDS = ("", ".", "e", "E", "e+", "e-", "E+", "E-")


class BadJson(Exception):
    """The text is not JSON, or not of the expected form; the message says where and completes "this file …"."""


class Kind(Enum):
    """What was met at the top level."""

    VALUE = "value"  # of a key, whole; no list
    LIST = "list"  # begins: its items follow
    ITEM = "item"


class Found(NamedTuple):
    """A piece of the top level: the key it stands under, what it is, and the value of VALUE and ITEM."""

    key: str
    kind: Kind
    value: Any


def read_pieces(file: BinaryIO) -> Iterator[Found]:
    """Yield the pieces of an object in the order of the text. Raises BadJson where it ends to be one."""
    text = _Text(file)
    if text.take("["):
        yield from _items(text, "")
        text.expect_end()
        return
    text.expect("{", "is no JSON")
    if text.take("}"):
        text.expect_end()
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise text.broken("has a key that is no string")
        text.expect(":")
        if text.take("["):
            yield from _items(text, key)
        else:
            yield Found(key, Kind.VALUE, text.value())
        if not text.take(","):
            break
    text.expect("}")
    text.expect_end()


def _items(text: _Text, key: str) -> Iterator[Found]:
    yield Found(key, Kind.LIST, None)
    if text.take("]"):
        return
    while True:
        yield Found(key, Kind.ITEM, text.value())
        if not text.take(","):
            break
    text.expect("]")


class _Text:
    """The text of a file from where the reading stands; what was read is forgotten."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._forgotten = 0
        self._ended = False

    def value(self) -> Any:
        """The next value, whole."""
        self._skip_space()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                # Perhaps only its end is still to come: that looks no other.
                if self._ended or len(self._text) - self._at > MAX_ITEM_LENGTH:
                    raise self._broken_value(error) from error
            except RecursionError as error:
                raise self.broken("is nested too deeply") from error
            except ValueError as error:
                raise self.broken("has a number of too many digits") from error
            else:
                if self._text[end : end + 3] not in _NUMBER_ENDS or self._ended:
                    self._at = end
                    return value
            # Twice as much each time, so that a long value is not scanned from its beginning for every chunk.
            self._read(max(_CHUNK_BYTES, len(self._text) - self._at))

    def take(self, character: str) -> bool:
        """Step over a character when it comes next."""
        self._skip_space()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def expect(self, character: str, otherwise: str = "") -> None:
        """Step over a character that must come next."""
        if not self.take(character):
            if self._text[self._at :] in _NUMBER_ENDS:
                raise self._cut()
            raise self.broken(otherwise or f"is not JSON: {character} is missing")

    def expect_end(self) -> None:
        """Nothing but space may follow."""
        self._skip_space()
        if self._at < len(self._text):
            raise self.broken("goes on where its JSON ends")

    def broken(self, why: str) -> BadJson:
        """The error that says why, and where."""
        return BadJson(f"{why} (at character {self._forgotten + self._at + 1})")

    def _broken_value(self, error: json.JSONDecodeError) -> BadJson:
        if not self._ended:
            return self.broken(f"is not JSON, or has a value of more than {MAX_ITEM_LENGTH} characters")
        if _is_beginning(self._text[error.pos :], error.msg):
            return self._cut()
        self._at = error.pos
        return self.broken(f"is not JSON: {error.msg}")

    def _cut(self) -> BadJson:
        return BadJson(f"is cut short: it ends after {self._forgotten + len(self._text)} characters")

    def _skip_space(self) -> None:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return
            self._read(_CHUNK_BYTES)

    def _read(self, size: int) -> None:
        data = self._file.read(size)
        self._ended = not data
        try:
            more = self._decode.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.broken("is not text in UTF-8") from error
        self._forgotten += self._at
        self._text = self._text[self._at :] + more
        self._at = 0


def _is_beginning(rest: str, error: str) -> bool:
    """Whether what is at the end of the text, and was not understood, is the beginning of a value."""
    if error.startswith("Unterminated string"):
        return True
    if error.startswith("Invalid \\"):
        return len(rest) < len("\\uXXXX")
    return rest in _NUMBER_ENDS or any(word.startswith(rest) for word in _WORDS)
