"""Rows of validation images in the store: read, verified, kept in memory for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from rpc.errors import DomainError
from storage.objects.digest import sha256_bytes
from storage.objects.errors import ObjectNotFound
from storage.objects.store import ObjectStore
from storage.objects.validation_images import ValidationImages

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 2
CACHE_BYTES = 64 << 20


class ValidationObjects:
    """The objects of all jobs. Nothing of the store, and no decoding, happens on the event loop."""

    def __init__(self, store: ObjectStore, *, cache_bytes: int = CACHE_BYTES) -> None:
        """``cache_bytes``: decoded rows in memory, at most, the least recently asked for going first."""
        self._store = store
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[str, ValidationImages] = OrderedDict()  # by digest, which names their content
        self._loading: dict[str, asyncio.Task[ValidationImages]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="validation")

    async def close(self) -> None:
        """End what is under way."""
        tasks = [*self._loading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def load(self, stored: Mapping[str, Any]) -> ValidationImages:
        """The rows of an object as a checkpoint's record names it; concurrent calls read it once.

        Raises STORAGE_CORRUPT when it is missing or not the bytes that were published, StoreUnavailable.
        """
        digest, path = stored["sha256"], stored["storage_path"]
        if digest in self._cache:
            self._cache.move_to_end(digest)
            return self._cache[digest]
        loading = self._loading.get(path)
        if loading is None:
            loading = asyncio.create_task(self._load(stored))
            self._loading[path] = loading
            loading.add_done_callback(lambda task: self._loaded(path, task))
        # One caller's end must not end it for the others.
        return await asyncio.shield(loading)

    async def _load(self, stored: Mapping[str, Any]) -> ValidationImages:
        images = await self.in_thread(_read, self._store, stored)
        if images.memory_bytes <= self._cache_bytes:
            self._cache[stored["sha256"]] = images
            while sum(item.memory_bytes for item in self._cache.values()) > self._cache_bytes:
                self._cache.popitem(last=False)
        return images

    def _loaded(self, path: str, task: asyncio.Task[ValidationImages]) -> None:
        self._loading.pop(path, None)
        if not task.cancelled():
            task.exception()  # seen, also when every caller has left

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work on rows or store in one of the few threads for it."""
        call = partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _read(store: ObjectStore, stored: Mapping[str, Any]) -> ValidationImages:
    path, size, expected = stored["storage_path"], stored["size_bytes"], stored["sha256"]
    data = bytearray()
    with suppress(ObjectNotFound):  # no bytes at all: their digest is another
        for chunk in store.read(path):
            data += chunk
            if len(data) > size:
                break
    found = sha256_bytes(bytes(data))
    if found != expected:
        raise _corrupt(stored, f"its SHA-256 is {found}" if data else "it is missing")
    try:
        return ValidationImages.decode(bytes(data))
    except ValueError as error:
        raise _corrupt(stored, str(error)) from error


def _corrupt(stored: Mapping[str, Any], why: str) -> DomainError:
    path, digest = stored["storage_path"], stored["sha256"]
    return DomainError(
        "STORAGE_CORRUPT",
        f"Object {path!r} is not the one of SHA-256 {digest} that was published: {why}.",
        metadata={"storage_path": path, "sha256": digest},
    )
