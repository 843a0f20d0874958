"""Writing checkpoints beside the training: a disk takes as long for one as some dozens of batches."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from trainer_torch.checkpoint_files import Snapshot, write_checkpoint


class CheckpointWriter:
    """Writes one checkpoint after the other in a thread, into folders below ``checkpoints``.

    Leaving its context waits for the last one, whatever ended the training.
    """

    def __init__(self, checkpoints: Path) -> None:
        self._checkpoints = checkpoints
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def write(self, snapshot: Snapshot, written: Callable[[Path], None]) -> None:
        """Begin to write, once the one before is written; ``written`` is called in the thread, with the folder.

        Raises what kept the one before from being written.
        """
        self.wait()
        self._pending = self._thread.submit(self._write, snapshot, written)

    def wait(self) -> None:
        """Wait until all is written. Raises what kept it from being written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception as lost:
            if error is None:
                raise
            # What ended the training is what is told.
            error.add_note(f"Nor could the last checkpoint be written: {lost}")
        finally:
            self._thread.shutdown()

    def _write(self, snapshot: Snapshot, written: Callable[[Path], None]) -> None:
        written(write_checkpoint(self._checkpoints, snapshot))
