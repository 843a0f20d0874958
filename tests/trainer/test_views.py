"""Datasets whose images carry objects, looked at as images to classify."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotations.model import AnnotatedImage, AnnotatedObject, Box
from storage.objects.local import LocalObjectStore
from tests.trainer.object_dataset import encode, put_object_dataset, turned
from trainer.adapter import BadTrainingData, Sample, TrainingDataset
from trainer.cache.datasets import DatasetCache
from trainer.views.crops import crop_name
from trainer.views.opening import open_view

REPOSITORY = Path(__file__).parents[2]
CLASSES = ("car", "dog", "tree")
CAR, DOG, TREE = range(3)
WIDTH, HEIGHT = 64, 48


def noise(seed: int = 0) -> Image.Image:
    """An image of which no two parts are alike."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def thing(category: int, *box: float, crowd: bool = False) -> AnnotatedObject:
    return AnnotatedObject(category, Box(*(box or (10, 10, 30, 30))), crowd=crowd)


def image(path: str, *objects: AnnotatedObject, split: str = "") -> AnnotatedImage:
    return AnnotatedImage(path, WIDTH, HEIGHT, split or path.partition("/")[0], objects)


class Views:
    """Opens views of datasets, all in one cache."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalObjectStore(folder / "objects")
        self.root = folder / "cache"
        self.in_use = ExitStack()
        self.seen: list[tuple[int, int]] = []

    def put(self, images: Sequence[AnnotatedImage], **files: bytes) -> str:
        """Store the dataset and give its manifest's digest. Images are noise unless ``files`` (``train_1`` for
        ``train/1.png``) say another."""
        given = {path.replace("_", "/", 1): data for path, data in files.items()}
        content = {
            item.path: given.get(item.path.rpartition(".")[0]) or encode(noise(place))
            for place, item in enumerate(images)
        }
        return put_object_dataset(self.store, "streets", CLASSES, images, content)

    def open(self, view: str, images: Sequence[AnnotatedImage], **files: bytes) -> TrainingDataset:
        """The view of a dataset that is stored first."""
        digest = self.put(images, **files)
        cache = DatasetCache(self.root, self.store, 1 << 30)
        dataset = self.in_use.enter_context(cache.open("streets", digest, None))
        return open_view(
            view,
            dataset,
            digest,
            cache,
            self.in_use,
            threads=2,
            progress=lambda done, total: self.seen.append((done, total)),
        )


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    views = Views(tmp_path)
    yield views
    views.in_use.close()


# Enough to train on, whatever else is there.
ENOUGH = [image("train/x.png", thing(CAR), thing(DOG)), image("val/x.png", thing(CAR))]


def pixels(dataset: TrainingDataset, name: str) -> Image.Image:
    with Image.open(dataset.root / name) as opened:
        opened.load()
        return opened


def test_each_object_becomes_an_image_with_the_pixels_of_its_box(views: Views) -> None:
    boxes = {CAR: (3, 4, 20, 30), TREE: (40, 0, 64, 48)}
    objects = [thing(category, *box) for category, box in boxes.items()]
    seen = views.open("CROPS", [*ENOUGH, image("train/a.png", *objects), image("test/b.png", thing(DOG))])
    assert seen.class_names == CLASSES and seen.annotations is None
    assert set(seen.samples) == {
        Sample("train/x.png#0.png", "train", CAR),
        Sample("train/x.png#1.png", "train", DOG),
        Sample("val/x.png#0.png", "val", CAR),
        Sample("train/a.png#0.png", "train", CAR),
        Sample("train/a.png#1.png", "train", TREE),
        Sample("test/b.png#0.png", "test", DOG),
    }
    whole = np.asarray(noise(2))
    for place, (left, top, right, bottom) in enumerate(boxes.values()):
        crop = np.asarray(pixels(seen, f"train/a.png#{place}.png"))
        assert np.array_equal(crop, whole[top:bottom, left:right])


def test_boxes_are_cut_at_the_edge_and_what_is_too_small_or_a_crowd_is_left_out(views: Views) -> None:
    objects = [
        thing(CAR, -20, -20, 5.5, 7.2),  # its rest within the image: whole pixels around it
        thing(CAR, 60, 40, 900, 900),
        thing(DOG, 10, 10, 11.9, 30),  # too narrow
        thing(DOG, 10, 10, 30, 11.9),  # too flat
        thing(DOG, 62.5, 0, 90, 48),  # too little inside the image
        thing(DOG, 100, 100, 200, 200),  # outside
        thing(DOG, 30, 30, 10, 10),  # inside out
        thing(TREE, 0, 0, 64, 48, crowd=True),
        thing(TREE, 10, 10, 12, 12),  # just enough
    ]
    seen = views.open("CROPS", [*ENOUGH, image("train/a.png", *objects)])
    sizes = {
        sample.path: pixels(seen, sample.path).size for sample in seen.samples if sample.path.startswith("train/a.")
    }
    assert sizes == {"train/a.png#0.png": (6, 8), "train/a.png#1.png": (4, 8), "train/a.png#8.png": (2, 2)}


def test_crops_are_upright_and_keep_what_their_pixels_are(views: Views) -> None:
    whole, box = noise(7), (5, 10, 25, 40)
    grey = whole.convert("L")
    deep = Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 20)
    palette = whole.quantize(8)
    clear = whole.copy()
    clear.putalpha(grey)
    inks = whole.convert("CMYK")
    floats = Image.fromarray(np.asarray(grey).astype(np.float32) * 3)
    frames = [palette, noise(8).quantize(8)]
    files = {
        "turned": (turned(whole, "PNG"), whole),
        "grey": (encode(grey), grey),
        "deep": (encode(deep), deep),
        "palette": (encode(palette, transparency=3), palette),
        "clear": (turned(clear, "PNG"), clear),
        "inks": (encode(inks, "TIFF"), inks.convert("RGB")),
        "floats": (encode(floats, "TIFF"), floats),
        "moving": (encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), palette.convert("RGB")),
    }
    images = [image(f"train/{name}.any", thing(CAR, *box)) for name in files]
    content = {f"train_{name}": data for name, (data, _) in files.items()}
    seen = views.open("CROPS", [*ENOUGH, *images], **content)
    names = {sample.path.split("/")[1].split(".")[0]: sample.path for sample in seen.samples}
    for name, (_, expected) in files.items():
        crop = pixels(seen, names[name])
        if name == "moving":
            crop = crop.convert("RGB")
        assert crop.mode == expected.mode, name
        assert np.array_equal(np.asarray(crop), np.asarray(expected.crop(box))), name
        assert crop.getexif().get(0x0112) is None, name
    assert pixels(seen, names["palette"]).info["transparency"] == 3
    photograph = views.open("CROPS", [*ENOUGH, image("train/p.jpg", thing(CAR, *box))], train_p=turned(whole, "JPEG"))
    crop = pixels(photograph, "train/p.jpg#0.png")
    difference = np.abs(np.asarray(crop.convert("L"), int) - np.asarray(whole.crop(box).convert("L"), int))
    assert crop.size == (20, 30) and difference.mean() < 40


def test_names_of_crops_say_their_image_and_never_meet() -> None:
    assert crop_name("val/a.jpg", 3) == "val/a.jpg#3.png"
    assert crop_name("a", 0) == "a#0.png"
    paths = ["a", "a#0.png", "a#", "a#0.png/b", "a##0.png", "x" * 255, "x" * 254 + "y", "é" * 127, "#" * 200, "#" * 199]
    names = {crop_name(path, place) for path in paths for place in (0, 10)}
    assert len(names) == 2 * len(paths)
    folders = {name.rpartition("/")[0] for name in names}
    assert not names & folders
    assert max(len(part.encode()) for name in names for part in name.split("/")) <= 255


def test_crops_are_cut_once_for_all_jobs_of_a_dataset(views: Views) -> None:
    first = views.open("CROPS", ENOUGH)
    assert views.seen == [(1, 2), (2, 2)]
    assert views.open("CROPS", ENOUGH) == first
    assert len(views.seen) == 2
    other = views.open("CROPS", [*ENOUGH, image("train/a.png", thing(TREE))])
    assert other.root != first.root


def test_an_image_whose_objects_are_of_one_class_gets_its_label(views: Views) -> None:
    seen = views.open(
        "IMAGE_LABELS",
        [
            image("train/a.png", thing(CAR), thing(CAR)),
            image("train/b.png", thing(DOG, crowd=True), thing(DOG)),
            image("train/c.png", thing(CAR), thing(DOG)),
            image("train/d.png"),
            image("val/a.png", thing(TREE)),
        ],
    )
    assert seen.samples == (
        Sample("train/a.png", "train", CAR),
        Sample("train/b.png", "train", DOG),
        Sample("val/a.png", "val", TREE),
    )
    assert seen.class_names == CLASSES and seen.annotations is None
    assert all((seen.root / sample.path).is_file() for sample in seen.samples)


BOTH = (thing(CAR), thing(DOG))
CROWD = thing(DOG, crowd=True)


@pytest.mark.parametrize(
    ("view", "images", "words"),
    [
        ("CROPS", [image("val/a.png", *BOTH)], ["train split has no images"]),
        ("CROPS", [image("train/a.png", *BOTH)], ["val split has no images", "Of the 0 objects of val"]),
        (
            "CROPS",
            [image("train/a.png", thing(CAR), CROWD, thing(TREE, 0, 0, 1, 1)), image("val/a.png", *BOTH)],
            [
                "every image of the train split is of class car",
                "Of the 3 objects of train, 1 are crowds and 1 have less",
            ],
        ),
        (
            "IMAGE_LABELS",
            [image("train/a.png", *BOTH), image("train/b.png"), image("val/a.png", thing(CAR))],
            ["train split has no images", "Of the 2 images of train, 1 have no objects and 1 have objects of several"],
        ),
        ("IMAGE_LABELS", [image("train/a.png", thing(CAR)), image("val/a.png", thing(DOG))], ["class car"]),
        (
            "IMAGE_LABELS",
            [image("train/a.png", thing(CAR)), image("train/b.png", thing(DOG)), image("val/a.png", *BOTH)],
            ["val split has no images"],
        ),
    ],
)
def test_too_little_to_learn_from_is_said_with_what_was_left_out(
    views: Views, view: str, images: list[AnnotatedImage], words: list[str]
) -> None:
    with pytest.raises(BadTrainingData) as caught:
        views.open(view, images)
    assert all(word in str(caught.value) for word in [view, *words]), caught.value


def test_an_image_that_cannot_be_read_is_named_and_nothing_is_kept(views: Views) -> None:
    broken = [*ENOUGH, image("train/a.png", thing(CAR))]
    with pytest.raises(BadTrainingData, match=r"train/a\.png cannot be read as an image"):
        views.open("CROPS", broken, train_a=b"no image")
    assert views.open("CROPS", broken).split("train")


# Cuts out objects as an agent does, and goes no further than the second image.
CUTTING = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from storage.objects.local import LocalObjectStore
from trainer.cache.datasets import DatasetCache
from trainer.views.opening import open_view
root, objects, digest = sys.argv[1:]
cache = DatasetCache(Path(root), LocalObjectStore(Path(objects)), 1 << 30)
def tell(done, total):
    if done == 2:
        print("two", flush=True)
        time.sleep(600)
with ExitStack() as in_use:
    dataset = in_use.enter_context(cache.open("streets", digest, None))
    open_view("CROPS", dataset, digest, cache, in_use, threads=1, progress=tell)
"""


def test_crops_of_a_process_that_was_killed_are_cut_anew(views: Views, tmp_path: Path) -> None:
    images = [*ENOUGH, *(image(f"train/{number}.png", thing(TREE)) for number in range(20))]
    digest = views.put(images)
    command = [sys.executable, "-c", CUTTING, str(views.root), str(tmp_path / "objects"), digest]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as doomed:
        assert doomed.stdout is not None and doomed.stdout.readline() == b"two\n"
        assert len(list((views.root / "partial").iterdir())) == 1
        doomed.kill()
    assert [entry.name for entry in (views.root / "entries").iterdir()] == [digest]
    seen = views.open("CROPS", images)
    assert len(seen.samples) == 23 and all(pixels(seen, sample.path).size == (20, 20) for sample in seen.samples)
    assert list((views.root / "partial").iterdir()) == []


def test_a_dataset_of_labels_has_no_views(tmp_path: Path) -> None:
    cache = DatasetCache(tmp_path, LocalObjectStore(tmp_path / "objects"), 1)
    labels = TrainingDataset(tmp_path, CLASSES, (Sample("a.png", "train", 0),))
    with ExitStack() as in_use, pytest.raises(BadTrainingData, match="labels of whole images"):
        open_view("CROPS", labels, "0" * 64, cache, in_use, threads=1, progress=None)
