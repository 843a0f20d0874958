"""Real S3 servers over HTTP for tests: a small one that checks signatures and can be restarted, and moto's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from pydantic import SecretStr

from storage.objects.s3 import S3ObjectStore
from storage.objects.s3_settings import S3Settings

ACCESS_KEY_ID = "tests"
SECRET_ACCESS_KEY = "secret-of-the-tests"
REGION = "us-east-1"
_START_SECONDS = 60.0


class S3Server:
    """An S3 server in a process of its own; stopped and started again, it listens on the same port.

    ``log`` is the file of what it says, every request among it, since it was last started.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        """``command`` takes a port as its last word and prints its URL when it serves."""
        self._command = command
        self.log = folder / "server.log"
        self._environment = {
            **os.environ,
            "NANIO_ACCESS_KEY": ACCESS_KEY_ID,
            "NANIO_SECRET_KEY": SECRET_ACCESS_KEY,
            "NANIO_DATA_DIR": str(folder / "buckets"),
            "NANIO_REGION": REGION,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command, str(self.port)], env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_SECONDS
        while (found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())) is None:
            assert self._process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        self.port = int(found[1])

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def settings(self, **changes: Any) -> S3Settings:
        """``changes`` name settings without their prefix."""
        given: dict[str, Any] = {
            "s3_endpoint_url": self.url,
            "s3_region": REGION,
            "s3_access_key_id": ACCESS_KEY_ID,
            "s3_secret_access_key": SecretStr(SECRET_ACCESS_KEY),
            "s3_path_style": True,
            "s3_part_bytes": 5 << 20,
            "s3_transfers": 4,
            "s3_connect_timeout_seconds": 2.0,
            "s3_read_timeout_seconds": 10.0,
            "s3_attempts": 2,
            "s3_outage_seconds": 0.0,
        }
        return S3Settings(**{**given, **{f"s3_{name}": value for name, value in changes.items()}})

    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            "VISIONMESH_S3_ENDPOINT_URL": self.url,
            "VISIONMESH_S3_REGION": REGION,
            "VISIONMESH_S3_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "VISIONMESH_S3_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "VISIONMESH_S3_PATH_STYLE": "true",
            # Tests of outages need not wait as long as people would.
            "VISIONMESH_S3_OUTAGE_SECONDS": "2",
        }

    def client(self) -> Any:
        """boto3's own client, to look behind the store's back."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    def new_bucket(self) -> str:
        bucket = f"bucket-{uuid4().hex}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def new_store(self, prefix: str = "some/prefix/") -> S3ObjectStore:
        return S3ObjectStore(self.new_bucket(), prefix, self.settings())


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[S3Server]:
    folder.mkdir(parents=True, exist_ok=True)
    server = S3Server(command, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def nanio() -> list[str]:
    """A small server on disk that checks signatures."""
    return [sys.executable, "-m", "uvicorn", "nanio.app:build_app", "--factory", "--host", "127.0.0.1", "--port"]


def moto() -> list[str]:
    """moto's server, in memory: closest to the semantics of Amazon's."""
    return [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port"]
