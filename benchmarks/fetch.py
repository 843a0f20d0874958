"""Fetching a dataset of 20,000 files (2 GB) from S3 over a network of 10 ms round trip, as a run's agent does before
the first training on it, against boto3's download_file, one file after the other.
"""

from __future__ import annotations

import asyncio
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

from benchmarks.gateway_process import GatewayProcess
from benchmarks.measure import Options, Report, Series, in_turns, main, ratio, stage
from benchmarks.records import run_token, running_job
from benchmarks.slow_network import SlowNetwork
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.manifest import Manifest, ManifestFile
from storage.objects.s3 import S3ObjectStore
from storage.objects.s3_settings import S3Settings
from storage.objects.store import ObjectStore
from tests import s3_server
from tests.s3_server import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from trainer.cache.datasets import DatasetCache
from trainer.cache.fetch import PARALLEL_DOWNLOADS
from trainer.runs.object_signing import ObjectSigner
from visionmesh.mesh.v1 import run_pb2

ROUND_TRIP_MS = 10.0
FILE_BYTES = 100_000
TARGET = 5.0
# One file after the other has a rate that does not depend on how many there are: a part of them says it.
ONE_BY_ONE_SHARE = 10


def measure(options: Options) -> Sequence[Report]:
    count = 1_000 if options.quick else 20_000
    with tempfile.TemporaryDirectory(prefix="visionmesh-bench-") as root, ExitStack() as open_:
        work = Path(root)
        server = open_.enter_context(s3_server.running(s3_server.nanio(), work / "s3"))
        bucket = server.new_bucket()
        gateway = open_.enter_context(
            GatewayProcess(work / "gateway", object_store=f"s3://{bucket}", **server.environment())
        )
        run = running_job(gateway.database_url)
        with stage("storing files"):
            files = _store(S3ObjectStore(bucket, "", server.settings()), run.dataset_id, count)
        digest = _store_manifest(S3ObjectStore(bucket, "", server.settings()), run.dataset_id, files)
        network = open_.enter_context(SlowNetwork(server.port, ROUND_TRIP_MS))
        far = f"http://127.0.0.1:{network.port}"
        settings = server.settings(endpoint_url=far, access_key_id=None, secret_access_key=None)
        agent = _Agent(run, digest, bucket, settings, gateway)
        some = files[::ONE_BY_ONE_SHARE]
        found = in_turns(
            options.runs,
            {
                "boto3, one by one": lambda: _one_by_one(far, bucket, run.dataset_id, some, work / "plain"),
                "agent": lambda: agent.fetch(count, work / "cache"),
            },
        )
    one_by_one = Series("boto3, one by one", "files/s", [len(some) / seconds for seconds in found["boto3, one by one"]])
    fetched = Series("agent", "files/s", [count / seconds for seconds in found["agent"]])
    return [
        Report(
            "Fetching a dataset from S3",
            f"{count:,} files of {FILE_BYTES:,} bytes over a round trip of {ROUND_TRIP_MS:g} ms (a proxy in a process "
            "of its own holds everything back by half of it, each way). The agent opens an empty dataset cache: the "
            f"manifest, then {PARALLEL_DOWNLOADS} files at once, each from a URL that a gateway signs, each digested "
            "and compared, all flushed to disk and renamed into place. boto3's download_file fetches every "
            f"{ONE_BY_ONE_SHARE}th file, one after the other over a connection that stays open, without digests and "
            "without a flush. The server (nanio, one Python process) is the same for both; with it, the proxy and the "
            "gateway on the same processors, they are a good part of the agent's time.",
            [one_by_one, fetched],
            [ratio("agent / one by one", fetched, one_by_one, TARGET)],
        )
    ]


class _Agent:
    """What a run's agent does with the store, of which it has no key."""

    def __init__(
        self, run: run_pb2.RunSpec, digest: str, bucket: str, settings: S3Settings, gateway: GatewayProcess
    ) -> None:
        self._dataset_id = run.dataset_id
        self._digest = digest
        self._bucket = bucket
        self._settings = settings
        self._mesh_address = gateway.mesh_address
        self._token = run_token(gateway.database_url, run.run_id)

    def fetch(self, count: int, folder: Path) -> float:
        """Seconds until a dataset of ``count`` files is in the cache at ``folder``, which is removed then."""
        return asyncio.run(self._fetch(count, folder))

    async def _fetch(self, count: int, folder: Path) -> float:
        signer = ObjectSigner(self._mesh_address, self._token)
        signing = asyncio.create_task(signer.run())
        try:
            return await asyncio.to_thread(self._open, signer, count, folder)
        finally:
            signing.cancel()

    def _open(self, signer: ObjectSigner, count: int, folder: Path) -> float:
        store = S3ObjectStore(self._bucket, "", self._settings, signer.sign)
        began = time.perf_counter()
        with DatasetCache(folder, store, 1 << 40).open(self._dataset_id, self._digest, None) as dataset:
            seconds = time.perf_counter() - began
            assert len(dataset.samples) == count
        shutil.rmtree(folder)
        return seconds


def _store(store: ObjectStore, dataset_id: str, count: int) -> list[ManifestFile]:
    randomness = Random(0)

    def put(number: int) -> ManifestFile:
        data = contents[number % len(contents)]
        path = f"train/class-{number % 10}/{number:05}.jpg"
        info = store.put(keys.dataset_file(dataset_id, path), data)
        return ManifestFile(path, info.size_bytes, info.sha256, "train", number % 10)

    contents = [randomness.randbytes(FILE_BYTES) for _ in range(16)]
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(put, range(count)))


def _store_manifest(store: ObjectStore, dataset_id: str, files: Sequence[ManifestFile]) -> str:
    names = tuple(f"class-{number}" for number in range(10))
    data = Manifest(dataset_id, "DICE", ("IMAGE_CLASSIFICATION",), names, tuple(files)).to_bytes()
    store.put(keys.manifest(dataset_id), data)
    return sha256_bytes(data)


def _one_by_one(url: str, bucket: str, dataset_id: str, files: Sequence[ManifestFile], folder: Path) -> float:
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
        client.download_file(bucket, keys.dataset_file(dataset_id, file.path), str(folder / file.path))
    seconds = time.perf_counter() - began
    shutil.rmtree(folder)
    return seconds


if __name__ == "__main__":
    main(__doc__ or "", measure)
