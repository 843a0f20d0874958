"""Locks on files that may be removed while others wait for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainer.cache.locks import FileLock


def test_a_lock_that_was_waited_for_is_not_that_of_a_removed_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    remover = FileLock.acquire(path, exclusive=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(FileLock.acquire, path, exclusive=False)
        time.sleep(0.2)
        assert not waiting.done()
        remover.remove_file()
        remover.release()
        with waiting.result(timeout=60):
            assert FileLock.try_exclusive(path) is None
    lock = FileLock.try_exclusive(path)
    assert lock is not None
    lock.release()
