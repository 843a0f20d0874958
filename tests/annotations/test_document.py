"""The annotations document and the draft it is written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotations.document import read_categories, read_images, write_document
from annotations.draft import PROBLEMS_OF_A_KIND, Draft
from annotations.model import (
    AnnotatedImage,
    AnnotatedObject,
    Box,
    Category,
    Keypoint,
    RunLengthMask,
    Visibility,
)
from annotations.problems import WARNING, Problem

CATEGORIES = (
    Category("cat"),
    Category("person", ("nose", "tail"), ((0, 1),), (0, 1)),
)
EVERYTHING = AnnotatedImage(
    "images/ä.jpg",
    640,
    480,
    "train",
    (
        AnnotatedObject(0, Box(1, 2, 3.25, 4), polygons=((1, 2, 3.25, 2, 3.25, 4), (1, 2, 2, 2, 2, 3))),
        AnnotatedObject(0, Box(0, 0, 640, 480), mask=RunLengthMask(480, 640, (0, 640 * 480)), crowd=True),
        AnnotatedObject(
            1, Box(5, 5, 9, 9), keypoints=(Keypoint(5, 6, Visibility.VISIBLE), Keypoint(0, 0, Visibility.ABSENT))
        ),
        AnnotatedObject(0, Box(0, 0, 4, 4), rotated_box=(2, 0, 4, 2, 2, 4, 0, 2)),
    ),
)
EMPTY = AnnotatedImage("images/empty.jpg", 32, 32, "val")


def test_a_document_gives_back_what_was_written(tmp_path: Path) -> None:
    write_document(tmp_path / "a", CATEGORIES, [EVERYTHING, EMPTY], 2)

    assert read_categories(tmp_path / "a") == CATEGORIES
    assert list(read_images(tmp_path / "a")) == [EVERYTHING, EMPTY]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_document(tmp_path / name, CATEGORIES, [EVERYTHING, EMPTY], 2)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_a_document_that_is_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    write_document(tmp_path / "a", CATEGORIES, [EVERYTHING, EMPTY], 2)
    (tmp_path / "cut").write_bytes((tmp_path / "a").read_bytes()[:kept])

    with pytest.raises(ValueError, match="annotations"):
        list(read_images(tmp_path / "cut"))


def test_a_draft_gathers_objects_of_an_image_in_whatever_order_they_come(tmp_path: Path) -> None:
    with Draft(tmp_path / "draft") as draft:
        for found in EVERYTHING.objects[:2]:
            draft.add_object(EVERYTHING.path, found)
        draft.add_object("images/unknown.jpg", EVERYTHING.objects[0])
        assert draft.add_image(EMPTY.path, 32, 32)
        assert draft.add_image(EVERYTHING.path, 640, 480, "train")
        assert not draft.add_image(EVERYTHING.path, 1, 1, "val")
        for found in EVERYTHING.objects[2:]:
            draft.add_object(EVERYTHING.path, found)
        draft.set_splits([(EMPTY.path, "val")])

        assert sorted(draft.images(), key=lambda image: image.width) == [EMPTY, EVERYTHING]
        assert [image.path for image in draft.images()] == sorted([EMPTY.path, EVERYTHING.path])
        draft.drop_images([EMPTY.path])
        assert draft.image_count == 1
    assert not (tmp_path / "draft").exists()


def test_a_frequent_kind_of_problem_is_counted_beyond_its_limit(tmp_path: Path) -> None:
    with Draft(tmp_path / "draft") as draft:
        for number in range(PROBLEMS_OF_A_KIND + 5):
            draft.report(Problem(f"{number}.jpg", "broken", WARNING, "It is broken."))

        assert len(draft.problems) == PROBLEMS_OF_A_KIND + 1
        assert draft.problems[-1].message.startswith("5 more")
