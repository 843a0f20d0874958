"""What a trainer server keeps ready so that runs start at once."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.runs.warm.parents import WarmParents
from trainer.runs.warm.spares import SpareAgents


class FastStart:
    """A warm parent, from which training processes are forked, and an agent that waits for a run.

    Each is a help and no more: what cannot be had is started the slow way. Threads take turns.
    """

    def __init__(self, adapter_path: str, threads: int, folder: Path) -> None:
        self._parents = WarmParents(adapter_path, threads, folder / "warm-parent.log")
        self._spares = SpareAgents(folder / "spare-agent.log")
        self._is_warm = False

    def warm_up(self) -> None:
        """Have both from now on."""
        self._is_warm = True
        self._parents.start()
        self._spares.prepare()

    def look_after(self) -> None:
        """Replace what has ended or was given away; asked now and then."""
        if self._is_warm:
            self._parents.start()
            self._spares.prepare()

    def introduce(self) -> socket.socket | None:
        """Give an agent's end of a connection to the warm parent, which is started now at the latest; None: none."""
        return self._parents.introduce()

    def assign(
        self, arguments: Sequence[str], handed: Mapping[str, int], environment: Mapping[str, str], log: int
    ) -> subprocess.Popen[bytes] | None:
        """Make the spare agent that of a run and give its process; None: there is none. See ``SpareAgents.assign``."""
        return self._spares.assign(arguments, handed, environment, log)

    def close(self) -> None:
        """Let both end, the parent once its runs have ended."""
        self._is_warm = False
        self._parents.close()
        self._spares.close()
