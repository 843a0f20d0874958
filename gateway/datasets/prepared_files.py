"""What a dataset holds and awaits, kept between the calls that prepare its uploads: a thousand calls load it once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.orm import Session

from gateway.datasets.files import FileAnnouncement
from gateway.datasets.inventory import Inventory, UploadLimits
from storage.database.datasets import DatasetRepository
from storage.database.prepared import PreparedUploadRepository
from storage.database.tables import Dataset

DATASETS_KEPT = 4


@dataclass
class PreparedFiles:
    """The paths of one dataset, stored or prepared; ``prepared`` gives bytes and SHA-256 of the latter."""

    inventory: Inventory
    prepared: dict[str, tuple[int, str]]
    file_count: int

    def is_prepared(self, file: FileAnnouncement) -> bool:
        """Whether just these bytes are awaited under the path."""
        return self.prepared.get(file.path) == (file.size_bytes, file.sha256)

    def prepare(self, file: FileAnnouncement) -> list[tuple[str, str]]:
        """Take the path, or say what speaks against it, as ``Inventory.objections`` does."""
        if file.path in self.prepared:
            self.inventory.release(file.path)
            del self.prepared[file.path]
        if objections := self.inventory.objections(file.path, file.size_bytes):
            return objections
        self.inventory.claim(file.path, file.size_bytes)
        self.prepared[file.path] = file.size_bytes, file.sha256
        return []


class PreparedFilesCache:
    """Those of the datasets that were asked about last. Not for use by two calls at once."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._kept: OrderedDict[str, PreparedFiles] = OrderedDict()

    def load(self, session: Session, dataset: Dataset) -> PreparedFiles:
        """What the database says, loaded again only where it has changed since: files only ever come, and leave
        what is prepared as they do, so the two counts tell."""
        uploads = PreparedUploadRepository(session)
        known = self._kept.pop(dataset.id, None)
        if known is None or (known.file_count, len(known.prepared)) != (dataset.file_count, uploads.count(dataset.id)):
            stored = DatasetRepository(session).file_sizes(dataset.id)
            there = {path for path, _ in stored}
            rows = [row for row in uploads.contents(dataset.id) if row[0] not in there]
            inventory = Inventory(self._limits, [*stored, *((path, size_bytes) for path, size_bytes, _ in rows)])
            prepared = {path: (size_bytes, sha256) for path, size_bytes, sha256 in rows}
            known = PreparedFiles(inventory, prepared, dataset.file_count)
        return known

    def keep(self, dataset_id: str, known: PreparedFiles) -> None:
        """Keep what ``load`` gave: what was prepared since is in the database too."""
        self._kept[dataset_id] = known
        while len(self._kept) > DATASETS_KEPT:
            self._kept.popitem(last=False)
