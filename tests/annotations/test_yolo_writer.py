"""The model written for ultralytics, read back by our reader and by ultralytics itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.formats.yolo import read_yolo
from annotations.masks import polygon_mask
from annotations.model import AnnotatedImage, AnnotatedObject, Box, Category, Keypoint, RunLengthMask, Visibility
from annotations.writers.polygons import join_polygons
from annotations.writers.yolo import YoloDataset, write_yolo
from tests.annotations.dataset_folder import Outcome, read
from tests.annotations.folder_source import save_image
from tests.annotations.ultralytics_reader import read_with_ultralytics

TASKS = ("detect", "segment", "pose", "obb")
CATEGORIES = (Category("no"), Category("größer: 1", ("nose", "left", "right"), flip_indices=(0, 2, 1)))
SEEN, HIDDEN, ABSENT = Visibility.VISIBLE, Visibility.OCCLUDED, Visibility.ABSENT


def write(
    folder: Path, images: Iterable[AnnotatedImage], task: str, categories: Sequence[Category] = CATEGORIES
) -> YoloDataset:
    """Write a dataset, with a real image for each."""
    images = list(images)
    for image in images:
        save_image(folder / "stored" / image.path, image.width, image.height)
    return write_yolo(
        folder / "written",
        categories,
        images,
        task=task,
        image_file=lambda path: folder / "stored" / path,
        polygons_of=outline,
    )


def outline(mask: RunLengthMask) -> list[tuple[float, ...]]:
    """A stand-in for tracing a mask: its outer box."""
    return [(0.0, 0.0, mask.width, 0.0, mask.width, mask.height)]


def read_back(written: YoloDataset) -> tuple[Outcome, dict[str, AnnotatedImage]]:
    """What our reader finds, and its images by the paths of the dataset that was written."""
    folder = written.data_yaml.parent
    found = read(read_yolo, folder)
    return found, {written.paths[folder / path]: image for path, image in found.images.items()}


def coordinates(found: AnnotatedObject) -> list[float]:
    """Every number of an object, to be compared within half a pixel."""
    box = found.box
    points = [value for polygon in found.polygons for value in polygon]
    keypoints = [value for point in found.keypoints for value in (point.x, point.y)]
    return [box.x_min, box.y_min, box.x_max, box.y_max, *points, *keypoints, *found.rotated_box]


BACKGROUND = AnnotatedImage("background.png", 32, 32, "val")
side = st.integers(12, 1000)
share = st.floats(0, 1)


@st.composite
def one_image(draw: st.DrawFn, task: str) -> AnnotatedImage:
    """An image of which every object is one that the task keeps whole."""
    width, height = draw(side), draw(side)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(x * width, 4), round(y * height, 4)

    def box() -> Box:
        x, y = draw(st.floats(0, 0.8)), draw(st.floats(0, 0.8))
        return Box(*place(x, y), *place(x + draw(st.floats(0.1, 0.2)), y + draw(st.floats(0.1, 0.2))))

    def one_object() -> AnnotatedObject:
        around, category = box(), draw(st.integers(0, 1))
        if task == "segment":
            triangle = (around.x_min, around.y_min, around.x_max, around.y_min, around.x_min, around.y_max)
            corner = (around.x_max, around.y_max) if draw(st.booleans()) else ()
            return AnnotatedObject(category, around, polygons=((*triangle[:4], *corner, *triangle[4:]),))
        if task == "pose":
            points = tuple(
                Keypoint(*place(draw(share), draw(share)), seen) if seen else Keypoint(0, 0, ABSENT)
                for seen in draw(st.lists(st.sampled_from(Visibility), min_size=3, max_size=3))
            )
            return AnnotatedObject(1, around, keypoints=points)
        if task == "obb":
            x, y = (around.x_min + around.x_max) / 2, (around.y_min + around.y_max) / 2
            corners = (x, around.y_min, around.x_max, y, x, around.y_max, around.x_min, y)
            return AnnotatedObject(category, around, rotated_box=corners)
        return AnnotatedObject(category, around)

    objects = [one_object() for _ in range(draw(st.integers(1, 4)))]
    different = {(found.category_id, *map(round, coordinates(found))): found for found in objects}
    return AnnotatedImage("a.jpg", width, height, "train", tuple(different.values()))


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back_within_half_a_pixel(task: str, data: st.DataObject) -> None:
    image = data.draw(one_image(task))
    with tempfile.TemporaryDirectory() as folder:
        written = write(Path(folder), [image, BACKGROUND], task)
        found, images = read_back(written)

    back = images["a.jpg"]
    assert (back.width, back.height, back.split) == (image.width, image.height, "train")
    assert found.names == ["no", "größer: 1"]
    assert found.problems == []
    assert len(back.objects) == len(image.objects)
    for before, after in zip(image.objects, back.objects, strict=True):
        assert after.category_id == before.category_id
        assert coordinates(after) == pytest.approx(coordinates(before), abs=0.5)
        assert [point.visibility for point in after.keypoints] == [point.visibility for point in before.keypoints]


EVERYTHING = (
    AnnotatedImage(
        "x/images/1.jpg",
        200,
        100,
        "train",
        (
            AnnotatedObject(0, Box(0, 0, 200, 100)),
            AnnotatedObject(0, Box(10, 10, 60, 60), polygons=((10, 10, 60, 10, 10, 60),)),
            AnnotatedObject(
                0, Box(10, 10, 90, 40), polygons=((10, 10, 40, 10, 40, 40, 10, 40), (60, 10, 90, 10, 90, 40, 60, 40))
            ),
            AnnotatedObject(0, Box(0, 0, 50, 50), mask=RunLengthMask(100, 200, (0, 50, 19950))),
            AnnotatedObject(
                1,
                Box(5, 5, 95, 95),
                keypoints=(Keypoint(10, 20, SEEN), Keypoint(0, 0, ABSENT), Keypoint(30, 40, HIDDEN)),
            ),
            AnnotatedObject(0, Box(160, 40, 200, 90), rotated_box=(180, 40, 220, 50, 200, 90, 160, 80)),
            AnnotatedObject(0, Box(190, 0, 200, 90), rotated_box=(190, 0, 400, 0, 400, 90, 190, 90)),
            AnnotatedObject(0, Box(0, 0, 20, 20), crowd=True),
        ),
    ),
    AnnotatedImage("x/images/1.png", 64, 64, "train", ()),
    AnnotatedImage("y/images/1.jpg", 64, 48, "val", (AnnotatedObject(1, Box(1, 1, 64, 48)),)),
    AnnotatedImage("y/1.gif", 64, 48, "val", (AnnotatedObject(1, Box(1, 1, 64, 48)),)),
    AnnotatedImage("z/1.jpg", 64, 48, "test", ()),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, YoloDataset]:
    """The same images written for every task."""
    return {task: write(tmp_path_factory.mktemp(task), EVERYTHING, task) for task in TASKS}


@pytest.fixture(scope="module")
def as_ultralytics(written: dict[str, YoloDataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ultralytics reads of them."""
    yamls = {task: dataset.data_yaml for task, dataset in written.items()}
    return read_with_ultralytics(yamls, tmp_path_factory.mktemp("config"))


@pytest.mark.parametrize("task", TASKS)
def test_ultralytics_reads_every_image_and_object(
    task: str, written: dict[str, YoloDataset], as_ultralytics: dict[str, Any]
) -> None:
    found = as_ultralytics[task]

    assert found["names"] == {"0": "no", "1": "größer: 1"}
    for split, counts in {"train": {"x/images/1.jpg": 7, "x/images/1.png": 0}, "val": {"y/images/1.jpg": 1}}.items():
        images = found["splits"][split]["images"]
        assert {written[task].paths[Path(file)]: len(label["boxes"]) for file, label in images.items()} == counts
        assert found["splits"][split]["wrong"] == []


def first_label(found: dict[str, Any]) -> dict[str, Any]:
    label: dict[str, Any] = next(label for label in found["splits"]["train"]["images"].values() if label["boxes"])
    return label


@pytest.mark.parametrize("task", TASKS)
def test_ultralytics_and_our_reader_see_the_same_boxes(
    task: str, written: dict[str, YoloDataset], as_ultralytics: dict[str, Any]
) -> None:
    _, images = read_back(written[task])
    boxes = [
        [category, (x - w / 2) * 200, (y - h / 2) * 100, (x + w / 2) * 200, (y + h / 2) * 100]
        for category, x, y, w, h in first_label(as_ultralytics[task])["boxes"]
    ]
    ours = [[found.category_id, *coordinates(found)[:4]] for found in images["x/images/1.jpg"].objects]

    if task == "obb":  # ultralytics clips later
        boxes = [[*box[:3], min(box[3], 200), min(box[4], 100)] for box in boxes]
    for mine, theirs in zip(
        *(sorted(found, key=lambda box: list(map(round, box))) for found in (ours, boxes)), strict=True
    ):
        assert mine == pytest.approx(theirs, abs=0.01)


def test_poses_come_with_their_points(written: dict[str, YoloDataset], as_ultralytics: dict[str, Any]) -> None:
    found, images = read_back(written["pose"])

    (pose,) = (each for each in images["x/images/1.jpg"].objects if each.category_id == 1)
    assert pose == EVERYTHING[0].objects[4]
    assert found.categories[1] == CATEGORIES[1]
    keypoints = first_label(as_ultralytics["pose"])["keypoints"]
    assert sorted(points for points in keypoints if any(map(any, points))) == [
        [pytest.approx([0.05, 0.2, 2]), [0, 0, 0], pytest.approx([0.15, 0.4, 1])]
    ]


def test_rotated_boxes_keep_their_corners_unless_ultralytics_would_refuse_the_image(
    written: dict[str, YoloDataset],
) -> None:
    _, images = read_back(written["obb"])

    rotated = [found.rotated_box for found in images["x/images/1.jpg"].objects]
    assert rotated[0] == (0, 0, 200, 0, 200, 100, 0, 100)
    assert rotated[5] == pytest.approx(EVERYTHING[0].objects[5].rotated_box)
    assert rotated[6] == pytest.approx((190, 0, 200, 0, 200, 90, 190, 90))


def test_parts_of_an_object_become_one_polygon_and_objects_without_one_a_rectangle(
    written: dict[str, YoloDataset],
) -> None:
    _, images = read_back(written["segment"])

    whole, _, joined, mask, *_ = images["x/images/1.jpg"].objects
    assert whole.polygons == ((0, 0, 200, 0, 200, 100, 0, 100),)
    assert len(joined.polygons) == 1
    assert (polygon_mask(joined.polygons, 100, 200) == polygon_mask(EVERYTHING[0].objects[2].polygons, 100, 200)).all()
    assert mask.polygons == ((0, 0, 200, 0, 200, 100),)


@pytest.mark.parametrize("task", TASKS)
def test_images_are_linked_under_names_that_cannot_collide(task: str, written: dict[str, YoloDataset]) -> None:
    dataset = written[task]

    assert set(dataset.paths.values()) == {image.path for image in EVERYTHING} - {"y/1.gif"}
    assert dataset.left_out == ("y/1.gif",)
    assert all(link.is_symlink() and str(link.resolve()).endswith(path) for link, path in dataset.paths.items())
    assert {link.parent.name for link in dataset.paths} == {"train", "val", "test"}


def test_classes_with_other_keypoints_share_the_larger_number_and_are_not_mirrored(tmp_path: Path) -> None:
    categories = (Category("cat", ("nose",), flip_indices=(0,)), CATEGORIES[1])
    nose = Keypoint(20, 20, SEEN)
    cat = AnnotatedObject(0, Box(10, 10, 30, 30), keypoints=(nose,))
    outside = AnnotatedObject(1, Box(10, 10, 30, 30), keypoints=(nose, Keypoint(90, 20, SEEN), Keypoint(20, -9, SEEN)))

    written = write(tmp_path, [AnnotatedImage("1.jpg", 64, 48, "train", (cat, outside))], "pose", categories)

    found, images = read_back(written)
    absent = Keypoint(0, 0, ABSENT)
    assert [each.keypoints for each in images["1.jpg"].objects] == [(nose, absent, absent)] * 2
    assert found.categories[0].flip_indices == ()


def test_an_unknown_task_and_a_missing_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="classify"):
        write(tmp_path / "a", [], "classify")
    with pytest.raises(FileNotFoundError):
        write_yolo(
            tmp_path / "b",
            CATEGORIES,
            EVERYTHING,
            task="detect",
            image_file=lambda path: tmp_path / path,
            polygons_of=outline,
        )
    assert not (tmp_path / "b" / "data.yaml").exists()


squares = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(2, 19), st.integers(2, 19)), min_size=1, max_size=6
)


@settings(deadline=None)
@given(squares)
def test_joined_polygons_cover_what_each_of_them_covers(found: list[tuple[int, int, int, int]]) -> None:
    # One in each column: polygons that overlap cancel out where they do, in every rule by which outlines are filled.
    polygons = [
        (100 * at + x, y, 100 * at + x + w, y, 100 * at + x + w, y + h, 100 * at + x, y + h)
        for at, (x, y, w, h) in enumerate(found)
    ]

    joined = join_polygons([tuple(map(float, polygon)) for polygon in polygons])

    width = 100 * len(polygons)
    difference = polygon_mask([joined], 100, width) ^ polygon_mask(polygons, 100, width)
    # The bridge has no area, but a rasteriser may set pixels that it touches.
    assert difference.sum() <= 2 * width
    assert Box.around(joined) == Box.around(value for polygon in polygons for value in polygon)
