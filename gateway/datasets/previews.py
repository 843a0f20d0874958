"""Pictures of a READY dataset: one image, or a contact sheet, with what is annotated drawn on it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from PIL import Image
from sqlalchemy.orm import Session

from annotations.colours import class_colour
from annotations.drawing import draw_objects
from annotations.model import SPLITS, AnnotatedImage, Category
from annotations.sheets import (
    Caption,
    caption_height,
    captioned,
    contact_sheet,
    filling,
    sheet_layout,
    unreadable,
)
from annotations.text import drawable
from gateway.datasets.preview_images import PreviewImages
from gateway.datasets.preview_sources import PreviewSources, Shown
from gateway.datasets.rights import ready
from gateway.datasets.spec import text_violations
from gateway.datasets.waiting import in_thread
from rpc.errors import DomainError
from storage.database.engine import Database
from storage.database.tables import Dataset
from storage.objects.paths import InvalidPath, normalize
from storage.objects.store import ObjectStore
from visionmesh.errors import Violation

SMALLEST_SIDE, LARGEST_SIDE, DEFAULT_SIDE = 32, 4096, 1024
MOST_IMAGES, DEFAULT_IMAGES = 100, 16
ENCODINGS = ("JPEG", "PNG")
_LONGEST_CLASS_NAME = 1024
_AT_ONCE = 2
_THREADS = 4
_WAITING = 32
_RETRY_SECONDS = 2.0
_INDEX_BYTES = 2 << 30
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class PreviewRequest:
    """What to draw: ``path``, or a contact sheet when it is empty. Defaults are filled in."""

    dataset_id: str
    path: str
    max_side: int
    encoding: str
    image_count: int
    split: str
    class_name: str
    seed: int
    plain: bool

    def violations(self) -> list[Violation]:
        """Every rule that is broken."""
        found: list[Violation] = []
        if self.path:
            try:
                normalize(self.path)
            except InvalidPath as error:
                found.append(Violation("path", error.why))
        if not SMALLEST_SIDE <= self.max_side <= LARGEST_SIDE:
            said = f"must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, or 0 for {DEFAULT_SIDE}: {self.max_side}"
            found.append(Violation("max_side", said))
        if self.encoding not in ENCODINGS:
            found.append(Violation("encoding", f"{self.encoding} is not known; use one of {', '.join(ENCODINGS)}"))
        if not 1 <= self.image_count <= MOST_IMAGES:
            said = f"must be 1 to {MOST_IMAGES}, or 0 for {DEFAULT_IMAGES}: {self.image_count}"
            found.append(Violation("image_count", said))
        if self.split and self.split not in SPLITS:
            found.append(Violation("split", f"{self.split[:100]!r} is no split; use one of {', '.join(SPLITS)}"))
        return [*found, *text_violations("class_name", self.class_name, _LONGEST_CLASS_NAME)]


@dataclass(frozen=True)
class Preview:
    """A picture and the images that it shows."""

    image: bytes
    content_type: str
    paths: tuple[str, ...]
    width: int
    height: int


class Previews:
    """Draws previews, two at a time, in threads of its own."""

    def __init__(self, database: Database, store: ObjectStore, *, max_image_pixels: int, max_bytes: int) -> None:
        """``max_bytes`` is the largest picture that a message can carry."""
        self._database = database
        self._max_bytes = max_bytes
        self._images = PreviewImages(store, max_image_pixels)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="preview")
        self._sources = PreviewSources(database, store, self._threads, _INDEX_BYTES)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    def close(self) -> None:
        """Wait for the threads and remove what is kept on disk. Blocks."""
        self._threads.shutdown(cancel_futures=True)
        self._sources.close()

    async def draw(self, user_id: str, request: PreviewRequest) -> Preview:
        """Draw one. Raises as the RPC documents."""

        def find(session: Session) -> Dataset:
            return ready(session, user_id, request.dataset_id)

        dataset = await self._database.read(find)
        async with self._turn():
            try:
                picture, paths = await (self._single if request.path else self._sheet)(dataset, request)
            except DomainError:
                # What is missing may have been deleted since: then that is to be said.
                await self._database.read(find)
                raise
            return await in_thread(self._threads, self._encoded, picture, request.encoding, paths)

    async def _single(self, dataset: Dataset, request: PreviewRequest) -> tuple[Image.Image, tuple[str, ...]]:
        shown, categories = await self._sources.single(dataset, request.path)
        side = request.max_side

        def work() -> Image.Image:
            room = side if request.plain else side - caption_height(side)
            picture = filling(self._images.read(dataset.id, shown.file, side), side, room)
            if request.plain:
                return picture
            _draw(picture, shown.annotated, categories)
            return captioned(picture, _caption(dataset, shown), side)

        return await in_thread(self._threads, work), (shown.file.path,)

    async def _sheet(self, dataset: Dataset, request: PreviewRequest) -> tuple[Image.Image, tuple[str, ...]]:
        found = await self._sources.several(
            dataset, request.image_count, request.split, request.class_name, request.seed
        )
        layout = sheet_layout(len(found.shown), request.max_side)

        def work(shown: Shown) -> Image.Image:
            try:
                picture = self._images.read(dataset.id, shown.file, layout.side)
            except DomainError as error:
                if error.reason not in ("IMAGE_UNREADABLE", "IMAGE_TOO_LARGE"):
                    raise
                return unreadable(layout.side)
            picture = filling(picture, layout.side, layout.side)
            if not request.plain:
                _draw(picture, shown.annotated, found.categories)
            return picture

        pictures = await self._together(work, found.shown)
        paths = tuple(shown.file.path for shown in found.shown)
        narrowed = "".join(f" · {part}" for part in (request.split, request.class_name) if part)
        note = f"{len(paths):,} of {found.candidates:,} images{narrowed}"
        captions = [_caption(dataset, shown, plain=request.plain) for shown in found.shown]
        sheet = await in_thread(self._threads, contact_sheet, layout, pictures, captions, dataset.name, note)
        return sheet, paths

    async def _together(self, work: Callable[[Shown], Image.Image], all_shown: Sequence[Shown]) -> list[Image.Image]:
        """One picture for each, in order. A call that ends early waits only for those that were begun."""
        pictures: dict[int, Image.Image] = {}
        queue = iter(enumerate(all_shown))

        async def take() -> None:
            for place, shown in queue:
                pictures[place] = await in_thread(self._threads, work, shown)

        workers = [asyncio.create_task(take()) for _ in range(_THREADS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [pictures[place] for place in range(len(all_shown))]

    def _encoded(self, picture: Image.Image, encoding: str, paths: tuple[str, ...]) -> Preview:
        file = io.BytesIO()
        if encoding == "PNG":
            picture.save(file, "PNG", compress_level=6)
        else:
            # Colours at full resolution: thin lines and names would fray.
            picture.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        image = file.getvalue()
        if len(image) > self._max_bytes:
            raise DomainError(
                "MESSAGE_TOO_LARGE",
                f"The picture has {len(image)} bytes; a message may have {self._max_bytes}. Ask for a smaller "
                "max_side, for JPEG, or raise VISIONMESH_MAX_MESSAGE_BYTES on the gateway.",
                metadata={"setting": "VISIONMESH_MAX_MESSAGE_BYTES", "max_message_bytes": str(self._max_bytes)},
            )
        return Preview(image, f"image/{encoding.lower()}", paths, picture.width, picture.height)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= _WAITING:
            said = f"{_WAITING} previews wait already. Try again in a moment."
            raise DomainError("BUSY", said, retry_seconds=_RETRY_SECONDS)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def _draw(picture: Image.Image, annotated: AnnotatedImage | None, categories: Sequence[Category]) -> None:
    if annotated is not None:
        draw_objects(picture, annotated, categories)


def _caption(dataset: Dataset, shown: Shown, *, plain: bool = False) -> Caption:
    path, split = shown.file.path, shown.split or "in no split"
    if plain:
        return Caption(path.rpartition("/")[2], path)
    if shown.annotated is not None:
        count = len(shown.annotated.objects)
        objects = "1 object" if count == 1 else f"{count} objects" if count else "no objects"
        return Caption(f"{objects} · {split}", path)
    if shown.label in dataset.class_names:
        place = dataset.class_names.index(shown.label)
        return Caption(f"{drawable(shown.label, f'class {place}')} · {split}", path, class_colour(place))
    return Caption(split, path)
