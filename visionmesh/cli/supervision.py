"""Start the parts of a mesh again when they die, and end them in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from visionmesh.cli.part import Part

_POLL_SECONDS = 0.1
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
# A part that ran this long had recovered: its next death counts as a first one.
_RECOVERED_SECONDS = 60.0


class Supervisor:
    """Watches parts in a thread of its own."""

    def __init__(self, parts: Sequence[Part], tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._tell = tell
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="visionmesh-supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def end(self) -> None:
        """Stop watching; nothing is started any more after this."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        delays = {part.name: _FIRST_DELAY_SECONDS for part in self._parts}
        started = {part.name: time.monotonic() for part in self._parts}
        due: dict[str, float] = {}
        while not self._ending.wait(_POLL_SECONDS):
            now = time.monotonic()
            for part in self._parts:
                if part.running():
                    continue
                if part.name not in due:
                    if now - started[part.name] > _RECOVERED_SECONDS:
                        delays[part.name] = _FIRST_DELAY_SECONDS
                    delay = delays[part.name]
                    self._tell(
                        f"{part.name} ended ({_ending_text(part.exit_code())}) and starts again in {delay:g} s; "
                        f"its log: {part.log_file}"
                    )
                    due[part.name] = now + delay
                    delays[part.name] = min(delay * 2, _LONGEST_DELAY_SECONDS)
                elif now >= due[part.name]:
                    del due[part.name]
                    started[part.name] = now
                    part.start()


def end_parts(parts: Sequence[Part], seconds: float, at_once: threading.Event, tell: Callable[[str], None]) -> None:
    """Ask parts to end, wait for at most ``seconds``, then kill what still runs; at once when told so meanwhile."""
    for part in parts:
        part.terminate()
    deadline = time.monotonic() + seconds
    while any(part.running() for part in parts) and time.monotonic() < deadline and not at_once.is_set():
        at_once.wait(_POLL_SECONDS)
    for part in parts:
        if part.running():
            tell(f"{part.name} is killed: it did not end " + ("yet" if at_once.is_set() else f"in {seconds:g} s"))
            part.kill()
        part.forget()


def _ending_text(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
