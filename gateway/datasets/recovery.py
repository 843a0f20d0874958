"""What a gateway does about the work of one that was killed, and about uploads that nobody goes on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from gateway.datasets.records import delete_objects
from gateway.datasets.waiting import in_thread
from storage.database.datasets import OPEN_STATES, DatasetRepository
from storage.database.engine import Database
from storage.database.prepared import PreparedUploadRepository
from storage.objects import keys
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

ALL_STATES = ("UPLOADING", "ANALYZING", "READY", "FAILED")
DATASETS = "datasets/"
MANIFESTS = "manifests/"
ANNOTATIONS = "annotations/"


async def remove_orphans(database: Database, store: ObjectStore, threads: Executor) -> int:
    """Remove objects that no record names: of deleted datasets, of uploads cut off. Returns their number.

    Only before this gateway serves, and while no other one uploads to the same store: a file on its way in is an
    object without a record for a moment.
    """

    def load(session: Session) -> dict[str, set[str] | None]:
        datasets = DatasetRepository(session)
        return {
            # Of a dataset that takes no more files, what lies beside its records goes with it one day.
            row.id: {file.path for file in datasets.all_files(row.id)} if row.state in OPEN_STATES else None
            for row in datasets.in_states(ALL_STATES)
        }

    recorded = await database.read(load)
    removed = await in_thread(threads, _remove_unrecorded, store, recorded)
    if removed:
        logger.info("objects without a record removed", objects=removed)
    return removed


async def remove_abandoned(
    database: Database, store: ObjectStore, threads: Executor, before: datetime, in_use: Callable[[str], bool]
) -> list[str]:
    """Delete datasets that are UPLOADING, unchanged since ``before`` and not ``in_use``; returns their ids.

    An import waits as long as its source is away: it is never abandoned.
    """

    def delete(session: Session) -> list[str]:
        datasets = DatasetRepository(session)
        rows = datasets.in_states(("UPLOADING",))
        found = [row.id for row in rows if row.update_time < before and not row.importing]
        return [dataset_id for dataset_id in found if not in_use(dataset_id) and datasets.delete(dataset_id)]

    gone = await database.write(delete)
    for dataset_id in gone:
        await in_thread(threads, delete_objects, store, dataset_id)
        logger.info("abandoned upload removed", dataset_id=dataset_id)
    return gone


async def remove_leftovers(database: Database, store: ObjectStore, threads: Executor, before: datetime) -> int:
    """Remove what was sent past the gateway and will not be taken in, and what broken writers left; gives the number.

    For a dataset that FAILED it is kept until ``before`` has passed the end of its URL.
    """
    sent = await in_thread(threads, lambda: [info.key for info in store.list(keys.INCOMING)])
    owners = {_sent_for(key)[0] for key in sent}
    # Asked after the listing: whatever lay there by then had been prepared before.
    awaited = await database.read(lambda session: PreparedUploadRepository(session).awaited(owners, before))
    doomed = [key for key in sent if _sent_for(key) not in awaited]
    for key in doomed:
        await in_thread(threads, store.delete, key)
    removed = len(doomed) + await in_thread(threads, store.sweep)
    if removed:
        logger.info("leftovers of uploads removed", leftovers=removed)
    return removed


def _sent_for(key: str) -> tuple[str, str]:
    """The dataset and the SHA-256 in a key of ``keys.incoming_file``."""
    dataset_id, _, sha256 = key.removeprefix(keys.INCOMING).partition("/")
    return dataset_id, sha256


def _remove_unrecorded(store: ObjectStore, recorded: Mapping[str, set[str] | None]) -> int:
    """``recorded`` gives the paths of each dataset, None for one whose files are not looked at."""
    doomed: list[str] = []
    for info in store.list(DATASETS):
        dataset_id, _, path = info.key.removeprefix(DATASETS).partition("/")
        paths = recorded.get(dataset_id)
        if dataset_id not in recorded or (paths is not None and path not in paths):
            doomed.append(info.key)
    for prefix, key_of in ((MANIFESTS, keys.manifest), (ANNOTATIONS, keys.dataset_annotations)):
        known = {key_of(dataset_id) for dataset_id in recorded}
        doomed += [info.key for info in store.list(prefix) if info.key not in known]
    for key in doomed:
        store.delete(key)
    return len(doomed)
