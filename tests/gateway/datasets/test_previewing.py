"""Previews over gRPC: what is shown, what is drawn, and what is refused."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from annotations.colours import class_colour
from annotations.model import AnnotatedImage, AnnotatedObject, Box, Category
from gateway.datasets.previews import PreviewRequest, Previews
from rpc.errors import DomainError
from storage.database.engine import Database
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.datasets.conftest import Client, SlowStore, serving
from tests.gateway.datasets.pictures import pets, picture, spec
from tests.gateway.datasets.ready_annotated import annotated_dataset
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.v1 import dataset_pb2

PNG = dataset_pb2.PREVIEW_ENCODING_PNG
Answer = dataset_pb2.GetDatasetPreviewResponse


async def preview(client: Client, dataset_id: str, **fields: object) -> Answer:
    """One call, in PNG unless told otherwise."""
    fields = {"encoding": PNG, **fields}
    request = dataset_pb2.GetDatasetPreviewRequest(dataset_id=dataset_id, **fields)  # type: ignore[arg-type]
    return await client.stub.GetDatasetPreview(request, metadata=client.metadata, timeout=60)


def pixels(answer: Answer) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture, decoded: uint8, (height, width, 3)."""
    with Image.open(io.BytesIO(answer.image)) as image:
        assert image.size == (answer.width, answer.height)
        assert answer.content_type == f"image/{(image.format or '').lower()}"
        return np.asarray(image.convert("RGB"))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def grey(size: tuple[int, int] = (80, 60), format: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, (90, 90, 90)), format)


def street(path: str, split: str, *shows: int) -> AnnotatedImage:
    """An image of 80 × 60 with a box of each of these categories, side by side."""
    boxes = [AnnotatedObject(c, Box(10 + 20 * n, 20, 25 + 20 * n, 40)) for n, c in enumerate(shows)]
    return AnnotatedImage(path, 80, 60, split, tuple(boxes))


CATEGORIES = (Category("car"), Category("dog"), Category("tram"))
STREETS = [
    *(street(f"train/{n}.png", "train", 0) for n in range(6)),
    street("train/both.png", "train", 0, 1),
    street("train/dog.png", "train", 1),
    street("val/car.png", "val", 0),
    street("val/empty.png", "val"),
]
STREET_FILES = {image.path: grey() + image.path.encode() for image in STREETS} | {"annotations.json": b"{}"}

Streets = Callable[..., Awaitable[str]]


@pytest.fixture
def streets(database: Database, store: LocalObjectStore, alice: Account) -> Streets:
    """Makes the dataset of STREETS."""

    async def make(**fields: object) -> str:
        return await annotated_dataset(database, store, alice, STREET_FILES, STREETS, CATEGORIES, **fields)

    return make


async def test_a_contact_sheet_shows_every_class_of_a_classification_set(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets(train=20, val=1))
    sheet = await preview(ada, dataset.id, image_count=4)
    assert [path.split("/")[1] for path in sheet.paths] == ["cat", "cat", "dog", "dog"]
    assert max(sheet.width, sheet.height) <= 1024
    shown = pixels(sheet)
    for place in (0, 1):
        assert (shown == class_colour(place)).all(axis=2).sum() > 50
    assert await preview(ada, dataset.id, image_count=4) == sheet
    assert (await preview(ada, dataset.id, image_count=4, seed=1)).paths != sheet.paths


async def test_a_sheet_is_narrowed_by_split_and_class(ada: Client, streets: Streets) -> None:
    dataset = await ada.analysed(spec(), pets(train=5, val=2))
    assert {*(await preview(ada, dataset.id, split="val")).paths} == {p for p in pets(5, 2) if p.startswith("val/")}
    assert {*(await preview(ada, dataset.id, class_name="dog", split="train")).paths} == {
        f"train/dog/{n}.png" for n in range(5)
    }
    scenes = await streets()
    assert [*(await preview(ada, scenes, class_name="dog")).paths] == ["train/both.png", "train/dog.png"]
    assert [*(await preview(ada, scenes, split="val")).paths] == ["val/car.png", "val/empty.png"]
    assert [*(await preview(ada, scenes, split="val", class_name="car")).paths] == ["val/car.png"]


async def test_rare_classes_and_images_without_objects_have_their_place(ada: Client, streets: Streets) -> None:
    scenes = await streets()
    for seed in range(5):
        paths = {*(await preview(ada, scenes, image_count=3, seed=seed)).paths}
        assert "val/empty.png" in paths
        assert paths & {"train/both.png", "train/dog.png"}
    everything = await preview(ada, scenes, image_count=100)
    assert [*everything.paths] == sorted(image.path for image in STREETS)


async def test_one_image_is_drawn_with_its_boxes_where_they_are(ada: Client, streets: Streets) -> None:
    scenes = await streets()
    shown = pixels(await preview(ada, scenes, path="train/both.png"))
    plain = pixels(await preview(ada, scenes, path="train/both.png", without_annotations=True))
    times = plain.shape[1] // 80
    assert plain.shape == (60 * times, 80 * times, 3) and (plain == 90).all()
    scale = shown.shape[1] // 80
    for place, left in ((0, 10), (1, 30)):
        coloured = (shown == class_colour(place)).all(axis=2)
        rows, columns = np.nonzero(coloured[20 * scale : 40 * scale])
        assert (columns.min(), columns.max()) == (left * scale, (left + 15) * scale - 1)
        assert (rows.min(), rows.max()) == (0, 20 * scale - 1)
    assert max(shown.shape) <= 1024


async def test_a_caption_tells_the_class_of_a_single_image(ada: Client) -> None:
    dataset = await ada.analysed(spec(), pets())
    answer = await preview(ada, dataset.id, path="train/dog/1.png", max_side=300)
    assert [*answer.paths] == ["train/dog/1.png"]
    shown = pixels(answer)
    assert (shown[-20:] == class_colour(1)).all(axis=2).any()
    alone = await preview(ada, dataset.id, path="train/dog/1.png", max_side=300, without_annotations=True)
    assert (alone.width, alone.height) == (296, 296)
    with Image.open(io.BytesIO(pets()["train/dog/1.png"])) as original:
        assert (pixels(alone)[18::37, 18::37] == np.asarray(original)).all()


async def test_images_of_every_kind_stand_upright_in_their_colours(
    ada: Client, database: Database, store: LocalObjectStore, alice: Account
) -> None:
    turned = Image.new("RGB", (40, 20), "black")
    turned.paste("white", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    red = Image.new("RGB", (30, 30), (255, 0, 0))
    files = {
        "a/turned.jpg": encoded(turned, "JPEG", exif=exif),
        "a/cmyk.jpg": encoded(red.convert("CMYK"), "JPEG"),
        "a/palette.png": encoded(red.quantize(4)),
        "a/palette.gif": encoded(red.quantize(4), "GIF"),
        "b/deep.png": encoded(Image.fromarray(np.full((30, 30), 128 << 8, dtype=np.uint16))),
        "b/clear.png": encoded(Image.new("RGBA", (30, 30), (0, 0, 0, 0))),
        "b/grey.tif": encoded(Image.new("L", (30, 30), 128), "TIFF"),
        "b/large.jpg": encoded(Image.new("RGB", (90, 90), (255, 0, 0)), "JPEG"),
    }
    dataset = await ada.analysed(spec(format=dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER), files)
    expected = {
        "cmyk": (254, 0, 0),
        "palette": (255, 0, 0),
        "deep": (128,) * 3,
        "clear": (255,) * 3,
        "grey": (128,) * 3,
    }
    for path in files:
        shown = pixels(await preview(ada, dataset.id, path=path, max_side=64, without_annotations=True))
        if path == "a/turned.jpg":
            assert shown.shape == (40, 20, 3)
            assert shown[5].mean() > 240 and shown[35].mean() < 15
        elif path == "b/large.jpg":
            assert shown.shape == (64, 64, 3) and np.abs(shown.mean(axis=(0, 1)) - (255, 0, 0)).max() < 3
        else:
            name = path.split("/")[1].split(".")[0]
            assert np.abs(shown.mean(axis=(0, 1)) - expected[name]).max() < 3, path


@pytest.mark.parametrize(("count", "side"), [(1, 32), (100, 32), (7, 200), (100, 4096)])
async def test_a_sheet_of_any_size_stays_within_its_side(ada: Client, count: int, side: int) -> None:
    dataset = await ada.analysed(spec(), pets(train=49, val=1))
    answer = await preview(
        ada, dataset.id, image_count=count, max_side=side, encoding=dataset_pb2.PREVIEW_ENCODING_JPEG
    )
    assert len(answer.paths) == count
    assert pixels(answer).shape == (answer.height, answer.width, 3)
    assert side * 0.6 < max(answer.width, answer.height) <= side
    assert answer.content_type == "image/jpeg"


async def test_only_what_is_ready_and_visible_is_shown(ada: Client, ben: Client, streets: Streets) -> None:
    uploading = await ada.filled(pets())
    error = await refused(preview(ada, uploading))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_NOT_READY")
    private, shared = await streets(), await streets(visibility="PUBLIC")
    assert (await refused(preview(ben, private))).reason == "DATASET_NOT_FOUND"
    assert len((await preview(ben, shared)).paths) == len(STREETS)
    assert (await refused(preview(ada, ""))).violations[0].field == "dataset_id"


async def test_a_file_that_is_no_image_or_not_there_is_named(ada: Client, streets: Streets) -> None:
    scenes = await streets()
    gone = await refused(preview(ada, scenes, path="train/none.png"))
    assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND")
    assert (await refused(preview(ada, scenes, path="annotations.json"))).reason == "IMAGE_UNREADABLE"
    # An image that no annotation tells of is shown as it is.
    dataset = await ada.analysed(spec(), {**pets(), "cover.png": picture(9)})
    assert [*(await preview(ada, dataset.id, path="cover.png")).paths] == ["cover.png"]


async def test_every_wrong_field_is_named(ada: Client, streets: Streets) -> None:
    scenes = await streets()
    wrong = {"path": "../x", "max_side": 31, "encoding": 9, "image_count": 101, "split": "dev", "class_name": "a\0"}
    error = await refused(preview(ada, scenes, **wrong))
    assert error.reason == "INVALID_REQUEST"
    assert [item.field for item in error.violations] == [*wrong]
    assert (await refused(preview(ada, scenes, max_side=4097))).violations[0].field == "max_side"
    assert (await refused(preview(ada, scenes, image_count=-1))).violations[0].field == "image_count"
    unknown = await refused(preview(ada, scenes, class_name="bicycle"))
    assert [item.field for item in unknown.violations] == ["class_name"]
    none = await refused(preview(ada, scenes, class_name="tram", split="test"))
    assert [item.field for item in none.violations] == ["split", "class_name"]


@pytest.mark.parametrize("lost", ["file", "annotations", "manifest"])
@pytest.mark.parametrize("how", ["missing", "changed"])
async def test_what_the_store_lost_is_said(
    ada: Client, streets: Streets, store: LocalObjectStore, lost: str, how: str
) -> None:
    scenes = await streets()
    key = {
        "file": keys.dataset_file(scenes, "train/dog.png"),
        "annotations": keys.dataset_annotations(scenes),
        "manifest": keys.manifest(scenes),
    }[lost]
    if how == "missing":
        store.delete(key)
    else:
        store.put(key, store.get(key)[:-1] + b"?")
    for fields in ({"path": "train/dog.png"}, {"image_count": 100}):
        error = await refused(preview(ada, scenes, **fields))
        assert (error.reason, scenes in error.message) == ("STORAGE_CORRUPT", True)


async def test_an_image_of_a_sheet_that_cannot_be_decoded_leaves_the_others_to_see(
    ada: Client, database: Database, store: LocalObjectStore, alice: Account
) -> None:
    files = {"a.png": grey(), "b.png": b"no image at all"}
    images = [AnnotatedImage(path, 80, 60, "train") for path in files]
    dataset_id = await annotated_dataset(database, store, alice, files, images, CATEGORIES)
    answer = await preview(ada, dataset_id)
    assert [*answer.paths] == ["a.png", "b.png"]
    assert (pixels(answer) == 90).all(axis=2).any()


async def test_an_image_beyond_the_setting_is_refused_before_it_is_decoded(
    ada: Client, database: Database, store: LocalObjectStore, alice: Account
) -> None:
    files = {"huge.png": encoded(Image.new("L", (101, 100)))}  # the fixture allows 10,000 pixels
    images = [AnnotatedImage("huge.png", 101, 100, "train")]
    dataset_id = await annotated_dataset(database, store, alice, files, images, CATEGORIES)
    error = await refused(preview(ada, dataset_id, path="huge.png"))
    assert (error.reason, error.metadata["max_image_pixels"]) == ("IMAGE_TOO_LARGE", "10000")


async def test_a_picture_that_no_message_can_carry_is_refused_with_what_helps(
    ada: Client, database: Database, store: LocalObjectStore, alice: Account
) -> None:
    dataset = await ada.analysed(spec(), pets())
    previews = Previews(database, store, max_image_pixels=10_000, max_bytes=1000)
    request = PreviewRequest(dataset.id, "", 512, "PNG", 4, "", "", 0, False)
    with pytest.raises(DomainError) as caught:
        await previews.draw(alice.user_id, request)
    assert (caught.value.reason, "max_side" in caught.value.message) == ("MESSAGE_TOO_LARGE", True)
    previews.close()


async def test_more_previews_than_may_wait_are_sent_away_and_the_others_drawn(
    database: Database, tmp_path: Path, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.datasets.previews._WAITING", 2)
    store = SlowStore(tmp_path / "slow", 0.1)
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset = await client.analysed(spec(), pets())
        answers = await asyncio.gather(
            *(preview(client, dataset.id, seed=seed) for seed in range(8)), return_exceptions=True
        )
        refusals = [from_rpc(answer) for answer in answers if isinstance(answer, grpc.RpcError)]
        assert {error.reason for error in refusals} == {"BUSY"}
        assert all(error.retry_seconds for error in refusals)
        assert len(answers) - len(refusals) == 4  # two are drawn and two wait
        assert len((await preview(client, dataset.id)).paths) == 6


async def test_a_dataset_that_is_deleted_meanwhile_is_not_found(
    database: Database, tmp_path: Path, alice: Account
) -> None:
    store = CountingStore(tmp_path / "slow", 0.2)
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset = await client.analysed(spec(), pets(train=8, val=1))
        before = store.reads
        call = asyncio.create_task(preview(client, dataset.id))
        await until(lambda: store.reads > before)
        await client.delete(dataset.id)
        assert (await refused(call)).reason == "DATASET_NOT_FOUND"


class CountingStore(SlowStore):
    """Counts what is read."""

    reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


async def test_a_call_that_is_cancelled_stops_reading(database: Database, tmp_path: Path, alice: Account) -> None:
    store = CountingStore(tmp_path / "slow", 0.05)
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        client = Client(channel, alice)
        dataset = await client.analysed(spec(), pets(train=24, val=1))
        before = store.reads
        call = asyncio.create_task(preview(client, dataset.id, image_count=50))
        await until(lambda: store.reads > before)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        # The next one takes its turn, which it gets when the threads of the first are done.
        assert len((await preview(client, dataset.id, image_count=1)).paths) == 1
        assert store.reads - before < 40
