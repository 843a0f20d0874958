"""How long nothing was heard of each run, as the database shows it: whichever gateway its agent speaks to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from time import monotonic

from storage.database.tables import TrainingJob


class Silence:
    """Watches ``contact_time`` of the runs change. Only this machine's own steady clock counts: those of other gateways
    may differ, and any clock may be set.

    A run that is seen for the first time was heard of at that moment. After ``gap_seconds`` without a look, say because
    the database was away, nobody could have renewed a lease: then all begin anew.
    """

    def __init__(self, gap_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._gap_seconds = gap_seconds
        self._clock = clock
        self._looked = clock()
        self._heard: dict[str, tuple[datetime | None, float]] = {}  # by run: what it was, and since when

    def look(self, jobs: Collection[TrainingJob]) -> None:
        """Take what the database says now of all jobs that have a run."""
        moment = self._clock()
        known = self._heard if moment - self._looked <= self._gap_seconds else {}
        self._looked = moment
        self._heard = {}
        for job in jobs:
            contact, since = known.get(job.current_run_id, (None, moment))
            self._heard[job.current_run_id] = job.contact_time, since if contact == job.contact_time else moment

    def seconds(self, run_id: str) -> float:
        """Seconds of silence of a run of the last look."""
        return self._clock() - self._heard[run_id][1]
