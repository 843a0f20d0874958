"""What becomes of an object's coordinates, whatever a file says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.masks import encode_mask, polygon_mask
from annotations.model import Box, Keypoint, RunLengthMask, Visibility
from annotations.problems import WARNING
from annotations.raw import RawObject, corners, number
from annotations.validation import Frame, check_object

FRAME = Frame(64, 48)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=10,
)


def kinds(raw: RawObject, frame: Frame = FRAME) -> list[str]:
    return [problem.kind for problem in check_object(raw, frame, "a.json", "annotation 7").problems]


def test_a_box_within_the_image_passes_as_it_is() -> None:
    checked = check_object(RawObject(3, corners([1, 2.5, 10, 20])), FRAME, "a.json", "line 1")

    assert checked.problems == ()
    assert checked.found is not None
    assert (checked.found.category_id, checked.found.box) == (3, Box(1, 2.5, 11, 22.5))


def test_a_problem_names_file_place_and_what_was_found() -> None:
    (problem,) = check_object(RawObject(0, (1, 2, math.nan, 4)), FRAME, "labels/a.txt", "line 3").problems

    assert (problem.path, problem.severity) == ("labels/a.txt", WARNING)
    assert problem.message.startswith("Line 3: its box is not made of 4 finite numbers (1, 2, NaN, 4); ")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (RawObject(0, (1, 2, math.nan, 4)), "bad_annotation"),
        (RawObject(0, (1, 2, math.inf, 4)), "bad_annotation"),
        (RawObject(0, (1, 2, 10**400, 4)), "bad_annotation"),
        (RawObject(0, (1, 2, 1e300, 4)), "bad_annotation"),
        (RawObject(0, (1, 2, "30", 4)), "bad_annotation"),
        (RawObject(0, (1, 2, True, 4)), "bad_annotation"),
        (RawObject(0, (1, 2, 3)), "bad_annotation"),
        (RawObject(0, "none"), "bad_annotation"),
        (RawObject(0, {"x": 1}), "bad_annotation"),
        (RawObject(0), "bad_annotation"),
        (RawObject(0, polygons=[[1, 1, 9, 1, 9]]), "bad_annotation"),
        (RawObject(0, polygons=[[1, 1, None, 1, 9, 9]]), "bad_annotation"),
        (RawObject(0, polygons=[7]), "bad_annotation"),
        (RawObject(0, (1, 1, 9, 9), keypoints=[(1, 1, 2)], keypoint_count=2), "bad_annotation"),
        (RawObject(0, (1, 1, 9, 9), keypoints=[(1, 1, 5)], keypoint_count=1), "bad_annotation"),
        (RawObject(0, (1, 1, 9, 9), keypoints=[(math.nan, 1, 2)], keypoint_count=1), "bad_annotation"),
        (RawObject(0, rotated_box=[1, 1, 5, 1, 5, 5]), "bad_annotation"),
        (RawObject(0, (1, 1, 9, 9), mask=RunLengthMask(10, 10, (100,))), "bad_annotation"),
        (RawObject(0, (1, 1, 9, 9), mask=RunLengthMask(48, 64, (5,))), "bad_annotation"),
        (RawObject(0, mask=RunLengthMask(48, 64, (48 * 64,))), "empty_box"),
        (RawObject(0, (5, 5, 5, 9)), "empty_box"),
        (RawObject(0, (9, 9, 5, 5)), "empty_box"),
        (RawObject(0, keypoints=[(5, 5, 2)], keypoint_count=1), "empty_box"),
        (RawObject(0, (70, 5, 90, 9)), "box_outside_image"),
        (RawObject(0, (-9, -9, 0, 0)), "box_outside_image"),
    ],
)
def test_what_is_no_object_is_left_out_with_its_reason(raw: RawObject, kind: str) -> None:
    checked = check_object(raw, FRAME, "a.json", "annotation 7")

    assert checked.found is None
    assert [problem.kind for problem in checked.problems] == [kind]


def test_an_object_across_the_border_is_clipped_with_all_that_belongs_to_it() -> None:
    raw = RawObject(
        0,
        (-10, 10, 30, 60),
        polygons=[[-10, 10, 30, 10, 30, 60, -10, 60]],
        keypoints=[(-5, 20, 2), (10, 20, 1), (0, 0, 0), (20, 48.3, 2)],
        keypoint_count=4,
    )

    checked = check_object(raw, FRAME, "a.json", "annotation 7")

    assert [problem.kind for problem in checked.problems] == ["box_outside_image"]
    assert checked.found is not None
    assert checked.found.box == Box(0, 10, 30, 48)
    (polygon,) = checked.found.polygons
    assert Box.around(polygon) == checked.found.box
    assert checked.found.keypoints == (
        Keypoint(0, 0, Visibility.ABSENT),
        Keypoint(10, 20, Visibility.OCCLUDED),
        Keypoint(0, 0, Visibility.ABSENT),
        Keypoint(20, 48, Visibility.VISIBLE),
    )


def test_less_than_half_a_pixel_beyond_the_border_is_rounding() -> None:
    raw = RawObject(0, (-0.4, 0, 64.4, 48.2))
    checked = check_object(raw, FRAME, "a.json", "annotation 7")

    assert checked.problems == ()
    assert checked.found is not None and checked.found.box == Box(0, 0, 64, 48)


def test_a_polygon_without_area_is_left_out_and_its_box_stays() -> None:
    raw = RawObject(0, (1, 1, 9, 9), polygons=[[1, 1, 9, 9], [1, 1, 9, 1, 9, 9], [1, 1, 5, 5, 9, 9]])
    checked = check_object(raw, FRAME, "a.json", "annotation 7")

    assert [problem.kind for problem in checked.problems] == ["bad_polygon"]
    assert checked.found is not None and checked.found.polygons == ((1, 1, 9, 1, 9, 9),)


def test_a_box_is_made_around_whatever_else_is_drawn() -> None:
    def box(raw: RawObject) -> Box:
        found = check_object(raw, FRAME, "a.json", "annotation 7").found
        assert found is not None
        return found.box

    drawn = polygon_mask([(4, 5, 20, 5, 20, 30, 4, 30)], 48, 64)
    assert box(RawObject(0, polygons=[[4, 5, 20, 5, 20, 30]])) == Box(4, 5, 20, 30)
    assert box(RawObject(0, mask=encode_mask(drawn))) == Box(4, 5, 20, 30)
    assert box(RawObject(0, rotated_box=[10, 0, 20, 10, 10, 20, 0, 10])) == Box(0, 0, 20, 20)
    points = [(4, 5, 2), (20, 30, 1), (63, 47, 0)]
    assert box(RawObject(0, keypoints=points, keypoint_count=3)) == Box(4, 5, 20, 30)


def test_corners_of_a_rotated_box_come_out_clockwise() -> None:
    turned = check_object(RawObject(0, rotated_box=[10, 0, 0, 10, 10, 20, 20, 10]), FRAME, "a.txt", "line 1").found
    assert turned is not None and turned.rotated_box == (10, 0, 20, 10, 10, 20, 0, 10)


def test_everything_is_turned_upright_together() -> None:
    """An image stored 64 × 48 and seen 48 × 64 (EXIF orientation 6: a quarter clockwise)."""
    drawn = polygon_mask([(4, 5, 20, 5, 20, 30, 4, 30)], 48, 64)
    frame = Frame(48, 64, orientation=6)
    raw = RawObject(0, (4, 5, 20, 30), mask=encode_mask(drawn), keypoints=[(4, 5, 2)], keypoint_count=1)

    found = check_object(raw, frame, "a.json", "annotation 7").found

    assert found is not None and found.mask is not None
    assert found.box == Box(18, 4, 43, 20)
    assert found.mask == encode_mask(drawn[::-1].T)
    assert found.keypoints == (Keypoint(43, 4, Visibility.VISIBLE),)
    polygon = check_object(RawObject(0, polygons=[[4, 5, 20, 5, 20, 30]]), frame, "a.json", "annotation 7").found
    assert polygon is not None and polygon.polygons == ((43, 4, 43, 20, 18, 20),)


@given(JSON, st.lists(JSON, max_size=3), st.lists(st.lists(JSON, max_size=4), max_size=3), JSON)
def test_no_content_raises_and_what_passes_is_within_the_image(
    box: Any, polygons: list[Any], keypoints: list[list[Any]], rotated: Any
) -> None:
    raw = RawObject(0, corners(box), polygons, None, keypoints, len(keypoints), rotated)
    found = check_object(raw, FRAME, "a.json", "annotation 7").found
    if found is not None:
        _assert_within(found.box)


COORDINATES = st.floats(-200, 200)


@given(st.lists(COORDINATES, min_size=4, max_size=4), st.lists(COORDINATES, min_size=6, max_size=12))
def test_boxes_and_polygons_of_any_numbers_end_within_the_image(box: list[float], polygon: list[float]) -> None:
    raw = RawObject(0, box, [polygon[: len(polygon) // 2 * 2]])
    found = check_object(raw, FRAME, "a.json", "annotation 7").found
    if found is not None:
        _assert_within(found.box)
        for kept in found.polygons:
            _assert_within(Box.around(kept))


def _assert_within(box: Box) -> None:
    assert 0 <= box.x_min < box.x_max <= FRAME.width
    assert 0 <= box.y_min < box.y_max <= FRAME.height


@pytest.mark.parametrize("value", [None, True, "1", math.nan, -math.inf, 10**400, 2e9, [1]])
def test_what_is_no_coordinate_is_none(value: object) -> None:
    assert number(value) is None
