"""How grave a line of output is, where the line says it: as Python's ``logging`` and ``warnings``, structlog,
ultralytics, and the C++ of torch write it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from visionmesh.v1 import event_pb2

_DEBUG, _INFO = event_pb2.LOG_LEVEL_DEBUG, event_pb2.LOG_LEVEL_INFO
_WARNING, _ERROR = event_pb2.LOG_LEVEL_WARNING, event_pb2.LOG_LEVEL_ERROR

_LEVELS: Mapping[str, event_pb2.LogLevel] = {
    "DEBUG": _DEBUG,
    "INFO": _INFO,
    "NOTICE": _INFO,
    "WARN": _WARNING,
    "WARNING": _WARNING,
    "ERROR": _ERROR,
    "CRITICAL": _ERROR,
    "FATAL": _ERROR,
}
_GLOG = {"I": _INFO, "W": _WARNING, "E": _ERROR, "F": _ERROR}

_WORD = "(?P<word>" + "|".join(_LEVELS) + ")"
_TIME = r"\[?(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?\]?"
# A capital word at the front, behind a time and the name of a logger; or any spelling that is marked off.
_FRONT = re.compile(rf"(?:{_TIME}[\s,:|-]*)?(?:[\w.]+ - )?[\[(<]?{_WORD}(?![\w/=])")
_MARKED = re.compile(rf"(?:{_TIME}\s*)?(?:\[{_WORD}\s*\]|{_WORD.replace('word', 'other')}:)", re.IGNORECASE)
_GLOG_LINE = re.compile(r"(?:\[rank\d+\]:)?\[?([IWEF])(?:\d{4}|\d{8})? (?:\d\d:\d\d:\d\d\S* )?.*?[\w./-]+:\d+\] ")
_PYTHON_WARNING = re.compile(r"\S+:\d+: (?:\w+\.)*\w*Warning: ")
_TRACEBACK = re.compile(r"\s*(?:\+ Exception Group )?Traceback \(most recent call last\):")
_CHAIN = re.compile(
    r"(?:During handling of the above exception|The above exception was the direct cause of).* exception"
)
# Further into a line nothing is looked for: it may be long, and of the program's making.
_HEAD_CHARACTERS = 400
_BAR = re.compile(r"\s*\d{1,3}%\s?\||\d+(?:\.\d+)?\s?(?:it|s|batch|img|[kMG]?i?B)/(?:s|it|batch|img)\b")


class LineLevels:
    """Levels of the lines of one output, in their order.

    A line that says nothing has ``default``, unless it is indented: then it belongs to the line before. A progress bar
    is never more than information, wherever it is written. A traceback is an error up to its last line.
    """

    def __init__(self, default: event_pb2.LogLevel) -> None:
        self._default = default
        self._level = default
        self._in_traceback = False

    def level(self, line: str) -> event_pb2.LogLevel:
        """The level of the next line."""
        self._level = self._next(line[:_HEAD_CHARACTERS])
        return self._level

    def _next(self, line: str) -> event_pb2.LogLevel:
        indented = line[:1].isspace()
        if _TRACEBACK.match(line):
            self._in_traceback = True
            return _ERROR
        if self._in_traceback:
            # Behind the frames, which are indented, one line says what was raised.
            self._in_traceback = indented
            return _ERROR
        if _CHAIN.match(line):
            return _ERROR
        said = _said(line)
        if said is not None:
            return said
        if _BAR.search(line):
            return _INFO
        return self._level if indented else self._default


def _said(line: str) -> event_pb2.LogLevel | None:
    if found := _FRONT.match(line) or _MARKED.match(line):
        groups = found.groupdict()
        return _LEVELS[(groups["word"] or groups["other"]).upper()]
    if found := _GLOG_LINE.match(line):
        return _GLOG[found[1]]
    return _WARNING if _PYTHON_WARNING.match(line) else None
