"""Fetching a dataset of 20,000 files (2 GB) from S3 over a network of 10 ms round trip, as a trainer does before it
first trains on it, against boto3's download_file, one file after the other.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.measure import Options, Report, Series, in_turns, main, ratio, stage
from benchmarks.slow_network import SlowNetwork
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.manifest import Manifest, ManifestFile
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import ObjectStore
from tests import s3_server
from tests.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from trainer.cache.datasets import DatasetCache
from trainer.cache.fetch import PARALLEL_DOWNLOADS

ROUND_TRIP_MS = 10.0
FILE_BYTES = 100_000
DATASET = "benchmark"
TARGET = 5.0
# One file after the other has a rate that does not depend on how many there are: a part of them says it.
ONE_BY_ONE_SHARE = 10


def measure(options: Options) -> Sequence[Report]:
    count = 1_000 if options.quick else 20_000
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        work = Path(root)
        server = open_.enter_context(s3_server.running(s3_server.nanio(), work / "s3"))
        bucket = server.new_bucket()
        with stage("storing files"):
            files = _store(S3ObjectStore(bucket, "", server.settings()), count)
        digest = _store_manifest(S3ObjectStore(bucket, "", server.settings()), files)
        network = open_.enter_context(SlowNetwork(server.port, ROUND_TRIP_MS))
        far = f"http://127.0.0.1:{network.port}"
        store = S3ObjectStore(bucket, "", server.settings(endpoint_url=far))
        some = files[::ONE_BY_ONE_SHARE]
        found = in_turns(
            options.runs,
            {
                "boto3, one by one": lambda: _one_by_one(far, bucket, some, work / "plain"),
                "trainer": lambda: _trainer(store, digest, count, work / "cache"),
            },
        )
    one_by_one = Series("boto3, one by one", "files/s", [len(some) / seconds for seconds in found["boto3, one by one"]])
    trainer = Series("trainer", "files/s", [count / seconds for seconds in found["trainer"]])
    return [
        Report(
            "Fetching a dataset from S3",
            f"{count:,} files of {FILE_BYTES:,} bytes over a round trip of {ROUND_TRIP_MS:g} ms (a proxy in a process "
            "of its own holds everything back by half of it, each way). The trainer opens its empty dataset cache: the "
            f"manifest, then {PARALLEL_DOWNLOADS} files at once, each digested and compared, all flushed to disk and "
            f"renamed into place. boto3's download_file fetches every {ONE_BY_ONE_SHARE}th file, one after the other "
            "over a connection that stays open, without digests and without a flush. The server (nanio, one Python "
            "process) is the same for both; with it and the proxy on the same processors, it is a good part of the "
            "trainer's time.",
            [one_by_one, trainer],
            [ratio("trainer / one by one", trainer, one_by_one, TARGET)],
        )
    ]


def _store(store: ObjectStore, count: int) -> list[ManifestFile]:
    randomness = Random(0)

    def put(number: int) -> ManifestFile:
        data = contents[number % len(contents)]
        path = f"train/class-{number % 10}/{number:05}.jpg"
        info = store.put(keys.dataset_file(DATASET, path), data)
        return ManifestFile(path, info.size_bytes, info.sha256, "train", number % 10)

    contents = [randomness.randbytes(FILE_BYTES) for _ in range(16)]
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(put, range(count)))


def _store_manifest(store: ObjectStore, files: Sequence[ManifestFile]) -> str:
    names = tuple(f"class-{number}" for number in range(10))
    data = Manifest(DATASET, "DICE", ("IMAGE_CLASSIFICATION",), names, tuple(files)).to_bytes()
    store.put(keys.manifest(DATASET), data)
    return sha256_bytes(data)


def _trainer(store: ObjectStore, digest: str, count: int, folder: Path) -> float:
    began = time.perf_counter()
    with DatasetCache(folder, store, 1 << 40).open(DATASET, digest, None) as dataset:
        seconds = time.perf_counter() - began
        assert len(dataset.samples) == count
    shutil.rmtree(folder)
    return seconds


def _one_by_one(url: str, bucket: str, files: Sequence[ManifestFile], folder: Path) -> float:
    client: Any = boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    for parent in {(folder / file.path).parent for file in files}:
        parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for file in files:
        client.download_file(bucket, keys.dataset_file(DATASET, file.path), str(folder / file.path))
    seconds = time.perf_counter() - began
    shutil.rmtree(folder)
    return seconds


if __name__ == "__main__":
    main(__doc__ or "", measure)
