"""Imports as callers begin them; the importer does the rest."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from gateway.datasets.changes import Changes
from gateway.datasets.errors import dataset_not_found
from gateway.datasets.import_rules import ImportRules
from gateway.datasets.importer import Importer
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.records import new_record
from gateway.datasets.spec import NewDataset
from gateway.datasets.waiting import in_thread
from gateway.idempotency import remember, replayed
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.errors import RequestExists
from storage.database.ids import new_id
from storage.database.tables import Dataset
from storage.objects.store import ObjectStore

METHOD = "ImportDataset"


class Imports:
    """Makes the datasets of imports and has their files copied."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        changes: Changes,
        rules: ImportRules,
        limits: UploadLimits,
        threads: Executor,
        analyse: Callable[[str], None],
    ) -> None:
        self._database = database
        self._rules = rules
        self._threads = threads
        self._importer = Importer(database, store, changes, rules, limits, analyse)

    async def begin(self, user_id: str, new: NewDataset, prefix: str, request: Message) -> Dataset:
        """Make a dataset whose files come from ``prefix``. ``request`` repeated gives the same dataset again.

        Raises INVALID_REQUEST, IMPORT_NOT_ALLOWED, REQUEST_ID_REUSED; DATASET_NOT_FOUND when the dataset of a repeated
        call was deleted.
        """
        location = await in_thread(self._threads, self._rules.check, prefix)

        def work(session: Session) -> Dataset:
            datasets = DatasetRepository(session)
            earlier = replayed(session, user_id, METHOD, request)
            if earlier is not None:
                known = datasets.visible(earlier, user_id)
                if known is None:
                    raise dataset_not_found(earlier)
                return known
            dataset = datasets.add(new_record(new_id("ds"), user_id, new, location))
            remember(session, user_id, METHOD, request, dataset.id)
            return dataset

        try:
            dataset = await self._database.write(work)
        except RequestExists:  # the same call, at the same time, on another gateway: now its answer is there
            dataset = await self._database.write(work)
        if dataset.importing:
            self._importer.start(dataset.id)
        return dataset

    async def recover(self) -> None:
        """Go on with the imports that no gateway works on."""
        for dataset_id in await self._database.read(lambda session: DatasetRepository(session).importing()):
            self._importer.start(dataset_id)

    async def stop(self, dataset_id: str) -> None:
        """End the import into a dataset that is gone."""
        await self._importer.stop(dataset_id)

    async def close(self) -> None:
        """Cut the imports off; the next start takes them up."""
        await self._importer.close()
