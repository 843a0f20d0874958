"""The agent's own events, on its own spool: their numbers stay the same whoever goes on with the run."""

from __future__ import annotations

import time

from trainer.runs.folder import RunFolder
from trainer.runs.spool import SpoolReader, SpoolWriter
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, event_pb2

PREPARATION_SECONDS = 0.25
MAX_WARNING_CHARACTERS = 4000


class AgentEvents:
    """Writes ``agent.spool``; threads may share it. Everything but the use of resources is on disk before a call
    returns.

    ``checkpoints`` are those told so far, ``ended`` whether the end was told: by this agent or one before it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.checkpoints: list[checkpoint_pb2.Checkpoint] = []
        self.ended = False
        self._preparation_time = 0.0
        reader, offset = SpoolReader(folder.agent_spool), 0
        while records := reader.read(offset):
            offset = records[-1].end_offset
            for record in records:
                if record.event.HasField("checkpoint"):
                    self.checkpoints.append(record.event.checkpoint)
                self.ended = self.ended or record.event.HasField("end")
        self._spool = SpoolWriter(folder.agent_spool, run_pb2.EVENT_SOURCE_AGENT, folder.bell, folder.reserve)

    def preparation(self, message: str, done: int = 0, total: int = 0) -> None:
        """Tell what is done before the first batch; of many parts only some are passed on, and the last."""
        now = time.monotonic()
        if 0 < done < total and now - self._preparation_time < PREPARATION_SECONDS:
            return
        self._preparation_time = now
        preparation = event_pb2.Preparation(message=message, done=done, total=total)
        self._spool.append(run_pb2.RunEvent(preparation=preparation))

    def warn(self, message: str) -> None:
        """Tell a person something to look at, on one line."""
        text = " ".join(message.split())[:MAX_WARNING_CHARACTERS]
        line = event_pb2.LogLine(level=event_pb2.LOG_LEVEL_WARNING, message=text, source="agent")
        line.time.GetCurrentTime()
        self._spool.append(run_pb2.RunEvent(time=line.time, log=line))

    def checkpoint(self, checkpoint: checkpoint_pb2.Checkpoint) -> None:
        """Tell of a checkpoint whose bytes lie verified in the object store."""
        self._spool.append(run_pb2.RunEvent(checkpoint=checkpoint))
        self.checkpoints.append(checkpoint)

    def resources(self, use: event_pb2.ResourceUse) -> None:
        """Tell what the training takes of its machine; a power cut may lose it."""
        self._spool.append(run_pb2.RunEvent(resource_use=use), durable=False)

    def end(self, end: run_pb2.RunEnd) -> None:
        """Tell how the run ended: its last event."""
        self._spool.append(run_pb2.RunEvent(end=end))
        self.ended = True
