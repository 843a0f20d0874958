"""Output becomes lines in one way only, whenever it is read and whoever reads on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from trainer.runs.folder import RunFolder
from trainer.runs.log_tail import MAX_LINE_BYTES, POLL_SECONDS, LogTail
from trainer.runs.spool import SpoolReader
from visionmesh.v1 import event_pb2


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


async def test_a_line_has_the_level_that_it_names(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.stdout.write_text(
        "plain\n"
        "WARNING ⚠️ no labels found in train/cat\n"
        "\x1b[31mERROR\x1b[0m:trainer:the disk is full\n"
        "2026-11-26 04:21:01,123 - my.logger - DEBUG - cache hit\n"
        "2026-11-26T04:21:01.5Z [warning  ] slow disk   job=1\n"
        "INFORMATION is no level, and neither is an Error in words\n"
        "12:01:02 CRITICAL out of memory\n"
    )
    folder.stderr.write_text(
        "says nothing\n"
        "INFO:trainer:one message\n  of two lines\n"
        "/lib/a.py:12: FutureWarning: this will change\n  old()\n"
        "[W1126 12:00:00.123456789 NNPACK.cpp:61] Could not initialize NNPACK!\n"
        "[rank0]:[E1126 12:00:00.1 ProcessGroup.cpp:11] [1] timed out\n"
        "Traceback (most recent call last):\n"
        '  File "train.py", line 1, in <module>\n    boom()\n'
        "ValueError: boom\n"
        "\nDuring handling of the above exception, another exception occurred:\n"
        " 45%|████      | 45/100 [00:01<00:01, 33.21it/s]\n"
    )
    await _read_to_the_end(folder)
    events = [record.event.log for record in SpoolReader(folder.log_spool).read(0)]
    levels = [event_pb2.LogLevel.Name(line.level).removeprefix("LOG_LEVEL_") for line in events]
    assert levels == [
        *("INFO", "WARNING", "ERROR", "DEBUG", "WARNING", "INFO", "ERROR"),
        *("WARNING", "INFO", "INFO", "WARNING", "WARNING", "WARNING", "ERROR"),
        *("ERROR", "ERROR", "ERROR", "ERROR", "ERROR", "INFO"),
    ]
    # Escape sequences would act on the terminal of whoever reads the log.
    assert events[2].message == "ERROR:trainer:the disk is full"


async def test_a_level_that_hangs_on_the_line_before_outlives_the_agent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.stderr.write_text("INFO:trainer:first\n")
    await _read_to_the_end(folder)
    with folder.stderr.open("a") as file:
        file.write("  and more\nnothing\n")
    await _read_to_the_end(folder)
    levels = [record.event.log.level for record in SpoolReader(folder.log_spool).read(0)]
    assert levels == [event_pb2.LOG_LEVEL_INFO, event_pb2.LOG_LEVEL_INFO, event_pb2.LOG_LEVEL_WARNING]


async def test_a_long_progress_bar_is_one_line_however_it_is_read(tmp_path: Path) -> None:
    bar = b"".join(b"\r%3d%%|" % step + "█".encode() * step + b"|" for step in range(1, 101))
    assert len(bar) > 3 * MAX_LINE_BYTES
    last = f"100%|{'█' * 100}|"
    for number, pieces in enumerate(([bar + b"\n"], [bar[:5000], bar[5000:9001], bar[9001:] + b"\n"])):
        folder = RunFolder(tmp_path / str(number))
        folder.path.mkdir()
        over = asyncio.Event()
        following = asyncio.create_task(LogTail(folder).follow(over))
        for piece in pieces:
            with folder.stdout.open("ab") as file:
                file.write(piece)
            await asyncio.sleep(POLL_SECONDS * 1.5)
        over.set()
        await following
        assert _told(folder) == [(1, "stdout", last)]
