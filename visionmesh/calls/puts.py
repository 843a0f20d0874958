"""Sending files to presigned URLs: plain HTTP, connections kept, failures told apart."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from urllib.parse import SplitResult, urlsplit

from visionmesh.calls.folder import FolderError, LocalFile
from visionmesh.v1 import dataset_pb2

SILENCE_SECONDS = 60.0
_REFUSED = (401, 403)
_PASSING = (408, 425, 429)


class PutFailed(Exception):
    """A file that was not stored. ``refused``: another URL may help; ``passing``: the same may work later."""

    def __init__(self, message: str, *, refused: bool = False, passing: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        self.passing = passing


class Putter:
    """PUTs files, from several threads at once: each keeps its connections. Not for use after ``close``."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def put(self, file: LocalFile, upload: dataset_pb2.PresignedUpload, sent: Callable[[int], None]) -> None:
        """Send one file, telling ``sent`` of bytes as they go. Raises PutFailed, FolderError, OSError of the file."""
        url = urlsplit(upload.url)
        connection = self._connection(url)
        chunks = file.chunks()
        first = next(chunks, b"")  # a file that cannot be read is no failure of the connection
        try:
            connection.putrequest("PUT", f"{url.path}?{url.query}", skip_accept_encoding=True)
            for name, value in upload.headers.items():
                connection.putheader(name, value)
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before the end: the answer says why
                connection.endheaders()
                total = 0
                for chunk in chain((first,), chunks):
                    total += len(chunk)
                    if total > file.size_bytes:
                        break
                    connection.send(chunk)
                    sent(len(chunk))
                if total != file.size_bytes:
                    connection.close()
                    raise FolderError(f"{file.path} has changed while it was sent; try again")
            answer = connection.getresponse()
            said = answer.read(2000)
            answer.close()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise PutFailed(f"{url.netloc}: {error or type(error).__name__}", passing=True) from error
        if answer.status >= 300:
            connection.close()
            raise PutFailed(
                f"{url.netloc} answered {answer.status} {answer.reason}: {said.decode('utf-8', 'replace')}",
                refused=answer.status in _REFUSED,
                passing=answer.status >= 500 or answer.status in _PASSING,
            )

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in self._all:
                connection.close()

    def _connection(self, url: SplitResult) -> http.client.HTTPConnection:
        known: dict[tuple[str, str], http.client.HTTPConnection] = self._mine.__dict__.setdefault("known", {})
        connection = known.get((url.scheme, url.netloc))
        if connection is None:
            kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
            connection = known[url.scheme, url.netloc] = kind(url.netloc, timeout=SILENCE_SECONDS)
            with self._lock:
                self._all.append(connection)
        return connection
