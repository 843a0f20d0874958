"""The spool: an append-only file of ``RunEvent`` records.

Each record is a header of two little-endian 32-bit numbers, the length of its bytes and a CRC-32 over length and
bytes, then the bytes. A writer that died, or a power cut, leaves at most a torn tail, which readers do not see and the
next writer cuts off. The checksum covers the length so that a tail of zeros is not taken for empty records.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from google.protobuf.timestamp_pb2 import Timestamp

from trainer.runs.bell import Ringer
from trainer.runs.full_disk import Reserve, is_disk_full
from visionmesh.mesh.v1 import run_pb2

MAX_RECORD_BYTES = 32 << 20
_HEADER = struct.Struct("<II")


@dataclass(frozen=True)
class SpoolRecord:
    """An event and the offset behind it, from which reading goes on."""

    event: run_pb2.RunEvent
    end_offset: int


class SpoolReader:
    """Reads a spool that may still be written, or may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, offset: int, *, max_records: int = 500, max_bytes: int = 4 << 20) -> list[SpoolRecord]:
        """Return the next whole records from ``offset``: at least one where there is one, empty at the end."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        records: list[SpoolRecord] = []
        used = 0
        with file:
            file.seek(offset)
            while len(records) < max_records and used < max_bytes:
                data = _read_record(file)
                if data is None:
                    break
                used += _HEADER.size + len(data)
                records.append(SpoolRecord(run_pb2.RunEvent.FromString(data), offset + used))
        return records

    def tail_bytes(self, offset: int) -> int:
        """Bytes behind ``offset``: those of a torn record when ``read`` gives nothing there and the writer is gone."""
        try:
            return self._path.stat().st_size - offset
        except FileNotFoundError:
            return 0


class SpoolWriter:
    """The one writer of a spool. Threads may share it.

    Opening it cuts off a torn tail and goes on with the numbers. A record is with the operating system when ``append``
    returns, so that it survives the process; with ``durable`` it also survives the machine. ``bell`` is the pipe that
    wakes the agent.
    """

    def __init__(
        self, path: Path, source: run_pb2.EventSource, bell: Path | None = None, reserve: Reserve | None = None
    ) -> None:
        """``reserve`` is given up for a record that the disk has no room for."""
        self._source = source
        self._ringer = Ringer(bell) if bell is not None else None
        self._reserve = reserve
        self._lock = threading.Lock()
        self._last_sequence = 0
        self._end = 0
        reader = SpoolReader(path)
        while records := reader.read(self._end):
            self._end = records[-1].end_offset
            for record in records:
                self._last_sequence = max(self._last_sequence, record.event.source_sequence)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._descriptor, self._end)

    @property
    def last_sequence(self) -> int:
        """Number of the last numbered event; 0: none."""
        return self._last_sequence

    def append(self, event: run_pb2.RunEvent, *, durable: bool = True, numbered: bool = True) -> run_pb2.RunEvent:
        """Append an event with this spool's source, its number, and the present time where it has none.

        Events that stay within the run folder are not ``numbered`` (``source_sequence`` 0): numbers of what is
        published have no gaps. Raises OSError, and then the record is not in the spool.
        """
        with self._lock:
            event.source = self._source
            event.source_sequence = self._last_sequence + 1 if numbered else 0
            if not event.HasField("time"):
                event.time.CopyFrom(_now())
            data = event.SerializeToString()
            if len(data) > MAX_RECORD_BYTES:
                raise ValueError(f"an event of {len(data)} bytes is larger than a spool's {MAX_RECORD_BYTES}")
            length = len(data).to_bytes(4, "little")
            record = _HEADER.pack(len(data), _checksum(length, data)) + data
            try:
                self._write(record)
            except OSError as error:
                if self._reserve is None or not is_disk_full(error):
                    raise
                self._reserve.release()
                self._write(record)
            self._end += len(record)
            if numbered:
                self._last_sequence += 1
            if durable:
                os.fsync(self._descriptor)
            if self._ringer is not None:
                self._ringer.ring()
        return event

    def _write(self, record: bytes) -> None:
        """Write a whole record or nothing. Raises OSError."""
        try:
            _write_all(self._descriptor, record)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise

    def close(self) -> None:
        """Make what was written durable and close the file."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        if self._ringer is not None:
            self._ringer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _read_record(file: BinaryIO) -> bytes | None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, checksum = _HEADER.unpack(header)
    if length > MAX_RECORD_BYTES:
        return None
    data = file.read(length)
    if len(data) < length or _checksum(header[:4], data) != checksum:
        return None
    return data


def _checksum(length: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(length))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
