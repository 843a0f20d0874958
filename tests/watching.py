"""Someone who follows a job in a thread of his own."""

from __future__ import annotations

import threading

from visionmesh.client import Client, Patience
from visionmesh.v1 import event_pb2


class Watching:
    """Someone who watches all the while, over a connection that breaks."""

    def __init__(self, client: Client, job_id: str) -> None:
        self.events: list[event_pb2.JobEvent] = []
        self.breaks = 0
        self._thread = threading.Thread(target=self._watch, args=(client, job_id), daemon=True)
        self._thread.start()

    def to_the_end(self) -> list[event_pb2.JobEvent]:
        self._thread.join(120)
        assert not self._thread.is_alive()
        return self.events

    def _watch(self, client: Client, job_id: str) -> None:
        def broke(error: Exception, seconds: float) -> None:
            self.breaks += 1

        for event in client.watch_job(job_id, patience=Patience(60, broke)):
            self.events.append(event)
