"""What YOLO's label files and data.yaml say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotations.formats import small_files, yolo
from annotations.formats.yolo import read_yolo
from annotations.formats.yolo_yaml import MAX_KEYPOINTS
from annotations.limits import MAX_CLASSES
from annotations.model import AnnotatedObject, Box, Keypoint, Visibility
from tests.annotations.dataset_folder import IMAGE, Outcome, make_dataset, read

NAMES = "names: [cat, dog]\n"
BOX = "0 0.5 0.5 0.5 0.5"
TRIANGLE = "1 0.1 0.1 0.9 0.1 0.5 0.9"
SQUARE = "1 0.1 0.2 0.9 0.2 0.9 0.8 0.1 0.8"
POSE = "kpt_shape: [2, 3]\n"


def read_lines(tmp_path: Path, lines: str | bytes, yaml: str = NAMES) -> Outcome:
    """Read a dataset of one image, 200 × 100, with these labels."""
    files: dict[str, object] = {
        "data.yaml": yaml,
        "images/1.jpg": IMAGE,
        "labels/1.txt": lines,
    }
    return read(read_yolo, make_dataset(tmp_path / "data", files))


def objects(found: Outcome) -> tuple[AnnotatedObject, ...]:
    (image,) = found.images.values()
    return image.objects


def test_boxes_are_edges_in_pixels(tmp_path: Path) -> None:
    found = read_lines(tmp_path, "\ufeff0 0.5 0.5 0.5 0.5\r\n\r\n 1.0\t0.25 0.5 0.1 1\n")

    assert objects(found) == (AnnotatedObject(0, Box(50, 25, 150, 75)), AnnotatedObject(1, Box(40, 0, 60, 100)))
    assert found.problems == []


def test_boxes_and_polygons_may_stand_in_one_file(tmp_path: Path) -> None:
    found = read_lines(tmp_path, f"{BOX}\n{TRIANGLE}\n{SQUARE}\n")

    box, triangle, square = objects(found)
    assert box == AnnotatedObject(0, Box(50, 25, 150, 75))
    assert triangle == AnnotatedObject(1, Box(20, 10, 180, 90), polygons=((20, 10, 180, 10, 100, 90),))
    assert square == AnnotatedObject(1, Box(20, 20, 180, 80), polygons=((20, 20, 180, 20, 180, 80, 20, 80),))


def test_lines_of_four_points_alone_are_rotated_boxes(tmp_path: Path) -> None:
    counterclockwise = "0 0.5 0.1 0.1 0.5 0.5 0.9 0.9 0.5"
    crosswise = "0 0.1 0.2 0.9 0.8 0.9 0.2 0.1 0.8"

    found = read_lines(tmp_path, f"{SQUARE}\n{counterclockwise}\n{crosswise}\n")

    assert [each.rotated_box for each in objects(found)] == [
        (20, 20, 180, 20, 180, 80, 20, 80),
        (100, 10, 180, 50, 100, 90, 20, 50),
        (20, 20, 180, 20, 180, 80, 20, 80),
    ]
    assert objects(found)[1].box == Box(20, 10, 180, 90)
    assert not any(each.polygons for each in objects(found))


def test_a_line_that_cannot_be_read_does_not_turn_rotated_boxes_into_polygons(tmp_path: Path) -> None:
    found = read_lines(tmp_path, f"{SQUARE}\n0 0.1 0.2\n")

    assert [bool(each.rotated_box) for each in objects(found)] == [True]
    assert found.kinds == ["bad_annotation"]


@pytest.mark.parametrize(("task", "rotated"), [("segment", False), ("detect", False), ("obb", True), ("other", True)])
def test_the_data_yaml_may_say_what_four_points_are(tmp_path: Path, task: str, rotated: bool) -> None:
    found = read_lines(tmp_path, SQUARE, f"{NAMES}task: {task}\n")

    assert bool(objects(found)[0].rotated_box) is rotated
    assert bool(objects(found)[0].polygons) is not rotated


def test_a_rotated_box_may_reach_beyond_the_image_and_keeps_its_angle(tmp_path: Path) -> None:
    found = read_lines(tmp_path, "0 0.9 0.4 1.1 0.5 1.0 0.9 0.8 0.8")

    (rotated,) = objects(found)
    assert rotated.rotated_box == pytest.approx((180, 40, 220, 50, 200, 90, 160, 80))
    assert rotated.box == Box(160, 40, 200, 90)


@pytest.mark.parametrize(
    ("shape", "keypoints", "expected"),
    [
        (3, "0.25 0.5 2 0.75 0.5 1", (Visibility.VISIBLE, Visibility.OCCLUDED)),
        (3, "0.25 0.5 2.0 0 0 0", (Visibility.VISIBLE, Visibility.ABSENT)),
        (3, "0.25 0.5 2 7 -9 0", (Visibility.VISIBLE, Visibility.ABSENT)),
        (2, "0.25 0.5 0.75 0.5", (Visibility.VISIBLE, Visibility.VISIBLE)),
        (2, "0.25 0.5 -1 -1", (Visibility.VISIBLE, Visibility.ABSENT)),
    ],
)
def test_poses(tmp_path: Path, shape: int, keypoints: str, expected: tuple[Visibility, Visibility]) -> None:
    found = read_lines(tmp_path, f"{BOX} {keypoints}\n", f"{NAMES}kpt_shape: [2, {shape}]\nflip_idx: [1, 0]\n")

    (pose,) = objects(found)
    first, second = pose.keypoints
    assert (first, pose.box) == (Keypoint(50, 50, Visibility.VISIBLE), Box(50, 25, 150, 75))
    assert (first.visibility, second.visibility) == expected
    assert (second.x, second.y) == ((150, 50) if second.visibility else (0, 0))
    assert found.categories[0].keypoint_names == ("point 1", "point 2")
    assert found.categories[0].flip_indices == (1, 0)
    assert found.problems == []


@pytest.mark.parametrize("names", ["kpt_names: {0: [nose, tail]}", "kpt_names: [nose, tail]"])
def test_keypoints_may_have_names(tmp_path: Path, names: str) -> None:
    found = read_lines(tmp_path, BOX, f"names: [cat]\n{POSE}{names}\n")

    assert found.categories[0].keypoint_names == ("nose", "tail")
    assert (len(objects(found)), found.problems) == (1, [])  # a box without its points is an object too


@pytest.mark.parametrize(
    "yaml",
    [
        "flip_idx: [0, 0]",
        "flip_idx: [0, 1, 2]",
        "flip_idx: first",
        "kpt_names: {0: [nose]}",
        "kpt_names: {0: [nose, nose]}",
        "kpt_names: nose",
        "nc: 3",
    ],
)
def test_what_is_odd_in_a_data_yaml_and_not_needed_is_passed_over(tmp_path: Path, yaml: str) -> None:
    found = read_lines(tmp_path, BOX, NAMES + POSE + yaml)

    assert found.kinds == ["bad_data_yaml"]
    assert found.categories[0].flip_indices == ()
    assert len(objects(found)) == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 nan 0.5 0.5 0.5", "coordinates_out_of_range"),
        ("0 0.5 0.5 inf 0.5", "coordinates_out_of_range"),
        ("0 320 240 100 100", "coordinates_out_of_range"),
        ("0 -0.02 0.5 0.5 0.5", "coordinates_out_of_range"),
        ("0 1.02 0.5 0.5 0.5", "coordinates_out_of_range"),
        ("0 0.5 0.5 -0.005 0.5", "coordinates_out_of_range"),
        ("0 10 10 90 10 90 80", "coordinates_out_of_range"),
        ("0 nan 0.1 0.9 0.1 0.5 0.9", "coordinates_out_of_range"),
        ("0 0.5 0.5 0 0.5", "empty_box"),
        ("0 0.1 0.1 0.5 0.1 0.9 0.1", "empty_box"),
        ("2 0.5 0.5 0.5 0.5", "unknown_class"),
        ("-1 0.5 0.5 0.5 0.5", "bad_annotation"),
        ("0.5 0.5 0.5 0.5 0.5", "bad_annotation"),
        ("nan 0.5 0.5 0.5 0.5", "bad_annotation"),
        ("1e400 0.5 0.5 0.5 0.5", "bad_annotation"),
        ("cat 0.5 0.5 0.5 0.5", "bad_annotation"),
        ("0 0.5 0.5 half 0.5", "bad_annotation"),
        ("0,0.5,0.5,0.5,0.5", "bad_annotation"),
        ("0", "bad_annotation"),
        ("0 0.5 0.5 0.5", "bad_annotation"),
        ("0 0.5 0.5 0.5 0.5 0.9", "bad_annotation"),
        ("0 0.1 0.1 0.9 0.1 0.5 0.9 0.2", "bad_annotation"),
        (BOX, "duplicate_annotation"),
    ],
)
def test_a_wrong_line_is_left_out_and_named(tmp_path: Path, line: str, kind: str) -> None:
    found = read_lines(tmp_path, f"{BOX}\n\n{line}\n")

    assert objects(found) == (AnnotatedObject(0, Box(50, 25, 150, 75)),)
    (problem,) = found.problems
    assert (problem.path, problem.kind, problem.severity) == ("labels/1.txt", kind, "WARNING")
    assert problem.message.startswith("Line 3: ")


@pytest.mark.parametrize(
    "line",
    [f"{BOX} 0.5 0.5 3 0.5 0.5 2", f"{BOX} nan 0.5 2 0.5 0.5 2", f"{BOX} 0.5 0.5 2", f"{BOX} 0.5 1.5 1 0.5 0.5 2"],
)
def test_a_wrong_pose_is_left_out_and_named(tmp_path: Path, line: str) -> None:
    found = read_lines(tmp_path, line, NAMES + POSE)

    assert objects(found) == ()
    assert found.problems[0].message.startswith("Line 1: ")


@pytest.mark.parametrize("line", ["0 1.005 0.5 0.5 0.5", "0 0.9 0.5 0.4 0.5", "0 -0.005 0.5 0.5 0.5"])
def test_what_is_one_percent_off_is_clipped_to_the_image(tmp_path: Path, line: str) -> None:
    (found,) = objects(read_lines(tmp_path, line))

    assert 0 <= found.box.x_min < found.box.x_max <= 200


@pytest.mark.parametrize("content", [b"\xff\xfe0 0.5 0.5 0.5 0.5", b"0 0.5 0.5 0.5 0.5 \xe9"])
def test_an_image_whose_labels_are_no_text_is_left_out(tmp_path: Path, content: bytes) -> None:
    found = read_lines(tmp_path, content)

    assert found.images == {}
    assert [(problem.path, problem.kind) for problem in found.problems] == [("labels/1.txt", "unreadable_annotations")]


def test_a_label_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo, "MAX_LABEL_BYTES", 100)

    found = read_lines(tmp_path, f"{BOX}\n" * 10)

    assert (found.images, found.kinds) == ({}, ["unreadable_annotations"])


def test_labels_that_do_not_fit_into_memory_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_files, "_IN_MEMORY", 10)

    assert len(objects(read_lines(tmp_path, f"{BOX}\n{TRIANGLE}\n"))) == 2


@pytest.mark.parametrize(
    "yaml",
    [
        "names: !!python/object/apply:os.system ['touch pwned']",
        "names: !!python/name:os.system ''",
        "names: !exec [cat]",
        "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: *c",
        "names: &n [*n]",
        "names: " + "[" * 100_000,
        "names: [cat",
        "names: cat",
        "names: {first: cat}",
        "names: {-1: cat}",
        "names: [[cat]]",
        "- names",
        "names: [cat]\nkpt_shape: 17",
        "names: [cat]\nkpt_shape: [17]",
        "names: [cat]\nkpt_shape: [17, 4]",
        "names: [cat]\nkpt_shape: [0, 3]",
        f"names: [cat]\nkpt_shape: [{MAX_KEYPOINTS + 1}, 3]",
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, yaml: str) -> None:
    found = read_lines(tmp_path, BOX, yaml)

    (problem,) = found.problems
    assert (problem.path, problem.kind, problem.severity) == ("data.yaml", "unreadable_annotations", "ERROR")
    assert len(problem.message) < 400
    assert not Path("pwned").exists()


def test_a_data_yaml_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    found = read_lines(tmp_path, BOX, NAMES + "# " + "x" * 9 * 1024 * 1024)

    assert (found.problem("unreadable_annotations").severity, found.images) == ("ERROR", {})


@pytest.mark.parametrize("yaml", [f"names: [{'c,' * 100_000}]", "nc: 100000", "nc: 999999999", None])
def test_more_classes_than_are_read_are_an_error(tmp_path: Path, yaml: str | None) -> None:
    lines = BOX if yaml else "".join(f"{class_id} 0.5 0.5 0.5 0.5\n" for class_id in range(MAX_CLASSES + 1))

    found = read_lines(tmp_path, lines, yaml or "train: images\n")

    problem = found.problem("too_many_classes")
    assert (problem.path, problem.severity) == ("data.yaml" if yaml else "", "ERROR")
    assert found.categories == ()
