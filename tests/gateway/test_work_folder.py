"""The folder for temporary files: gone with its process, however that ends."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.work_folder import WorkFolder, WorkFolderUnusable, disk_errors

HOLDER = """
import sys, time
from pathlib import Path
from gateway.work_folder import WorkFolder

folder = WorkFolder(Path(sys.argv[1]))
(folder.path / "draft").write_text("half")
print(folder.path, flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_goes_at_the_next_start_and_the_living_keep_theirs(tmp_path: Path) -> None:
    def hold() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, left), (living, kept) = hold(), hold()
    try:
        (tmp_path / "someone-elses").mkdir()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert (left / "draft").exists()
        mine = WorkFolder(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"someone-elses", kept.name, mine.path.name}
        (mine.new_folder() / "draft").write_text("half")
        mine.close()
        assert not mine.path.exists() and (kept / "draft").exists()
    finally:
        living.kill()
        living.wait()


def test_a_place_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkFolderUnusable, match=r"cannot use the work folder .*file/inside"):
        WorkFolder(tmp_path / "file" / "inside")


def test_a_full_disk_is_told_from_a_bug(tmp_path: Path) -> None:
    with pytest.raises(WorkFolderUnusable, match="takes no more"), disk_errors():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), disk_errors():
        (tmp_path / "nowhere" / "file").open("wb")
    with closing(sqlite3.connect(tmp_path / "small.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("PRAGMA max_page_count = 3")
        with pytest.raises(WorkFolderUnusable, match="full"), disk_errors():
            database.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
        with pytest.raises(sqlite3.OperationalError), disk_errors():
            database.execute("SELECT nothing FROM nowhere")
