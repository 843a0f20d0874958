"""What is annotated appears where it is, in the colour of its class."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from annotations.colours import class_colour, text_colour
from annotations.drawing import draw_objects
from annotations.model import (
    AnnotatedImage,
    AnnotatedObject,
    Box,
    Category,
    Keypoint,
    RunLengthMask,
    Visibility,
)

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Where = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
PERSON = Category("person", ("head", "hand", "foot"), ((0, 1), (0, 2)))
CATEGORIES = (Category("cat"), Category("dog"), PERSON)
WHOLE = Box(0, 0, 100, 50)


def drawn(*objects: AnnotatedObject, size: tuple[int, int] = (100, 50), times: int = 1) -> Pixels:
    """A grey image of ``size`` with these objects, shown ``times`` as large."""
    picture = Image.new("RGB", (size[0] * times, size[1] * times), (100, 100, 100))
    draw_objects(picture, AnnotatedImage("a.png", *size, "train", objects), CATEGORIES)
    return np.asarray(picture)


def of_class(pixels: Pixels, category: int) -> Where:
    return np.asarray((pixels == class_colour(category)).all(axis=2))


def near_class(pixels: Pixels, category: int) -> Where:
    """Where the colour is nearer to that of the class than to the image's: smooth lines share their rims."""
    there, grey = (np.abs(pixels.astype(int) - to).sum(axis=2) for to in (np.array(class_colour(category)), 100))
    return np.asarray(there < grey)


def changed(pixels: Pixels) -> Where:
    return np.asarray((pixels != 100).any(axis=2))


@pytest.mark.parametrize("times", [1, 3])
def test_a_box_frames_its_pixels(times: int) -> None:
    found = of_class(drawn(AnnotatedObject(1, Box(20, 10, 60, 30)), times=times)[:, : 100 * times], 1)
    rows, columns = np.nonzero(found)
    assert (columns.min(), columns.max()) == (20 * times, 60 * times - 1)
    assert rows.max() == 30 * times - 1 and found[10 * times, 40 * times]
    assert not found[20 * times, 40 * times]


def test_a_polygon_is_filled_so_that_the_image_shows_through() -> None:
    pixels = drawn(AnnotatedObject(0, Box(20, 10, 60, 40), polygons=((20, 10, 60, 10, 60, 40, 20, 40),)))
    inside = pixels[25, 40].astype(int)
    colour = np.array(class_colour(0))
    assert not changed(pixels)[25, 80]
    assert np.abs(inside - (100 + (colour - 100) * 0.38)).max() <= 2
    outline = near_class(pixels, 0)
    assert outline[25, 19:21].any() and outline[39:41, 40].any() and not outline[25, 61:].any()


def test_a_mask_of_run_lengths_lies_on_its_pixels() -> None:
    inside = np.zeros((50, 100), dtype=bool)
    inside[10:40, 20:60] = True
    inside[20:30, 30:50] = False  # a hole
    flat = inside.T.reshape(-1)
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]
    mask = RunLengthMask(50, 100, tuple(int(b - a) for a, b in pairwise(edges)))
    found = changed(drawn(AnnotatedObject(1, Box(20, 10, 60, 40), mask=mask)))
    assert (found == inside).all()
    larger = changed(drawn(AnnotatedObject(1, Box(20, 10, 60, 40), mask=mask), times=2)[::2, ::2])
    assert (larger == inside)[10:].mean() > 0.97  # but for the name


def test_a_mask_that_begins_with_the_object_and_one_of_every_pixel() -> None:
    assert changed(drawn(AnnotatedObject(0, WHOLE, mask=RunLengthMask(50, 100, (0, 5000))))).all()
    corner = changed(drawn(AnnotatedObject(0, WHOLE, mask=RunLengthMask(50, 100, (0, 25, 4975)))))
    assert corner[:25, 0].all() and corner.sum() == 25
    assert not changed(drawn(AnnotatedObject(0, WHOLE, mask=RunLengthMask(50, 100, (5000,))))).any()


def test_a_rotated_box_is_drawn_in_place_of_the_upright_one() -> None:
    corners = (50.0, 5.0, 70.0, 25.0, 50.0, 45.0, 30.0, 25.0)
    found = changed(drawn(AnnotatedObject(0, Box.around(corners), rotated_box=corners)))
    assert found[15, 60] and found[35, 40]
    assert not found[8, 32] and not found[42, 68] and not found[25, 50]


def test_a_pose_has_bones_and_points_and_nothing_where_a_point_is_absent() -> None:
    points = (
        Keypoint(20, 25, Visibility.VISIBLE),
        Keypoint(80, 25, Visibility.OCCLUDED),
        Keypoint(50, 5, Visibility.ABSENT),
    )
    pixels = drawn(AnnotatedObject(2, Box(10, 15, 90, 35), keypoints=points), times=4)
    colour = near_class(pixels, 2)
    assert colour[99:101, 150:250].any(axis=0).all()  # the bone between
    assert of_class(pixels, 2)[100, 80]
    assert (pixels[100, 320] == 255).all()  # hidden
    assert not changed(pixels)[20:50, 190:210].any()


def test_a_group_is_told_from_a_single_object() -> None:
    single = of_class(drawn(AnnotatedObject(0, Box(10, 10, 90, 40))), 0)[10, 10:90]
    group = of_class(drawn(AnnotatedObject(0, Box(10, 10, 90, 40), crowd=True)), 0)[10, 10:90]
    assert single.all() and 0.3 < group.mean() < 0.7


def test_names_do_not_cover_each_other_and_stay_inside() -> None:
    boxes = [Box(x, y, x + 30, y + 20) for x in range(0, 600, 12) for y in range(0, 400, 12)]
    pixels = drawn(*(AnnotatedObject(n % 2, box) for n, box in enumerate(boxes)), size=(640, 430))
    assert pixels.shape == (430, 640, 3)
    without = drawn(*(AnnotatedObject(n % 2, box) for n, box in enumerate(boxes[:1])), size=(640, 430))
    plate = of_class(without, 0)[1:18]  # inside the box, for there is no room above
    assert plate.sum() > 200


@pytest.mark.parametrize(
    "found",
    [
        AnnotatedObject(0, Box(-50, -50, 500, 500)),
        AnnotatedObject(0, Box(10, 10, 10, 10)),
        AnnotatedObject(0, Box(99.9, 49.9, 100, 50)),
        AnnotatedObject(0, Box(200, 200, 300, 300)),
        AnnotatedObject(0, Box(1e9, 1e9, 2e9, 2e9)),
        AnnotatedObject(0, Box(-1e9, -1e9, 1e9, 1e9), polygons=((-1e9, -1e9, 1e9, -1e9, 0.0, 1e9),)),
        AnnotatedObject(0, WHOLE, polygons=((1.0, 1.0, 2.0, 2.0), (5.0, 5.0))),
        AnnotatedObject(99, Box(10, 10, 30, 30)),
        AnnotatedObject(99, WHOLE, keypoints=(Keypoint(1e9, -5, Visibility.VISIBLE),)),
        AnnotatedObject(0, Box(10, 10, 30, 30), crowd=True),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (100, 50), (3, 400)])
def test_no_annotation_is_too_strange_to_draw(found: AnnotatedObject, size: tuple[int, int]) -> None:
    assert drawn(found, size=size).shape == (size[1], size[0], 3)
    assert drawn(found, size=size, times=2).shape == (size[1] * 2, size[0] * 2, 3)


def test_classes_have_colours_of_their_own_and_names_that_can_be_read_on_them() -> None:
    colours = [class_colour(place) for place in range(120)]
    assert len({*colours}) == 120
    for first, second in pairwise(colours):
        assert math.dist(first, second) > 60
    for colour in colours:
        # WCAG asks for a contrast of 3 at least.
        assert contrast(colour, text_colour(colour)) >= 3.0, colour


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in (v / 255 for v in colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
