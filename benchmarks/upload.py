"""Uploading 2 GB in 20,000 files through the gateway: to a local folder against copying the files, and to S3 (a small
real server on this machine, over HTTP) against boto3's own upload; and the most memory that a gateway takes for it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config

from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio, stage
from benchmarks.pictures import write_large_images
from tests import s3_server
from tests.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server
from visionmesh.calls.datasets import DEFAULT_STREAMS
from visionmesh.client import Client
from visionmesh.v1 import dataset_pb2

# As many files as a gateway writes at once.
CONCURRENCY = 8
CHUNK_BYTES = 1 << 20


SIZES = {"files": "files to upload [20,000; 200 with --quick]", "bytes": "of all of them [2 GB; 20 MB with --quick]"}
TARGET, MEMORY_TARGET_MB = 0.7, 300.0


def measure(options: Options) -> Sequence[Report]:
    files = options.sizes.get("files") or (200 if options.quick else 20_000)
    size_bytes = options.sizes.get("bytes") or (20_000_000 if options.quick else 2_000_000_000)
    megabytes = size_bytes / 1e6
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        work, source = Path(root), Path(root) / "source"
        with stage("making files"):
            write_large_images(source, files, size_bytes // files)
        server = open_.enter_context(s3_server.running(s3_server.nanio(), work / "s3"))
        local = open_.enter_context(GatewayProcess(work / "local"))
        place = f"s3://{server.new_bucket()}"
        on_s3 = open_.enter_context(GatewayProcess(work / "on-s3", object_store=place, **server.environment()))
        bucket = server.new_bucket()
        found = in_turns(
            options.runs,
            {
                "copying, synced": lambda: _copy(source, work / "copy", synced=True),
                "copying": lambda: _copy(source, work / "copy", synced=False),
                "boto3 to S3": lambda: _boto3(server, bucket, source),
                "gateway to a folder": lambda: _upload(local, source),
                "gateway to S3": lambda: _upload(on_s3, source),
            },
        )
        peaks = [
            Series(f"peak memory, {name}", "MB", [_peak_megabytes(gateway.pid)], MEMORY_TARGET_MB, at_most=True)
            for name, gateway in (("gateway to a folder", local), ("gateway to S3", on_s3))
        ]
    rates = {name: Series(name, "MB/s", [megabytes / seconds for seconds in values]) for name, values in found.items()}
    return [
        Report(
            "Upload",
            f"{megabytes:,.0f} MB in {files:,} files. By the client's upload_folder over {DEFAULT_STREAMS} "
            "streams, from creating the dataset to the answer of its finalisation: every file is digested by "
            "the client, digested again by the gateway, and durable when acknowledged. Copying runs in "
            f"{CONCURRENCY} threads; synced, each file is written, fsynced, renamed into place and its folder "
            f"fsynced, without digests. boto3 uploads with upload_file from {CONCURRENCY} threads over as many "
            "connections. The server (nanio, one Python process on this machine) checks signatures and is the "
            "same for both; with client, gateway and server on the same processors, it is a good part of the "
            "time. The files are in the system's cache for all. The analysis that follows an upload is waited "
            "for and not counted, but its memory is.",
            [*rates.values()],
            [
                ratio("to S3 / boto3", rates["gateway to S3"], rates["boto3 to S3"], TARGET),
                ratio("to a folder / boto3 to S3", rates["gateway to a folder"], rates["boto3 to S3"], TARGET),
                ratio("to a folder / copying, synced", rates["gateway to a folder"], rates["copying, synced"]),
                ratio("to a folder / copying", rates["gateway to a folder"], rates["copying"]),
                *peaks,
            ],
        )
    ]


def _peak_megabytes(pid: int) -> float:
    """The most memory that a process ever had, as Linux counts it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def _upload(gateway: GatewayProcess, source: Path) -> float:
    with Client(gateway.address, gateway.token) as client:
        began = time.perf_counter()
        dataset = client.upload_folder(source, "upload", format=dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER)
        seconds = time.perf_counter() - began
        client.wait_for_dataset(dataset.id)
        client.delete_dataset(dataset.id)
    return seconds


def _copy(source: Path, target: Path, *, synced: bool) -> float:
    def copy(path: Path) -> None:
        place = target / path.relative_to(source)
        if not synced:
            shutil.copyfile(path, place)
            return
        temporary = target / uuid4().hex
        with path.open("rb") as read, temporary.open("xb") as write:
            shutil.copyfileobj(read, write, CHUNK_BYTES)
            write.flush()
            os.fsync(write.fileno())
        temporary.replace(place)
        _sync(place.parent)

    try:
        return _in_threads(source, copy, lambda folder: (target / folder).mkdir(parents=True, exist_ok=True))
    finally:
        shutil.rmtree(target)


def _boto3(server: S3Server, bucket: str, source: Path) -> float:
    client: Any = boto3.session.Session().client(
        "s3",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(max_pool_connections=CONCURRENCY, s3={"addressing_style": "path"}),
    )
    names = [path.relative_to(source).as_posix() for path in source.glob("*/*")]
    try:
        return _in_threads(
            source, lambda path: client.upload_file(str(path), bucket, path.relative_to(source).as_posix())
        )
    finally:
        for start in range(0, len(names), 1000):
            keys = [{"Key": name} for name in names[start : start + 1000]]
            client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def _in_threads(
    source: Path, work: Callable[[Path], None], folder: Callable[[Path], None] = lambda folder: None
) -> float:
    """Do the work on every file, so many at once; gives the seconds that it took."""
    files = sorted(source.glob("*/*"))
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        began = time.perf_counter()
        for name in sorted({path.parent.relative_to(source) for path in files}):
            folder(name)
        list(threads.map(work, files))
        return time.perf_counter() - began


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(__doc__ or "", measure, sizes=SIZES)
