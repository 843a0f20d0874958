"""A full disk is told from other errors, whoever met it and whatever it was made into."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.runs.full_disk import RESERVE_BYTES, Reserve, is_disk_full

# No disk of a test can be filled, but a process may be told that no file may grow beyond so much.
WRITE_TENSORS = """
import resource, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from trainer.runs.full_disk import is_disk_full

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
try:
    save_file({"weights": np.zeros(1 << 16)}, sys.argv[1])
except Exception as error:
    assert not isinstance(error, OSError), "it has an error of its own"
    sys.exit(0 if is_disk_full(error) else repr(error))
sys.exit("it was written")
"""


def test_what_the_system_says_is_told_apart() -> None:
    assert all(is_disk_full(OSError(number, "said")) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    others = (OSError(errno.EACCES, "said"), OSError("no number"), RuntimeError("(os error 13)"), ValueError("28"))
    assert not any(map(is_disk_full, others))


def test_an_error_that_came_from_a_full_disk_is_one() -> None:
    with pytest.raises(ValueError) as caught:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise ValueError("the checkpoint could not be written") from error
    assert is_disk_full(caught.value)


def test_safetensors_says_it_in_words_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_TENSORS, str(tmp_path / "weights.safetensors")]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_reserve_takes_its_room_until_it_is_released(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert not reserve.is_released(), "a run that keeps none was never short of room"
    reserve.make()
    assert not reserve.is_released()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    for _ in range(2):
        reserve.release()
        assert reserve.is_released()
