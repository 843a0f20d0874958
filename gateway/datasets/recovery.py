"""What a gateway does about the work of one that was killed, and about uploads that nobody goes on with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.orm import Session

from gateway.datasets.ownership import analysis_claim, files_claim
from gateway.datasets.records import delete_objects
from gateway.datasets.waiting import in_thread
from storage.database.claims import claimed
from storage.database.datasets import OPEN_STATES, DatasetRepository
from storage.database.engine import Database
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import Dataset
from storage.objects import keys
from storage.objects.store import ObjectStore

logger = structlog.get_logger(__name__)

ALL_STATES = ("UPLOADING", "ANALYZING", "READY", "FAILED")
DATASETS = "datasets/"
MANIFESTS = "manifests/"
ANNOTATIONS = "annotations/"


async def remove_orphans(database: Database, store: ObjectStore, threads: Executor) -> int:
    """Remove objects that no record names: of deleted datasets, of uploads cut off. Returns their number.

    Only before this gateway serves: a file on its way in is an object without a record for a moment. Datasets that
    another gateway works on, and holds the claims of, are left alone.
    """

    def load(session: Session) -> dict[str, set[str] | None]:
        datasets = DatasetRepository(session)
        return {
            # Of a dataset that takes no more files, what lies beside its records goes with it one day.
            row.id: {file.path for file in datasets.all_files(row.id)} if row.state in OPEN_STATES else None
            for row in datasets.in_states(ALL_STATES)
        }

    recorded = await database.read(load)
    removed = 0
    found = await in_thread(threads, _unrecorded, store, recorded)
    for dataset_id, orphans in found.items():
        async with (
            claimed(database.claims, files_claim(dataset_id)) as no_files_come,
            claimed(database.claims, analysis_claim(dataset_id)) as no_analysis,
        ):
            if no_files_come and no_analysis:
                # Asked again: what was found may have been recorded since.
                keep = await database.read(partial(_recorded, dataset_id=dataset_id, found=orphans))
                doomed = [key for key in orphans if key not in keep]
                for key in doomed:
                    await in_thread(threads, store.delete, key)
                removed += len(doomed)
    if removed:
        logger.info("objects without a record removed", objects=removed)
    return removed


async def remove_abandoned(
    database: Database, store: ObjectStore, threads: Executor, before: datetime, in_use: Callable[[str], bool]
) -> list[str]:
    """Delete datasets that are UPLOADING, unchanged since ``before`` and not ``in_use`` here or at another gateway;
    returns their ids.

    An import waits as long as its source is away: it is never abandoned.
    """

    def is_abandoned(dataset: Dataset) -> bool:
        return dataset.state == "UPLOADING" and dataset.update_time < before and not dataset.importing

    def delete(session: Session, dataset_id: str) -> bool:
        datasets = DatasetRepository(session)
        dataset = datasets.get(dataset_id)
        return dataset is not None and is_abandoned(dataset) and datasets.delete(dataset_id)

    rows = await database.read(lambda session: DatasetRepository(session).in_states(("UPLOADING",)))
    gone: list[str] = []
    for dataset_id in [row.id for row in rows if is_abandoned(row)]:
        async with claimed(database.claims, files_claim(dataset_id)) as no_files_come:
            # Asked last: this gateway's own streams share its claims.
            if not no_files_come or in_use(dataset_id):
                continue
            if await database.write(partial(delete, dataset_id=dataset_id)):
                gone.append(dataset_id)
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


def _unrecorded(store: ObjectStore, recorded: Mapping[str, set[str] | None]) -> dict[str, list[str]]:
    """The keys that no record names, by dataset; ``recorded`` gives the paths of each, None for one whose files are not
    looked at."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for info in store.list(DATASETS):
        dataset_id, _, path = info.key.removeprefix(DATASETS).partition("/")
        paths = recorded.get(dataset_id)
        if dataset_id not in recorded or (paths is not None and path not in paths):
            found[dataset_id].append(info.key)
    for prefix in (MANIFESTS, ANNOTATIONS):
        for info in store.list(prefix):
            dataset_id = info.key.removeprefix(prefix).partition(".")[0]
            if dataset_id not in recorded:
                found[dataset_id].append(info.key)
    return found


def _recorded(session: Session, dataset_id: str, found: Sequence[str]) -> Collection[str]:
    """Those keys among ``found``, of one dataset, that must stay."""
    datasets = DatasetRepository(session)
    dataset = datasets.get(dataset_id)
    if dataset is None:
        return ()
    if dataset.state not in OPEN_STATES:
        return found
    return {keys.dataset_file(dataset_id, path) for path, _ in datasets.file_sizes(dataset_id)}
