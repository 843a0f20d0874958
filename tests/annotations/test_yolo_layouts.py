"""Where YOLO datasets keep their images, labels and class names, as tools export them."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotations.formats.yolo import read_yolo
from annotations.model import Box
from tests.annotations.dataset_folder import IMAGE, make_dataset, read

BOX = "0 0.5 0.5 0.5 0.5\n"
IN_PIXELS = Box(50, 25, 150, 75)
NAMES = "names: [cat, dog]\n"


@pytest.mark.parametrize(
    ("yaml", "train", "val"),
    [
        # Ultralytics' own.
        ("path: .\ntrain: images/train\nval: images/val\n", "images/train", "images/val"),
        # Roboflow.
        ("train: ../train/images\nval: ../valid/images\ntest: ../test/images\n", "train/images", "valid/images"),
        # A path of the machine where it was labelled.
        ("path: /home/me/coins\ntrain: images/train\nval: images/val\n", "images/train", "images/val"),
        ("train: C:\\me\\coins\\train\\images\nval: C:\\me\\coins\\val\\images\n", "train/images", "val/images"),
        # The folder of the split, in which images and labels lie.
        ("train: train\nval: val\n", "train/images", "val/images"),
        # Lists of folders.
        ("train: [images/a]\nval:\n  - images/b\n  - images/c\n", "images/a", "images/c"),
        # The key that ultralytics takes for val.
        ("train: images/train\nvalidation: images/val\n", "images/train", "images/val"),
        # No splits at all: folders called after them.
        ("", "images/train2017", "images/val2017"),
        # Nothing that would lie outside.
        ("train: ../../../etc/images/train\nval: /images/val\n", "images/train", "images/val"),
    ],
)
@pytest.mark.parametrize("top", ["", "coins/", "export/coins/"])
def test_the_folders_of_splits_are_found_as_tools_write_them(
    tmp_path: Path, yaml: str, train: str, val: str, top: str
) -> None:
    folder = make_dataset(
        tmp_path / "data",
        {
            f"{top}data.yaml": NAMES + yaml,
            f"{top}README.roboflow.txt": "Exported.",
            f"{top}{train}/1.jpg": IMAGE,
            f"{top}{train}/1.txt".replace("images/", "labels/"): BOX,
            f"{top}{val}/deep/2.jpg": IMAGE,
            f"{top}{val}/deep/2.txt".replace("images/", "labels/"): BOX,
        },
    )

    found = read(read_yolo, folder)

    assert found.splits == {f"{top}{train}/1.jpg": "train", f"{top}{val}/deep/2.jpg": "val"}
    assert found.names == ["cat", "dog"]
    assert [image.objects[0].box for image in found.images.values()] == [IN_PIXELS, IN_PIXELS]
    assert found.kinds in ([], ["split_not_found"])  # Roboflow names a test folder that it did not export


def test_a_split_may_be_a_list_of_image_paths(tmp_path: Path) -> None:
    files: dict[str, object] = {f"images/{name}.jpg": IMAGE for name in "abcd"}
    files |= {f"labels/{name}.txt": BOX for name in "abcd"}
    lists = {
        "data.yaml": NAMES + "path: ../datasets/coins\ntrain: train.txt\nval: lists/val.txt\n",
        "train.txt": "\ufeff./images/a.jpg\n/content/coins/images/b.jpg\n\nimages/gone.jpg\n../../etc/passwd\n",
        "lists/val.txt": "images/c.jpg\r\nimages/c.jpg\r\n",
    }
    folder = make_dataset(tmp_path / "data", files | lists)

    found = read(read_yolo, folder)

    assert found.splits == {"images/a.jpg": "train", "images/b.jpg": "train", "images/c.jpg": "val"}
    assert found.kinds == ["image_not_found", "image_not_found", "images_outside_splits"]
    assert "1 images" in found.problem("images_outside_splits").message


@pytest.mark.parametrize("place", ["../valid/images", "valid/images", "/content/coins/valid/images"])
def test_a_split_that_is_not_there_does_not_take_the_images_of_others(tmp_path: Path, place: str) -> None:
    files = {
        "data.yaml": f"{NAMES}path: /content/coins\ntrain: images/train\nval: {place}\n",
        "images/train/1.jpg": IMAGE,
        "images/other/2.jpg": IMAGE,
        "labels/train/1.txt": BOX,
    }

    found = read(read_yolo, make_dataset(tmp_path / "data", files))

    assert found.splits == {"images/train/1.jpg": "train"}
    assert found.kinds == ["images_outside_splits", "split_not_found"]


def test_settings_near_the_root_do_not_hide_the_data_yaml_below(tmp_path: Path) -> None:
    files = {"settings.yaml": "lr0: 1", "coins/data.yaml": NAMES + "train: images", "coins/images/1.jpg": IMAGE}

    assert read(read_yolo, make_dataset(tmp_path / "data", files)).names == ["cat", "dog"]


def test_an_image_is_in_one_split_only(tmp_path: Path) -> None:
    folder = make_dataset(
        tmp_path / "data",
        {
            "data.yaml": NAMES + "train: images\nval: images\n",
            "images/a.jpg": IMAGE,
            "images/b.jpg": IMAGE,
            "labels/a.txt": BOX,
            "labels/b.txt": "",
        },
    )

    found = read(read_yolo, folder)

    assert set(found.splits.values()) == {"train"}
    assert found.kinds == ["image_in_splits"]
    assert "2 images of the split 'val'" in found.problem("image_in_splits").message


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/train/1.jpg", "labels/train/1.txt"),
        ("train/images/1.jpg", "train/labels/1.txt"),
        ("images/train/images/1.jpg", "images/train/labels/1.txt"),
        ("train/1.jpg", "train/1.txt"),
        ("images/train/1.jpg", "images/train/1.txt"),
        ("obj_train_data/1.jpg", "obj_train_data/1.txt"),
        ("images/train/1.v2.PNG", "labels/train/1.v2.txt"),
    ],
)
def test_labels_lie_where_ultralytics_looks_or_beside_their_images(tmp_path: Path, image: str, label: str) -> None:
    folder = make_dataset(tmp_path / "data", {"data.yaml": NAMES, image: IMAGE, label: BOX})

    found = read(read_yolo, folder)

    assert [found.box for found in found.images[image].objects] == [IN_PIXELS]
    assert found.problems == []


@pytest.mark.parametrize("list_path", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_without_a_data_yaml_classes_come_from_their_list(tmp_path: Path, list_path: str) -> None:
    files = {
        list_path: "cat\n\n big dog \n",
        "images/1.jpg": IMAGE,
        "labels/1.txt": "1 0.5 0.5 0.5 0.5",
        "notes.json": "{}",
    }
    folder = make_dataset(tmp_path / "data", files)

    found = read(read_yolo, folder)

    assert found.names == ["cat", "big dog"]
    assert found.splits == {"images/1.jpg": ""}
    assert found.images["images/1.jpg"].objects[0].category_id == 1
    assert found.problems == []


def test_without_any_list_classes_are_called_after_their_ids(tmp_path: Path) -> None:
    files = {"train/1.jpg": IMAGE, "train/1.txt": "7 0.5 0.5 0.5 0.5\n2.0 0.5 0.5 0.5 0.5\n"}
    folder = make_dataset(tmp_path / "data", files)

    found = read(read_yolo, folder)

    assert found.names == ["class_2", "class_7"]
    assert [each.category_id for each in found.images["train/1.jpg"].objects] == [1, 0]
    assert found.kinds == ["class_names_missing"]


def test_ids_of_classes_need_not_follow_on_one_another(tmp_path: Path) -> None:
    yaml = "names:\n  9: no\n  0: cat\n  4: 2024\n"
    files = {"data.yaml": yaml, "images/1.jpg": IMAGE, "labels/1.txt": "9 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n"}
    folder = make_dataset(tmp_path / "data", files)

    found = read(read_yolo, folder)

    assert found.names == ["cat", "2024", "no"]
    assert [each.category_id for each in found.images["images/1.jpg"].objects] == [2]
    assert found.kinds == ["unknown_class"]


def test_a_number_of_classes_serves_without_names(tmp_path: Path) -> None:
    found = read(read_yolo, make_dataset(tmp_path / "data", {"any.yml": "nc: 2\n", "images/1.jpg": IMAGE}))

    assert found.names == ["class_0", "class_1"]


def test_ids_of_one_name_are_one_class(tmp_path: Path) -> None:
    files = {"data.yaml": "names: [cat, dog, cat]", "images/1.jpg": IMAGE, "labels/1.txt": "2 0.5 0.5 0.5 0.5"}

    found = read(read_yolo, make_dataset(tmp_path / "data", files))

    assert found.names == ["cat", "dog"]
    assert found.images["images/1.jpg"].objects[0].category_id == 0
    assert found.kinds == ["duplicate_class"]


def test_an_image_without_a_label_file_is_background_and_told_and_an_empty_file_says_so(tmp_path: Path) -> None:
    folder = make_dataset(
        tmp_path / "data",
        {
            "data.yaml": NAMES,
            "images/forgotten.jpg": IMAGE,
            "images/empty.jpg": IMAGE,
            "labels/empty.txt": "",
            "labels/lost.txt": BOX,
            "images/broken.jpg": b"no image",
            "labels/broken.txt": BOX,
            "images/.hidden.jpg": IMAGE,
            "__MACOSX/images/1.jpg": IMAGE,
        },
    )

    found = read(read_yolo, folder)

    assert {path: image.objects for path, image in found.images.items()} == {
        "images/empty.jpg": (),
        "images/forgotten.jpg": (),
    }
    assert [(problem.path, problem.kind) for problem in found.problems] == [
        ("images/forgotten.jpg", "image_without_labels"),
        ("labels/lost.txt", "label_without_image"),
    ]
    assert {problem.severity for problem in found.problems} == {"WARNING"}


def test_files_of_settings_beside_the_data_yaml_are_no_second_one(tmp_path: Path) -> None:
    files = {"coins.yaml": NAMES, "hyp.yaml": "lr0: 0.1", "broken.yaml": "a: [", "images/1.jpg": IMAGE}

    assert read(read_yolo, make_dataset(tmp_path / "data", files)).names == ["cat", "dog"]


def test_two_datasets_in_one_are_refused(tmp_path: Path) -> None:
    files = {"one/data.yaml": NAMES, "two/data.yaml": NAMES, "one/images/1.jpg": IMAGE, "two/images/1.jpg": IMAGE}

    found = read(read_yolo, make_dataset(tmp_path / "data", files))

    assert [(problem.kind, problem.severity) for problem in found.problems] == [("unreadable_annotations", "ERROR")]
    assert "one/data.yaml, two/data.yaml" in found.problems[0].message


def test_images_without_any_label_file_and_data_yaml_are_no_yolo(tmp_path: Path) -> None:
    found = read(read_yolo, make_dataset(tmp_path / "data", {"images/1.jpg": IMAGE, "notes.txt": "0 1 1 1 1"}))

    assert (found.problem("no_annotations").severity, found.images) == ("ERROR", {})
