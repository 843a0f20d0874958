"""Single images: which are usable, how large they are seen upright, and which look alike."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from annotations.problems import Problem
from annotations.reading import ImageSize
from gateway.datasets.files import ReceivedFile
from gateway.datasets.images import LARGE_FILE_BYTES, Inspector, Picture, measure
from gateway.datasets.perceptual import near_duplicates
from storage.objects import keys
from storage.objects.local import LocalObjectStore
from tests.gateway.datasets.conftest import Client
from tests.gateway.datasets.pictures import pets, picture, spec, without
from visionmesh.v1 import dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
WARNING = dataset_pb2.PROBLEM_SEVERITY_WARNING
IMAGE_FOLDER = dataset_pb2.DATASET_FORMAT_IMAGE_FOLDER
ORIENTATION = 0x0112

# How an upright image is stored so that a viewer who obeys the orientation sees it upright again.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Something with large shapes, as photographs have and noise has not."""
    rows = random.Random(seed).randbytes(12 * 8 * 3)
    coarse = Image.frombytes("RGB", (12, 8), rows)
    return coarse.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(upright: Image.Image, orientation: int, format: str) -> bytes:
    """The image stored turned, with the orientation that turns it back."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    return encoded(stored, format, exif=exif)


def seen(data: bytes) -> Picture:
    found = measure("x", io.BytesIO(data), 10_000)
    assert isinstance(found, Picture), found
    return found


def look_alike(one: Picture, other: Picture) -> bool:
    assert one.shrunken is not None and other.shrunken is not None
    return bool([*near_duplicates([("1", "train", one.shrunken), ("2", "val", other.shrunken)])])


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_measured_and_compared_as_it_is_seen(orientation: int, format: str) -> None:
    upright = scene(1)
    found = seen(turned(upright, orientation, format))
    stored = (64, 96) if orientation >= 5 else (96, 64)
    assert found.size == ImageSize(*stored, 96, 64, orientation)
    assert look_alike(found, seen(encoded(upright)))


def test_an_orientation_that_no_one_can_read_is_none() -> None:
    good = turned(scene(1), 6, "JPEG")
    place = good.index(b"Exif\0\0") + 6
    broken = good[:place] + b"\xff" * 12 + good[place + 12 :]
    assert seen(broken).size == ImageSize(64, 96, 64, 96, 1)
    assert seen(turned(scene(1), 77, "PNG")).size.orientation == 1


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("I;16", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "WEBP"),
        ("F", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_every_mode_of_pixels_is_usable(mode: str, format: str) -> None:
    image = scene(2)
    if mode == "I;16":
        grey = image.convert("L")
        image = Image.frombytes("I;16", grey.size, b"".join(bytes((0, value)) for value in grey.tobytes()))
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, image.tobytes())
    else:
        image = image.convert(mode)
    found = seen(encoded(image, format))
    assert (found.size.width, found.size.height, found.animated) == (96, 64, False)
    # Not black, white and nothing between, as deep grey would be if it were cut off.
    assert mode == "LAB" or (found.shrunken is not None and len(set(found.shrunken)) > 20)
    if mode in ("CMYK", "L", "LA", "RGBA"):
        assert look_alike(found, seen(encoded(scene(2))))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_cut_off_anywhere_is_broken(progressive: bool) -> None:
    whole = encoded(scene(1), "JPEG", progressive=progressive)
    assert isinstance(measure("a.jpg", io.BytesIO(whole), 10**6), Picture)
    for kept in range(len(whole) // 2, len(whole) - 64, 97):
        found = measure("a.jpg", io.BytesIO(whole[:kept]), 10**6)
        assert isinstance(found, Problem) and found.kind == "broken_image", kept


@pytest.mark.parametrize("factors", [b"\x31\x21\x21", b"\x13\x12\x12", b"\x00\x11\x11"])
def test_a_jpeg_whose_colours_no_decoder_enlarges_is_broken(factors: bytes) -> None:
    """Its brightness alone could be decoded, which no training is content with."""
    data = bytearray(encoded(scene(1), "JPEG"))
    components = data.index(b"\xff\xc0") + 10
    for number, factor in enumerate(factors):
        data[components + 3 * number + 1] = factor
    with pytest.raises(OSError), Image.open(io.BytesIO(data)) as image:
        image.load()
    found = measure("a.jpg", io.BytesIO(data), 10**6)
    assert isinstance(found, Problem) and found.kind == "broken_image"


async def test_strange_and_turned_images_are_trained_on_like_others(ada: Client) -> None:
    files = {
        **without(pets(), ["train/cat/0.png"]),
        "train/cat/turned.jpg": turned(scene(1), 6, "JPEG"),
        "train/cat/print.jpg": encoded(scene(2).convert("CMYK"), "JPEG"),
        "train/dog/deep.png": encoded(Image.frombytes("I;16", (96, 64), random.Random(1).randbytes(96 * 64 * 2))),
    }
    dataset = await ada.analysed(spec(), files)
    assert (dataset.state, await ada.problems(dataset.id)) == (READY, [])
    found = await ada.statistics(dataset.id)
    by_bound = dict(zip(found.aspect_ratios.lower_bounds, found.aspect_ratios.counts, strict=True))
    # Turned by its orientation, the first is as wide as the other two.
    assert by_bound[1.5] == 3


def test_a_large_file_goes_by_way_of_the_disk_and_leaves_nothing_there(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "objects")
    data = encoded(scene(1), "JPEG") + bytes(LARGE_FILE_BYTES)
    file = ReceivedFile("large.jpg", len(data), store.put(keys.dataset_file("ds", "large.jpg"), data).sha256)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    inspector = Inspector(store, "ds", 10_000, scratch)
    found = inspector.inspect(file)
    assert isinstance(found, Picture) and found.size.width == 96
    store.put(keys.dataset_file("ds", "large.jpg"), data[:-1] + b"x")
    changed = inspector.inspect(file)
    assert isinstance(changed, Problem) and changed.kind == "storage_corrupt"
    assert [*scratch.iterdir()] == []


async def test_a_moving_image_is_told_of_and_its_first_frame_used(ada: Client) -> None:
    frames = [scene(seed) for seed in (1, 2, 3)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    files = {**pets(), "train/cat/moving.gif": moving, "train/dog/still.gif": encoded(scene(9), "GIF")}
    dataset = await ada.analysed(spec(), files)
    assert dataset.state == READY
    (problem,) = await ada.problems(dataset.id)
    assert (problem.path, problem.kind, problem.severity) == ("train/cat/moving.gif", "animated_image", WARNING)
    assert dataset.class_distribution["train"].images["cat"] == 3


async def test_images_that_look_alike_across_splits_are_told(ada: Client) -> None:
    photograph = scene(5, (96, 64))
    files = {
        **pets(),
        "train/cat/photograph.png": encoded(photograph),
        "train/dog/photograph.png": encoded(photograph.resize((80, 53))),  # in the same split: nobody's business
        "val/cat/smaller.jpg": encoded(photograph.resize((48, 32)), "JPEG", quality=60),
        "val/dog/another.png": encoded(scene(6)),
        "val/dog/same.png": encoded(photograph),
        "train/cat/black.png": encoded(Image.new("RGB", (30, 20))),
        "val/cat/black.png": encoded(Image.new("RGB", (20, 30), (4, 4, 4))),
    }
    dataset = await ada.analysed(spec(), files)
    assert dataset.state == READY
    told = {problem.path: problem for problem in await ada.problems(dataset.id)}
    assert {path: problem.kind for path, problem in told.items()} == {
        "val/cat/smaller.jpg": "near_duplicate_in_splits",
        "val/dog/same.png": "same_image_in_splits",
    }
    assert "train/cat/photograph.png" in told["val/cat/smaller.jpg"].message
    assert {problem.severity for problem in told.values()} == {WARNING}


def test_near_duplicates_among_many_are_found_by_parts_of_their_hashes() -> None:
    chance = random.Random(3)
    train = [chance.randbytes(72) for _ in range(100_000)]
    copies = {}
    for number in range(0, 200, 2):
        noisy = bytes(min(255, max(0, value + chance.choice((-1, 0, 1)))) for value in train[number])
        copies[f"val/{number}"] = noisy
        copies[f"val/{number} another"] = chance.randbytes(72)
        # Of the same hash, and brighter by so much that no encoding did it.
        copies[f"val/{number} brighter"] = bytes(value // 2 + 120 for value in train[number])
    images = [
        *((f"train/{number}", "train", values) for number, values in enumerate(train)),
        *((path, "val", values) for path, values in copies.items()),
    ]
    assert dict(near_duplicates(images)) == {f"val/{number}": f"train/{number}" for number in range(0, 200, 2)}


def test_hashes_that_all_share_a_part_do_not_take_for_ever() -> None:
    # Half of each is the same, so that all are in the same places where duplicates are looked for.
    chance, half = random.Random(4), random.Random(5).randbytes(36)
    images = [(str(place), "train" if place % 2 else "val", half + chance.randbytes(36)) for place in range(10_000)]
    assert len([*near_duplicates(images)]) <= len(images)


def test_shapes_of_one_outline_are_not_the_same_image() -> None:
    digits = load_digits()
    shrunk = [
        seen(encoded(Image.fromarray((pixels * 15.9).astype("uint8")))).shrunken for pixels in digits.images[:600]
    ]
    images = [(str(n), "val" if n % 5 == 4 else "train", values) for n, values in enumerate(shrunk) if values]
    assert len(images) == 600
    # Hands are steady: some digits are the same but for a few grey values.
    assert len([*near_duplicates(images)]) < 6


async def test_names_that_some_systems_take_for_one_are_told(ada: Client) -> None:
    files = {**pets(), "train/cat/A.png": picture(70), "train/cat/a.png": picture(71)}
    files |= {f"{split}/Cat/9.png": picture(80 + place) for place, split in enumerate(("train", "val"))}
    dataset = await ada.analysed(spec(), files)
    assert dataset.state == READY
    told = [(problem.path, problem.kind) for problem in await ada.problems(dataset.id)]
    assert told == [("train/cat/a.png", "names_differ_in_case"), ("", "names_differ_in_case")]


async def test_many_problems_of_a_kind_are_counted_rather_than_listed(
    ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.draft.PROBLEMS_OF_A_KIND", 5)
    strangers = {f"train/cat/{number}.txt": b"no image" for number in range(12)}
    dataset = await ada.analysed(spec(), {**pets(), **strangers, "train/dog/torn.png": b"no"})
    problems = await ada.problems(dataset.id)
    assert dataset.state == READY
    kinds = [problem.kind for problem in problems]
    assert (kinds.count("not_an_image"), kinds.count("broken_image")) == (6, 1)
    assert any("7 more problems" in problem.message for problem in problems)


async def test_errors_come_first(ada: Client) -> None:
    files = {"train/cat/1.png": picture(1), "val/cat/1.png": picture(2), "a.txt": b"", "train/cat/2.png": b"no"}
    dataset = await ada.analysed(spec(), files)
    severities = [problem.severity for problem in await ada.problems(dataset.id)]
    assert severities == sorted(severities, reverse=True) and len(set(severities)) == 2


def test_what_is_wrong_names_the_file() -> None:
    found = measure("a/b.png", io.BytesIO(b"not at all"), 100)
    assert isinstance(found, Problem) and (found.path, found.kind) == ("a/b.png", "broken_image")
