"""What validations found: results by epoch, and what a model said of single images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from gateway.access import Caller
from gateway.training.choosing import candidates
from gateway.training.converters import result_message
from gateway.training.image_messages import image_message
from gateway.training.service import JobService
from gateway.training.validation_objects import ValidationObjects
from rpc.errors import DomainError, invalid_request
from storage.database.jobs import JobRepository
from storage.database.pages import Page, decode_page_token, encode_page_token
from storage.database.projections import CheckpointRepository, ValidationRepository
from storage.database.tables import Checkpoint
from storage.objects.validation_images import ValidationImages
from visionmesh.errors import Violation
from visionmesh.v1 import event_pb2, training_pb2

# Results with their matrices are large, and so are images with many objects; a page must stay below a port's limit,
# whatever the page size.
PAGE_BYTES = 8 << 20
# Counted from the images, a matrix of more classes would not fit into a message.
MAX_CONFUSION_CLASSES = 2000
M = TypeVar("M", bound=Message)
PATH, LARGEST_LOSS_FIRST, SMALLEST_LOSS_FIRST = "PATH", "LARGEST_LOSS_FIRST", "SMALLEST_LOSS_FIRST"
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class ResultPage:
    """A page of results. ``best_epoch`` is 0 before the first checkpoint."""

    results: Page[event_pb2.ValidationResult]
    class_names: list[str]
    best_epoch: int


@dataclass(frozen=True)
class ImageFilter:
    """Which images, and in which order; None and empty match everything."""

    correct: bool | None = None
    label: str = ""
    predicted_label: str = ""
    order: str = PATH


@dataclass(frozen=True)
class ImagePage:
    """A page of what one checkpoint's model said."""

    images: Page[training_pb2.ValidationImage]
    checkpoint_id: str
    epoch: int


class ValidationReports:
    """Reads validations of the caller's jobs. Every method raises JOB_NOT_FOUND and InvalidPageToken."""

    def __init__(self, jobs: JobService, objects: ValidationObjects) -> None:
        self._jobs = jobs
        self._objects = objects

    async def results(self, caller: Caller, job_id: str, epoch: int, page_size: int, page_token: str) -> ResultPage:
        """Results by epoch, or of one ``epoch``. Raises STORAGE_CORRUPT when that one's matrix cannot be counted."""

        def query(session: Session) -> tuple[ResultPage, dict[str, Any] | None]:
            validations, checkpoints = ValidationRepository(session), CheckpointRepository(session)
            page = validations.list(job_id, page_size, page_token, epoch)
            fitting = _first_that_fit(map(result_message, page.items))
            token = page.next_page_token
            if len(fitting) < len(page.items):
                token = validations.token_after(job_id, epoch, fitting[-1].epoch)
            class_names = [item.label for item in fitting[0].classes] if fitting else []
            job = JobRepository(session).owned(job_id, caller.user_id)
            best = checkpoints.get(job.best_checkpoint_id) if job is not None and job.best_checkpoint_id else None
            results = Page(fitting, token, page.total_size)
            stored = checkpoints.images_of_epoch(job_id, epoch) if epoch and _lacks_matrix(fitting) else None
            return ResultPage(results, class_names, best.epoch if best is not None else 0), stored

        found, stored = await self._jobs.of_job(caller, job_id, query)
        if stored is not None:
            images = await self._objects.load(stored)
            matrix = await self._objects.in_thread(images.confusion_matrix)
            found.results.items[0].confusion_matrix.extend(event_pb2.ConfusionRow(counts=row) for row in matrix)
        return found

    async def images(
        self,
        caller: Caller,
        job_id: str,
        checkpoint_id: str,
        filters: ImageFilter,
        page_size: int,
        page_token: str,
    ) -> ImagePage:
        """A page of images. Raises CHECKPOINT_NOT_FOUND, NO_CHECKPOINT, VALIDATION_IMAGES_NOT_KEPT, STORAGE_CORRUPT,
        INVALID_REQUEST for a label that is no class."""
        asked = (filters.correct, filters.label, filters.predicted_label, filters.order)
        scope = ("validation_images", job_id, checkpoint_id, *asked)
        # Later pages stay with the checkpoint of the first, whichever is best by then.
        chosen_id, first = decode_page_token(page_token, [str, int], scope) if page_token else (checkpoint_id, 0)

        def choose(session: Session) -> Checkpoint:
            return _choose(session, caller, job_id, chosen_id)

        checkpoint = await self._jobs.of_job(caller, job_id, choose)
        assert checkpoint.validation_images is not None
        try:
            images = await self._objects.load(checkpoint.validation_images)
        except DomainError:
            # Superseded while it was read: then there is nothing wrong with the store.
            await self._jobs.of_job(caller, job_id, choose)
            raise
        shown, total = await self._objects.in_thread(_page, images, filters, max(first, 0), page_size)
        end = max(first, 0) + len(shown)
        token = encode_page_token([checkpoint.id, end], scope) if end < total else ""
        return ImagePage(Page(shown, token, total), checkpoint.id, checkpoint.epoch)


def _first_that_fit(messages: Iterable[M]) -> list[M]:
    """At least one, where there is one."""
    used, fitting = 0, list[M]()
    for message in messages:
        used += message.ByteSize()
        if fitting and used > PAGE_BYTES:
            break
        fitting.append(message)
    return fitting


def _lacks_matrix(results: list[event_pb2.ValidationResult]) -> bool:
    return bool(results) and not results[0].confusion_matrix and len(results[0].classes) <= MAX_CONFUSION_CLASSES


def _choose(session: Session, caller: Caller, job_id: str, checkpoint_id: str) -> Checkpoint:
    """The checkpoint asked for, or the best or last one whose images are kept."""
    found = candidates(session, caller, job_id, checkpoint_id)
    for candidate in found:
        if candidate.validation_images is not None:
            return candidate
    raise DomainError(
        "VALIDATION_IMAGES_NOT_KEPT",
        f"What checkpoint {found[0].id} of epoch {found[0].epoch} said of single images is not kept: only "
        "that of the best and the last checkpoint is, where the framework tells it.",
        metadata={"job_id": job_id, "checkpoint_id": found[0].id},
    )


def _page(
    images: ValidationImages, filters: ImageFilter, first: int, page_size: int
) -> tuple[list[training_pb2.ValidationImage], int]:
    """The images asked for from the ``first`` one on, in the order asked for, and how many there are in all."""
    places = _select(images, filters)
    every = (image_message(images[place], images.class_names) for place in places[first : first + page_size])
    return _first_that_fit(every), len(places)


def _select(images: ValidationImages, filters: ImageFilter) -> list[int]:
    ids = {name: place for place, name in enumerate(images.class_names)}
    given = {"label": filters.label, "predicted_label": filters.predicted_label}
    if violations := [
        Violation(field, f"{name[:_SHOWN_CHARACTERS]!r} is no class of the dataset")
        for field, name in given.items()
        if name and name not in ids
    ]:
        raise invalid_request(violations)
    places = images.select(
        correct=filters.correct, label_id=ids.get(filters.label), predicted_id=ids.get(filters.predicted_label)
    )
    if filters.order == PATH:
        return places
    return images.by_loss(places, largest_first=filters.order == LARGEST_LOSS_FIRST)
