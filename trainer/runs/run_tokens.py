"""Tokens of runs on this machine's disk, beside the run folders: a training process is shown its run folder alone."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from trainer.runs.files import write_whole


class RunTokens:
    """A file for each run, readable by its owner alone: whoever goes on with a run after a restart needs its token."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, run_id: str, token: str) -> None:
        """Keep the token of a run, durable on return."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._folder / run_id, token.encode(), private=True)

    def of(self, run_id: str) -> str:
        """The token of a run; empty when it is not there, and then the gateway refuses the agent."""
        try:
            return (self._folder / run_id).read_text()
        except FileNotFoundError:
            return ""

    def forget_others(self, run_ids: Collection[str]) -> None:
        """Remove the tokens of runs that are not among ``run_ids``: nobody will need them."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.name not in run_ids:
                path.unlink(missing_ok=True)
