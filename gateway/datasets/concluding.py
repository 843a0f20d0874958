"""The end of an analysis, in a thread: annotations are read, and what was found is put into the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotations.document import write_document
from annotations.draft import Draft
from gateway.datasets.analysis import Wanted, analyse
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import storage_corrupt
from gateway.datasets.inspection import Inspected
from gateway.datasets.outcome import Outcome
from gateway.datasets.stored_files import StoredFiles
from gateway.work_folder import disk_errors
from storage.objects import keys
from storage.objects.digest import sha256_file
from storage.objects.errors import ObjectMismatch, ObjectNotFound
from storage.objects.manifest import AnnotationsReference, digest
from storage.objects.store import ObjectStore


@dataclass(frozen=True)
class Concluded:
    """An outcome, and the digest of the manifest that now lies in the store; empty where there are errors."""

    outcome: Outcome
    manifest_digest: str = ""


def conclude(
    store: ObjectStore,
    dataset_id: str,
    wanted: Wanted,
    files: Sequence[ReceivedFile],
    inspected: Inspected,
    source: StoredFiles,
    folder: Path,
) -> Concluded:
    """Analyse, and store annotations, if there are any, and manifest, in this order. ``folder`` is for scratch files.

    Blocks. Raises StoreUnavailable, AnalysisStopped, WorkFolderUnusable.
    """
    with disk_errors(), Draft(folder / "draft.db") as draft:
        try:
            outcome = analyse(wanted, files, inspected, source, draft)
        except (ObjectNotFound, ObjectMismatch) as error:
            path = error.key.removeprefix(keys.dataset_prefix(dataset_id))
            lost = isinstance(error, ObjectNotFound)
            outcome = Outcome(wanted.format, problems=[storage_corrupt(path, lost=lost), *draft.problems])
        if outcome.errors:
            return Concluded(outcome)
        annotations = _store_annotations(store, dataset_id, draft, folder) if outcome.object_count else None
    manifest = outcome.manifest(dataset_id, files, annotations).to_bytes()
    store.put(keys.manifest(dataset_id), manifest)
    return Concluded(outcome, digest(manifest))


def _store_annotations(store: ObjectStore, dataset_id: str, draft: Draft, folder: Path) -> AnnotationsReference:
    path = folder / "annotations.jsonl.gz"
    write_document(path, draft.categories, draft.images(), draft.image_count)
    stored = store.put_file(keys.dataset_annotations(dataset_id), path, sha256=sha256_file(path))
    return AnnotationsReference(stored.sha256 or sha256_file(path), stored.size_bytes)
