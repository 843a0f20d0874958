"""What the agent does before training: dataset and checkpoint onto the local disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from storage.objects.errors import AccessRefused, InvalidKey, ObjectMismatch, ObjectNotFound
from storage.objects.paths import InvalidPath
from storage.objects.store import ObjectStore
from trainer.adapter import BadTrainingData, TrainingDataset
from trainer.cache.checkpoints import CheckpointCache, CheckpointFile
from trainer.cache.datasets import DatasetCache
from trainer.runs.agent_events import AgentEvents
from trainer.runs.agent_settings import AgentSettings
from trainer.runs.folder import RunFolder
from trainer.runs.full_disk import DISK_FULL, MESSAGE, is_disk_full
from trainer.runs.store_access import StoreAccess
from trainer.runs.training_inputs import TrainingInputs, view_name
from trainer.views.opening import open_view
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2

WEIGHTS_FILE = "weights.safetensors"


class PreparationFailed(Exception):
    """The run cannot begin; ``reason`` and ``metadata`` are the failure's."""

    def __init__(self, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = metadata


class StopDuringPreparation(Exception):
    """The run was asked to stop while files were fetched."""


async def prepare(
    folder: RunFolder,
    spec: run_pb2.RunSpec,
    settings: AgentSettings,
    store: StoreAccess,
    events: AgentEvents,
    in_use: ExitStack,
) -> None:
    """Fetch what the training reads and describe it in the run folder. It stays on disk until ``in_use`` is left.

    Waits while the store is away. Raises PreparationFailed.
    """
    try:
        events.preparation("Fetching the dataset")
        dataset = await store.call(
            "the dataset", partial(_open_dataset, folder, spec, settings, events, in_use, store.excuse)
        )
        resume_from = None
        if spec.HasField("resume_from"):
            events.preparation(f"Fetching the checkpoint of epoch {spec.resume_from.epoch}")
            resume_from = await store.call("the checkpoint", partial(_open_checkpoint, spec, settings, in_use))
        initial_weights = None
        if spec.HasField("start_from"):
            events.preparation(f"Fetching the weights to start from, of epoch {spec.start_from.epoch}")
            initial_weights = await store.call("the weights", partial(_open_weights, spec, settings, in_use))
        TrainingInputs(dataset, resume_from, initial_weights).save(folder.dataset_file)
        events.preparation("Starting the training process")
    except BadTrainingData as error:
        raise PreparationFailed("BAD_TRAINING_DATA", str(error)) from error
    except (AccessRefused, ObjectNotFound, ObjectMismatch, InvalidKey, InvalidPath, ValueError) as error:
        raise PreparationFailed("STORAGE_CORRUPT", f"What the run needs cannot be read: {error}") from error
    except OSError as error:
        if is_disk_full(error):
            raise PreparationFailed(DISK_FULL, MESSAGE) from error
        raise PreparationFailed(
            "TRAINER_IO_ERROR", f"The trainer's disk refused to prepare the run: {error}"
        ) from error


def _open_dataset(
    folder: RunFolder,
    spec: run_pb2.RunSpec,
    settings: AgentSettings,
    events: AgentEvents,
    in_use: ExitStack,
    waiting: Callable[[], None],
    store: ObjectStore,
) -> TrainingDataset:
    def progress(message: str, done: int, total: int) -> None:
        if folder.stop_requested():
            raise StopDuringPreparation
        events.preparation(message, done, total)

    cache = DatasetCache(
        settings.dataset_cache, store, settings.dataset_cache_bytes, settings.parallel_downloads, waiting
    )
    dataset = in_use.enter_context(
        cache.open(spec.dataset_id, spec.manifest_digest, partial(progress, "Fetching the dataset"))
    )
    view = view_name(spec.dataset_view)
    if not view:
        return dataset
    message = f"Making the images of the view {view}"
    events.preparation(message)
    return open_view(
        view,
        dataset,
        spec.manifest_digest,
        cache,
        in_use,
        threads=settings.threads,
        progress=partial(progress, message),
    )


def _open_checkpoint(spec: run_pb2.RunSpec, settings: AgentSettings, in_use: ExitStack, store: ObjectStore) -> Path:
    return _open(spec.resume_from, spec.resume_from.files, settings, in_use, store)


def _open_weights(spec: run_pb2.RunSpec, settings: AgentSettings, in_use: ExitStack, store: ObjectStore) -> Path:
    """Whoever predicts with the checkpoint asks for the same one file: the cache keeps it once."""
    weights = [file for file in spec.start_from.files if file.name == WEIGHTS_FILE]
    if not weights:
        raise PreparationFailed(
            "STORAGE_CORRUPT",
            f"Checkpoint {spec.start_from.checkpoint_id} has no {WEIGHTS_FILE} to start from.",
            checkpoint_id=spec.start_from.checkpoint_id,
        )
    return _open(spec.start_from, weights, settings, in_use, store)


def _open(
    reference: run_pb2.CheckpointRef,
    listed: Iterable[checkpoint_pb2.CheckpointFile],
    settings: AgentSettings,
    in_use: ExitStack,
    store: ObjectStore,
) -> Path:
    cache = CheckpointCache(settings.checkpoint_cache, store, settings.checkpoint_cache_bytes)
    files = [CheckpointFile(file.name, file.size_bytes, file.sha256) for file in listed]
    try:
        return in_use.enter_context(cache.open(reference.storage_path, files, reference.digest))
    except (AccessRefused, ObjectNotFound, ObjectMismatch) as error:
        digests = ", ".join(f"{file.name} with SHA-256 {file.sha256}" for file in files)
        raise PreparationFailed(
            "STORAGE_CORRUPT",
            f"Checkpoint {reference.checkpoint_id}, digest {reference.digest} ({digests}), is damaged or gone: {error}",
            checkpoint_id=reference.checkpoint_id,
        ) from error
