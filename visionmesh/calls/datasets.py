"""Datasets: upload a folder, follow its analysis, list, delete."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

import grpc

from visionmesh.calls.connection import PAGE_SIZE, pages
from visionmesh.calls.direct_upload import DirectUploadCalls
from visionmesh.calls.folder import Folder, scan
from visionmesh.calls.following import STREAM_SECONDS, Backoff, Patience
from visionmesh.calls.upload_rounds import UploadRounds
from visionmesh.calls.uploading import OnProgress, ProgressCounter
from visionmesh.errors import VisionMeshError
from visionmesh.v1 import dataset_pb2

DEFAULT_STREAMS = 4
ENDED = frozenset({dataset_pb2.DATASET_STATE_READY, dataset_pb2.DATASET_STATE_FAILED})


class DatasetCalls(DirectUploadCalls):
    """Calls of ``DatasetService``."""

    def create_dataset(self, spec: dataset_pb2.DatasetSpec, *, request_id: str = "") -> dataset_pb2.Dataset:
        """Make an empty dataset to upload to."""
        request = dataset_pb2.CreateDatasetRequest(dataset=spec, request_id=request_id)
        return self._unary(self._datasets.CreateDataset, request).dataset

    def upload_folder(
        self,
        path: str | os.PathLike[str] | Folder,
        name: str = "",
        *,
        format: dataset_pb2.DatasetFormat = dataset_pb2.DATASET_FORMAT_UNSPECIFIED,
        visibility: dataset_pb2.Visibility = dataset_pb2.VISIBILITY_PRIVATE,
        project: str = "",
        description: str = "",
        tags: Sequence[str] = (),
        val_fraction: float | None = None,
        seed: int = 0,
        progress: OnProgress | None = None,
        resume: str = "",
        one_stream: bool = False,
        streams: int = DEFAULT_STREAMS,
        direct: bool = False,
        on_created: Callable[[dataset_pb2.Dataset], None] | None = None,
        patience: Patience | None = None,
    ) -> dataset_pb2.Dataset:
        """Upload a folder, or an archive that the gateway unpacks, and begin its analysis; gives the dataset, ANALYZING
        (see ``watch_dataset``).

        Hidden files are skipped (``visionmesh.calls.folder.scan`` says which). ``name`` is the folder's when empty;
        an unspecified ``format`` is detected. The files go over ``streams`` streams at once into a new dataset,
        announced by ``on_created``, or into the one that ``resume`` names, of which only what is missing is sent. After
        a break the upload goes on by itself, until nothing gets through for as long as ``patience`` lasts.
        ``one_stream`` uploads by ``UploadDataset`` instead: fewer calls, but nothing remains of an upload that breaks.
        ``direct`` sends the files past the gateway, straight to its object store; that must be an S3 one.
        Raises ``FolderError``, ``OSError`` for a file that cannot be read, or ``VisionMeshError``.
        """
        folder = path if isinstance(path, Folder) else scan(path)
        counter = ProgressCounter(folder.files, progress)
        spec = dataset_pb2.DatasetSpec(
            name=name or folder.name,
            description=description,
            format=format,
            visibility=visibility,
            project_id=project,
            tags=tags,
            val_fraction=val_fraction,
            split_seed=seed,
        )
        if direct and folder.is_archive:
            raise ValueError("an archive is unpacked by the gateway, so it cannot go past it")
        if one_stream:
            if resume or direct:
                raise ValueError("an upload in one stream cannot be resumed, nor go past the gateway")
            return self._send_dataset(spec, folder.files, counter)
        patience = patience or Patience()
        if resume:
            dataset = self.get_dataset(resume)
        else:
            dataset = self._create_surely(spec, patience)
            if on_created is not None:
                on_created(dataset)
        if direct:
            self._send_directly(dataset.id, folder.files, counter, patience)
            return self._finalize_surely(dataset.id, patience)
        rounds = UploadRounds(
            folder,
            lambda files, stored, calls: self._send_files(dataset.id, files, counter, stored, calls),
            lambda: self.dataset_files(dataset.id),
            counter,
            streams,
        )
        rounds.run(patience, resume=bool(resume))
        return self._finalize_surely(dataset.id, patience)

    def _finalize_surely(self, dataset_id: str, patience: Patience) -> dataset_pb2.Dataset:
        """Finalise, again while the gateway is away; an answer that got lost makes no difference."""
        delays = Backoff(patience)
        tried = False
        while True:
            try:
                return self.finalize_dataset(dataset_id)
            except VisionMeshError as error:
                if tried and error.reason == "INVALID_STATE_TRANSITION":
                    return self.get_dataset(dataset_id)
                delays.wait(error)
                tried = True

    def _create_surely(self, spec: dataset_pb2.DatasetSpec, patience: Patience) -> dataset_pb2.Dataset:
        """Make an empty dataset, and only one, however often it takes to get through."""
        delays = Backoff(patience)
        request_id = uuid.uuid4().hex
        while True:
            try:
                return self.create_dataset(spec, request_id=request_id)
            except VisionMeshError as error:
                delays.wait(error)

    def finalize_dataset(self, dataset_id: str) -> dataset_pb2.Dataset:
        """End the upload and begin the analysis."""
        request = dataset_pb2.FinalizeDatasetRequest(dataset_id=dataset_id)
        return self._unary(self._datasets.FinalizeDataset, request).dataset

    def watch_dataset(
        self, dataset_id: str, *, patience: Patience | None = None
    ) -> Iterator[dataset_pb2.WatchDatasetResponse]:
        """Iterate the dataset's changes until READY or FAILED; a gateway that is UNAVAILABLE is waited for."""
        delays = Backoff(patience or Patience())
        last: dataset_pb2.WatchDatasetResponse | None = None
        while True:
            stream = self._datasets.WatchDataset(
                dataset_pb2.WatchDatasetRequest(dataset_id=dataset_id),
                timeout=STREAM_SECONDS,
                metadata=self._metadata,
            )
            delays.began()
            try:
                for update in stream:
                    delays.heard()
                    if update != last:
                        last = update
                        yield update
                return
            except grpc.RpcError as error:
                delays.broke(error)
            finally:
                stream.cancel()

    def wait_for_dataset(
        self, dataset_id: str, *, on_update: Callable[[dataset_pb2.WatchDatasetResponse], None] | None = None
    ) -> dataset_pb2.Dataset:
        """Wait until the analysis has ended; gives the dataset, READY or FAILED."""
        for update in self.watch_dataset(dataset_id):
            if on_update is not None:
                on_update(update)
            if update.dataset.state in ENDED:
                return update.dataset
        return self.get_dataset(dataset_id)

    def get_dataset(self, dataset_id: str) -> dataset_pb2.Dataset:
        """One dataset."""
        return self._unary(self._datasets.GetDataset, dataset_pb2.GetDatasetRequest(dataset_id=dataset_id)).dataset

    def dataset_with_statistics(self, dataset_id: str) -> dataset_pb2.GetDatasetResponse:
        """One dataset, and what its analysis measured; unset until it is READY."""
        return self._unary(self._datasets.GetDataset, dataset_pb2.GetDatasetRequest(dataset_id=dataset_id))

    def datasets(
        self,
        *,
        project: str = "",
        format: dataset_pb2.DatasetFormat = dataset_pb2.DATASET_FORMAT_UNSPECIFIED,
        state: dataset_pb2.DatasetState = dataset_pb2.DATASET_STATE_UNSPECIFIED,
        text: str = "",
        tags: Sequence[str] = (),
    ) -> Iterator[dataset_pb2.Dataset]:
        """Iterate the datasets of all pages, newest first."""

        def fetch(token: str) -> tuple[Iterable[dataset_pb2.Dataset], str]:
            request = dataset_pb2.ListDatasetsRequest(
                project_id=project,
                format=format,
                state=state,
                text=text,
                tags=tags,
                page_size=PAGE_SIZE,
                page_token=token,
            )
            answer = self._unary(self._datasets.ListDatasets, request)
            return answer.datasets, answer.next_page_token

        return pages(fetch)

    def dataset_files(self, dataset_id: str) -> Iterator[dataset_pb2.DatasetFile]:
        """Iterate the files that arrived, by path."""

        def fetch(token: str) -> tuple[Iterable[dataset_pb2.DatasetFile], str]:
            request = dataset_pb2.ListDatasetFilesRequest(dataset_id=dataset_id, page_size=PAGE_SIZE, page_token=token)
            answer = self._unary(self._datasets.ListDatasetFiles, request)
            return answer.files, answer.next_page_token

        return pages(fetch)

    def dataset_problems(self, dataset_id: str) -> Iterator[dataset_pb2.DatasetProblem]:
        """Iterate what the analysis found wrong."""

        def fetch(token: str) -> tuple[Iterable[dataset_pb2.DatasetProblem], str]:
            request = dataset_pb2.ListDatasetProblemsRequest(
                dataset_id=dataset_id, page_size=PAGE_SIZE, page_token=token
            )
            answer = self._unary(self._datasets.ListDatasetProblems, request)
            return answer.problems, answer.next_page_token

        return pages(fetch)

    def update_dataset(
        self,
        dataset_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        visibility: dataset_pb2.Visibility | None = None,
        tags: Sequence[str] | None = None,
    ) -> dataset_pb2.Dataset:
        """Change what is given; the rest stays. Gives the dataset as it is now."""
        request = dataset_pb2.UpdateDatasetRequest(
            dataset_id=dataset_id,
            dataset=dataset_pb2.DatasetSpec(name=name, description=description, visibility=visibility, tags=tags),
        )
        given = {"name": name, "description": description, "visibility": visibility, "tags": tags}
        request.update_mask.paths.extend(path for path, value in given.items() if value is not None)
        return self._unary(self._datasets.UpdateDataset, request).dataset

    def dataset_preview(
        self,
        dataset_id: str,
        path: str = "",
        *,
        encoding: dataset_pb2.PreviewEncoding = dataset_pb2.PREVIEW_ENCODING_JPEG,
        max_side: int = 0,
        image_count: int = 0,
        split: str = "",
        class_name: str = "",
        seed: int = 0,
        without_annotations: bool = False,
    ) -> dataset_pb2.GetDatasetPreviewResponse:
        """A picture of the image ``path``, or of several images without one; 0 takes what the server thinks best."""
        request = dataset_pb2.GetDatasetPreviewRequest(
            dataset_id=dataset_id,
            path=path,
            encoding=encoding,
            max_side=max_side,
            image_count=image_count,
            split=split,
            class_name=class_name,
            seed=seed,
            without_annotations=without_annotations,
        )
        return self._unary(self._datasets.GetDatasetPreview, request)

    def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset and its objects."""
        self._unary(self._datasets.DeleteDataset, dataset_pb2.DeleteDatasetRequest(dataset_id=dataset_id))
