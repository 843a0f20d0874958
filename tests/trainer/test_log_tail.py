"""Output becomes lines in one way only, whenever it is read and whoever reads on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from trainer.runs.folder import RunFolder
from trainer.runs.log_tail import MAX_LINE_BYTES, LogTail
from trainer.runs.spool import SpoolReader


def _told(folder: RunFolder) -> list[tuple[int, str, str]]:
    events = [record.event for record in SpoolReader(folder.log_spool).read(0)]
    return [(event.source_sequence, event.log.source, event.log.message) for event in events]


async def _read_to_the_end(folder: RunFolder) -> None:
    over = asyncio.Event()
    over.set()
    await LogTail(folder).follow(over)


async def test_lines_are_bounded_and_progress_bars_show_their_last_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.stdout.write_bytes(b"one\r\n\n 10%\r 50%\r100%\n" + b"x" * (MAX_LINE_BYTES + 5) + b"\nno end")
    await _read_to_the_end(folder)
    assert [message for _, _, message in _told(folder)] == ["one", "100%", "x" * MAX_LINE_BYTES, "x" * 5, "no end"]


async def test_another_agent_goes_on_behind_the_last_line_that_was_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    over = asyncio.Event()
    folder.stdout.write_bytes(b"a\nb\nhalf")
    folder.stderr.write_bytes(b"oh\n")
    following = asyncio.create_task(LogTail(folder).follow(over))
    async with asyncio.timeout(5):
        while len(_told(folder)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    following.cancel()
    with folder.stdout.open("ab") as file:
        file.write(b" a line\nc\n")
    await _read_to_the_end(folder)
    await _read_to_the_end(folder)
    assert _told(folder) == [
        (1, "stdout", "a"),
        (2, "stdout", "b"),
        (3, "stderr", "oh"),
        (4, "stdout", "half a line"),
        (5, "stdout", "c"),
    ]
