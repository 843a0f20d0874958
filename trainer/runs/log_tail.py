"""The training's output, line by line, as events.

How output is cut into lines depends on its bytes alone, never on when they were read: whoever goes on with a run
counts the lines that are told and skips as many.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

from trainer.runs.folder import RunFolder
from trainer.runs.log_levels import LineLevels
from trainer.runs.spool import SpoolReader, SpoolWriter
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

POLL_SECONDS = 0.2
MAX_LINE_BYTES = 4096
_READ_BYTES = 256 << 10

# Colours and the like, and whatever else would act on the terminal of whoever reads the log.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


class LogTail:
    """Tells lines of ``stdout.log`` and ``stderr.log`` on ``log.spool``."""

    def __init__(self, folder: RunFolder) -> None:
        told = _lines_told(folder.log_spool)
        self._spool = SpoolWriter(folder.log_spool, run_pb2.EVENT_SOURCE_LOG, folder.bell, folder.reserve)
        self._files = [
            _LineFile(folder.stdout, "stdout", event_pb2.LOG_LEVEL_INFO, told["stdout"]),
            _LineFile(folder.stderr, "stderr", event_pb2.LOG_LEVEL_WARNING, told["stderr"]),
        ]

    async def follow(self, training_over: asyncio.Event) -> None:
        """Tell lines as they come, until all that was there when the training was over are told."""
        while True:
            last_look = training_over.is_set()
            more = False
            for file in self._files:
                for line in file.read(final=last_look):
                    self._spool.append(run_pb2.RunEvent(time=line.time, log=line), durable=False)
                more = more or file.behind()
            if last_look and not more:
                return
            # Others shall have their turn while a flood of output is read.
            await asyncio.sleep(0 if more else POLL_SECONDS)


class _LineFile:
    """One growing file of lines."""

    def __init__(self, path: Path, source: str, level: event_pb2.LogLevel, skip: int) -> None:
        self._path = path
        self._source = source
        self._levels = LineLevels(level)
        self._skip = skip
        self._offset = 0
        self._rest = b""

    def behind(self) -> bool:
        """Whether the file has bytes that were not read."""
        try:
            return self._path.stat().st_size > self._offset
        except FileNotFoundError:
            return False

    def read(self, *, final: bool) -> list[event_pb2.LogLine]:
        """Return the next lines; ``final`` also gives a last line without its end, when nothing follows."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_READ_BYTES)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        pieces, self._rest = _cut(self._rest + data)
        if final and self._rest and not self.behind():
            pieces.append(self._rest)
            self._rest = b""
        # What was told before counts all the same: a line's level may hang on those before it.
        lines = [(self._levels.level(text), text) for text in map(_shown, pieces) if text]
        skipped = min(self._skip, len(lines))
        self._skip -= skipped
        return [self._line(level, text) for level, text in lines[skipped:]]

    def _line(self, level: event_pb2.LogLevel, text: str) -> event_pb2.LogLine:
        line = event_pb2.LogLine(level=level, message=text, source=self._source)
        line.time.GetCurrentTime()
        return line


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut whole lines, and pieces of lines that are too long, off the front.

    Of a progress bar, a line that begins again and again, nothing is cut off: what was overwritten is dropped.
    """
    pieces: list[bytes] = []
    start = 0
    while True:
        end = data.find(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end >= 0:
            pieces.append(data[start:end])
            start = end + 1
        elif len(data) - start > MAX_LINE_BYTES:
            again = data.rfind(b"\r", start, start + MAX_LINE_BYTES) + 1
            if not again:
                again = start + MAX_LINE_BYTES
                pieces.append(data[start:again])
            start = again
        else:
            return pieces, data[start:]


def _shown(line: bytes) -> str:
    """What a terminal shows of a line: a progress bar overwrites itself, and its last state counts."""
    return _CONTROL.sub("", line.decode(errors="replace").rstrip().rpartition("\r")[2]).rstrip()


def _lines_told(path: Path) -> Counter[str]:
    told: Counter[str] = Counter()
    reader, offset = SpoolReader(path), 0
    while records := reader.read(offset):
        offset = records[-1].end_offset
        told.update(record.event.log.source for record in records)
    return told
