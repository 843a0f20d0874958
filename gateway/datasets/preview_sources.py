"""What a preview shows of a dataset: which files, and what is known of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sqlalchemy.orm import Session

from annotations.model import AnnotatedImage, Category
from gateway.datasets.annotation_index import AnnotationIndexes
from gateway.datasets.errors import file_not_found, storage_corrupt
from gateway.datasets.preview_choice import Choice, choose
from gateway.datasets.waiting import in_thread
from rpc.errors import invalid_request
from storage.database.dataset_selection import FileSelection, SelectedFile, SelectedFiles
from storage.database.datasets import DatasetRepository
from storage.database.engine import Database
from storage.database.tables import Dataset, DatasetFile
from storage.objects import keys
from storage.objects.errors import ObjectNotFound
from storage.objects.manifest import AnnotationsReference, Manifest, digest
from storage.objects.store import ObjectStore
from visionmesh.errors import Violation

_REFERENCES = 256
_CLASSIFICATION = "IMAGE_CLASSIFICATION"


@dataclass(frozen=True)
class Shown:
    """A file to show; ``annotated`` is None where its label is all that is known of it, or not even that."""

    file: SelectedFile
    split: str
    label: str
    annotated: AnnotatedImage | None


@dataclass(frozen=True)
class Several:
    """The files of a contact sheet, and the number of images that they were chosen from."""

    shown: tuple[Shown, ...]
    categories: tuple[Category, ...]
    candidates: int


class PreviewSources:
    """Finds files and annotations; ``threads`` do what blocks."""

    def __init__(self, database: Database, store: ObjectStore, threads: Executor, index_bytes: int) -> None:
        self._database = database
        self._store = store
        self._threads = threads
        self._indexes = AnnotationIndexes(store, index_bytes)
        self._references: OrderedDict[str, AnnotationsReference | None] = OrderedDict()

    def close(self) -> None:
        """Remove what is kept on disk. Blocks."""
        self._indexes.close()

    async def single(self, dataset: Dataset, path: str) -> tuple[Shown, tuple[Category, ...]]:
        """One file. Raises FILE_NOT_FOUND, STORAGE_CORRUPT."""
        (row,) = await self._rows(dataset.id, [path])
        reference = await self._reference(dataset)
        if reference is None:
            return _shown(row, None), ()

        def look_up() -> tuple[AnnotatedImage | None, tuple[Category, ...]]:
            with self._indexes.open(dataset.id, reference) as index:
                return index.find(path), index.categories

        annotated, categories = await in_thread(self._threads, look_up)
        return _shown(row, annotated), categories

    async def several(self, dataset: Dataset, count: int, split: str, class_name: str, seed: int) -> Several:
        """Up to ``count`` images of a split and class (empty: any). Raises INVALID_REQUEST when there are none."""
        reference = await self._reference(dataset)
        if class_name and class_name not in dataset.class_names:
            said = f"is no class of the dataset {dataset.id!r}; GetDataset names them in class_names"
            raise invalid_request([Violation("class_name", said)])
        annotated: dict[str, AnnotatedImage | None] = {}
        categories: tuple[Category, ...] = ()
        if reference is None:
            choice = await self._chosen_by_label(dataset.id, count, split, class_name, seed)
        else:

            def look_up() -> tuple[Choice, dict[str, AnnotatedImage | None], tuple[Category, ...]]:
                with self._indexes.open(dataset.id, reference) as index:
                    wanted = {place for place, item in enumerate(index.categories) if item.name == class_name}
                    images = index.images(split)
                    chosen = choose(
                        # Of one class alone, what else they show must not choose among its images.
                        ((path, [*wanted]) for path, shows in images if wanted & {*shows}) if class_name else images,
                        count,
                        seed,
                    )
                    return chosen, {path: index.find(path) for path in chosen.paths}, index.categories

            choice, annotated, categories = await in_thread(self._threads, look_up)
        if not choice.paths:
            raise _no_image(split, class_name)
        rows = await self._rows(dataset.id, choice.paths)
        shown = tuple(_shown(row, annotated.get(row.path)) for row in rows)
        return Several(shown, categories, choice.candidates)

    async def _chosen_by_label(self, dataset_id: str, count: int, split: str, class_name: str, seed: int) -> Choice:
        selection = FileSelection(dataset_id, splits=(split,) if split else ())

        def work(session: Session) -> Choice:
            found = SelectedFiles(session, selection).labels(class_name)
            return choose(((path, (label,)) for path, label in found), count, seed)

        return await self._database.read(work)

    async def _rows(self, dataset_id: str, paths: Sequence[str]) -> list[DatasetFile]:
        def work(session: Session) -> list[DatasetFile]:
            datasets = DatasetRepository(session)
            rows: list[DatasetFile] = []
            for path in paths:
                row = datasets.file(dataset_id, path)
                if row is None:
                    raise file_not_found(dataset_id, path)
                rows.append(row)
            return rows

        return await self._database.read(work)

    async def _reference(self, dataset: Dataset) -> AnnotationsReference | None:
        """Where the annotations are; None when labels are all there is. A manifest is read for it once."""
        if {*dataset.task_types} <= {_CLASSIFICATION}:
            return None
        wanted = dataset.manifest_digest
        if wanted not in self._references:
            self._references[wanted] = await in_thread(self._threads, self._read_reference, dataset.id, wanted)
        self._references.move_to_end(wanted)
        while len(self._references) > _REFERENCES:
            self._references.popitem(last=False)
        return self._references[wanted]

    def _read_reference(self, dataset_id: str, wanted: str) -> AnnotationsReference | None:
        try:
            data = self._store.get(keys.manifest(dataset_id))
        except ObjectNotFound as error:
            raise storage_corrupt(dataset_id, "The manifest", "is missing") from error
        if digest(data) != wanted:
            raise storage_corrupt(dataset_id, "The manifest", "is not the one that was written")
        return Manifest.from_bytes(data).annotations


def _shown(row: DatasetFile, annotated: AnnotatedImage | None) -> Shown:
    file = SelectedFile(row.path, row.size_bytes, row.sha256)
    return Shown(file, annotated.split if annotated else row.split, row.label, annotated)


def _no_image(split: str, class_name: str) -> Exception:
    given = {"split": split, "class_name": class_name}
    said = "matches no image of the dataset; GetDataset tells the images of each split and class"
    return invalid_request([Violation(field, f"{value!r} {said}") for field, value in given.items() if value])
