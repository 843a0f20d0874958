"""A small server that speaks as much of the hub's protocol as fetching a file takes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HubServer(ThreadingHTTPServer):
    """Serves ``files`` (``owner/name/file`` → bytes) of one commit.

    ``refusal`` answers everything with a status and an error code, and ``delay_seconds`` comes before any answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, files: Mapping[str, bytes], refusal: tuple[int, str] | None = None, delay_seconds: float = 0.0
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.refusal = refusal
        self.delay_seconds = delay_seconds
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(server: HubServer) -> Iterator[HubServer]:
    """Serve until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        content = self._answer()
        if content is not None:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of tests quiet."""

    def _answer(self) -> bytes | None:
        self.server.requests.append((self.command, self.path))
        time.sleep(self.server.delay_seconds)
        content = self.server.files.get(self.path.strip("/").replace("/resolve/main/", "/"))
        if self.server.refusal is not None or content is None:
            status, code = self.server.refusal or (404, "EntryNotFound")
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        return content
