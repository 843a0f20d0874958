"""The model written as COCO and read back is the same model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from annotations.formats.coco import read_coco
from annotations.formats.coco_categories import flip_indices
from annotations.geometry import polygon_area
from annotations.masks import encode_mask
from annotations.model import (
    SPLITS,
    AnnotatedImage,
    AnnotatedObject,
    Box,
    Category,
    Keypoint,
    Visibility,
)
from annotations.writers.coco import write_coco
from tests.annotations.folder_source import save_image
from tests.annotations.reading import Result, read_folder

WIDTH, HEIGHT = 32, 24
POSE = ("nose", "left_eye", "right_eye")
CATEGORIES = (Category("cat"), Category("person", POSE, ((0, 1), (0, 2)), flip_indices(POSE)), Category("고양이 2"))

# Pixels: coordinates are kept to four decimals, of a side made of two of them.
NEAR = 2e-4

# Fractions of a pixel as tools write them, and finer ones.
XS = st.integers(0, WIDTH * 1000).map(lambda value: value / 1000) | st.floats(0, WIDTH)
YS = st.integers(0, HEIGHT * 1000).map(lambda value: value / 1000) | st.floats(0, HEIGHT)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(st.floats(0, WIDTH - 1)), draw(st.floats(0, HEIGHT - 1))
    return Box(x, y, min(WIDTH, x + draw(st.floats(0.1, WIDTH))), min(HEIGHT, y + draw(st.floats(0.1, HEIGHT))))


POLYGONS = (
    st.lists(st.tuples(XS, YS), min_size=3, max_size=6)
    .map(lambda points: tuple(value for point in points for value in point))
    .filter(lambda polygon: abs(polygon_area(polygon)) > 0.1)
)
MASKS = arrays.arrays(np.uint8, (HEIGHT, WIDTH), elements=st.integers(0, 1)).map(encode_mask)
KEYPOINTS = st.builds(Keypoint, XS, YS, st.sampled_from([Visibility.OCCLUDED, Visibility.VISIBLE])) | st.just(
    Keypoint(0.0, 0.0, Visibility.ABSENT)
)


@st.composite
def objects(draw: st.DrawFn) -> AnnotatedObject:
    drawn = draw(st.sampled_from(["box", "polygons", "mask", "pose"]))
    return AnnotatedObject(
        category_id=1 if drawn == "pose" else draw(st.integers(0, 2)),
        box=draw(boxes()),
        polygons=tuple(draw(st.lists(POLYGONS, min_size=1, max_size=3))) if drawn == "polygons" else (),
        mask=draw(MASKS) if drawn == "mask" else None,
        keypoints=draw(st.tuples(KEYPOINTS, KEYPOINTS, KEYPOINTS)) if drawn == "pose" else (),
        crowd=draw(st.booleans()),
    )


DATASETS = st.lists(st.tuples(st.sampled_from(SPLITS), st.lists(objects(), max_size=4)), min_size=1, max_size=5)


@settings(max_examples=40)
@given(DATASETS)
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, dataset: list[tuple[str, list[AnnotatedObject]]]
) -> None:
    folder = tmp_path_factory.mktemp("dataset")
    images = [
        AnnotatedImage(f"images/{number}.png", WIDTH, HEIGHT, split, tuple(found))
        for number, (split, found) in enumerate(dataset)
    ]

    result = written_and_read(folder, images)

    assert result.problems == []
    assert result.categories == CATEGORIES
    assert sorted(result.images) == [image.path for image in images]
    for image in images:
        back = result.images[image.path]
        assert (back.width, back.height, back.split) == (image.width, image.height, image.split)
        assert len(back.objects) == len(image.objects)
        for found, before in zip(back.objects, image.objects, strict=True):
            assert_same(found, before)


def written_and_read(folder: Path, images: list[AnnotatedImage]) -> Result:
    """Images and annotations written into a folder, and what the reader finds there."""
    for image in images:
        save_image(folder / image.path, image.width, image.height)
    (folder / "annotations").mkdir()
    write_coco(folder / "annotations", CATEGORIES, images)
    return read_folder(read_coco, folder)


def assert_same(found: AnnotatedObject, before: AnnotatedObject) -> None:
    """Equal, but for coordinates that differ by less than is kept."""
    assert (found.category_id, found.mask, found.crowd) == (before.category_id, before.mask, before.crowd)
    for corner in ("x_min", "y_min", "x_max", "y_max"):
        assert getattr(found.box, corner) == pytest.approx(getattr(before.box, corner), abs=NEAR)
    assert len(found.polygons) == len(before.polygons)
    for polygon, expected in zip(found.polygons, before.polygons, strict=True):
        assert polygon == pytest.approx(expected, abs=NEAR)
    assert len(found.keypoints) == len(before.keypoints)
    for point, wanted in zip(found.keypoints, before.keypoints, strict=True):
        assert (point.x, point.y) == pytest.approx((wanted.x, wanted.y), abs=NEAR)
        assert point.visibility == wanted.visibility


def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[2:5, 3:9] = 1
    found = (
        AnnotatedObject(0, Box(3, 2, 9, 5), mask=encode_mask(pixels)),
        AnnotatedObject(2, Box(3, 2, 9, 5), polygons=((3, 2, 9, 2, 9, 5, 3, 5),)),
    )

    paths = write_coco(tmp_path, CATEGORIES, [AnnotatedImage("a.png", WIDTH, HEIGHT, "val", found)])

    theirs = COCO(paths["val"])
    assert theirs.loadCats([1, 2])[1]["keypoints"] == list(POSE)
    for annotation in theirs.loadAnns([1, 2]):
        assert coco_mask.area(theirs.annToRLE(annotation)) == annotation["area"] == 18
        assert coco_mask.iou([theirs.annToRLE(annotation)], [coco_mask.encode(np.asfortranarray(pixels))], [0]) == [[1]]


def test_each_split_has_a_file_of_its_own_and_nothing_else_remains(tmp_path: Path) -> None:
    images = [AnnotatedImage(f"{split}.png", 8, 8, split) for split in ("val", "train")]

    paths = write_coco(tmp_path, CATEGORIES, images)

    assert paths == {split: tmp_path / f"{split}.json" for split in ("val", "train")}
    assert sorted(tmp_path.iterdir()) == [tmp_path / "train.json", tmp_path / "val.json"]
    assert [image["file_name"] for image in json.loads(paths["train"].read_text())["images"]] == ["train.png"]


def test_writing_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def images() -> object:
        yield AnnotatedImage("a.png", 8, 8, "train")
        raise ValueError("the document is cut short")

    with pytest.raises(ValueError, match="cut short"):
        write_coco(tmp_path, CATEGORIES, images())  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []


def test_a_rotated_box_becomes_a_polygon(tmp_path: Path) -> None:
    corners = (10.0, 0.0, 20.0, 10.0, 10.0, 20.0, 0.0, 10.0)
    image = AnnotatedImage("a.png", 32, 24, "train", (AnnotatedObject(0, Box(0, 0, 20, 20), rotated_box=corners),))

    (found,) = written_and_read(tmp_path, [image]).objects("a.png")

    assert (found.box, found.polygons) == (Box(0, 0, 20, 20), (corners,))
