"""The folder for temporary files: gone with its process, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.work_folder import WorkFolder, WorkFolderUnusable

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
        with mine.scratch() as scratch:
            (scratch / "x").write_text("x")
        assert [*mine.path.iterdir()] == []
        mine.close()
        assert not mine.path.exists() and (kept / "draft").exists()
    finally:
        living.kill()
        living.wait()


def test_a_place_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkFolderUnusable, match=r"cannot use the work folder .*file/inside"):
        WorkFolder(tmp_path / "file" / "inside")
