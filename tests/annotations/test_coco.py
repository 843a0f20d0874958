"""COCO in the layouts that people have it in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask

from annotations.formats.coco import read_coco
from annotations.masks import polygon_mask
from annotations.model import Box, Category, Keypoint, Visibility
from tests.annotations.coco_content import annotation, coco, image
from tests.annotations.folder_source import save_image
from tests.annotations.reading import read_folder, write_json


def test_the_layout_of_coco_2017(tmp_path: Path) -> None:
    """``annotations/instances_train2017.json`` beside ``train2017/``; the same number in both splits is two images."""
    for split in ("train2017", "val2017"):
        save_image(tmp_path / split / "000001.jpg")
        content = coco([image(1, "000001.jpg")], [annotation(1, 1)])
        write_json(tmp_path / "annotations" / f"instances_{split}.json", content)

    result = read_folder(read_coco, tmp_path)

    assert result.problems == []
    assert result.class_names == ["cat", "dog"]
    assert result.splits == {"train2017/000001.jpg": "train", "val2017/000001.jpg": "val"}
    assert [found.box for found in result.objects("train2017/000001.jpg")] == [Box(1, 2, 11, 22)]


def test_files_of_coco_2017_that_are_not_about_objects_are_passed_over(tmp_path: Path) -> None:
    save_image(tmp_path / "train2017/1.jpg")
    listed = [image(1, "1.jpg")]
    people = [{"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}]
    folder = tmp_path / "annotations"
    write_json(folder / "instances_train2017.json", coco(listed, [annotation(1, 1)]))
    write_json(folder / "captions_train2017.json", coco(listed, [{"id": 1, "image_id": 1, "caption": "A cat."}]))
    panoptic = [
        {"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 7, "category_id": 3, "bbox": [0, 0, 9, 9]}]}
    ]
    write_json(folder / "panoptic_train2017.json", coco(listed, panoptic))
    write_json(folder / "stuff_train2017.json", coco(listed, [annotation(1, 1)]))
    write_json(folder / "person_keypoints_train2017.json", coco(listed, [annotation(1, 1, 1)], people))
    write_json(folder / "image_info_test2017.json", {"images": listed, "categories": []})

    result = read_folder(read_coco, tmp_path)

    assert result.class_names == ["cat", "dog"]
    assert len(result.objects("train2017/1.jpg")) == 1
    assert sorted(result.told) == [
        ("WARNING", "annotations_ignored", f"annotations/{name}2017.json")
        for name in ("captions_train", "image_info_test", "panoptic_train", "person_keypoints_train", "stuff_train")
    ]


@pytest.mark.parametrize("around", ["", "My dataset.v1i.coco/"])
def test_the_layout_of_roboflow(tmp_path: Path, around: str) -> None:
    """``_annotations.coco.json`` beside the images of each split, and a group that is no class as category 0."""
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "animals"},
        {"id": 2, "name": "dog", "supercategory": "animals"},
    ]
    root = tmp_path / around
    for number, split in enumerate(("train", "valid", "test"), start=1):
        save_image(root / split / "a.jpg")
        content = coco([image(0, "a.jpg")], [annotation(0, 0, 1 + number % 2)], categories)
        write_json(root / split / "_annotations.coco.json", content)

    result = read_folder(read_coco, tmp_path)

    assert result.problems == []
    assert result.class_names == ["cat", "dog"]
    assert result.splits == {f"{around}{name}/a.jpg": split for name, split in
                             (("train", "train"), ("valid", "val"), ("test", "test"))}  # fmt: skip
    assert [found.category_id for found in result.objects(f"{around}valid/a.jpg")] == [0]


@pytest.mark.parametrize(
    ("annotations", "file_name", "path"),
    [
        ("labels/all.json", "a.jpg", "labels/a.jpg"),
        ("labels/all.json", "a.jpg", "a.jpg"),
        ("all.json", "a.jpg", "images/a.jpg"),
        ("annotations/all.json", "a.jpg", "images/a.jpg"),
        ("annotations/val.json", "a.jpg", "images/val/a.jpg"),
        ("annotations/val.json", "a.jpg", "valid/a.jpg"),
        ("annotations/instances_val2014.json", "a.jpg", "val2014/a.jpg"),
        ("annotations/instances_Train.json", "a.jpg", "images/Train/a.jpg"),
        ("annotations/all.json", "../pictures/a.jpg", "pictures/a.jpg"),
        ("all.json", "./pictures\\a.jpg", "pictures/a.jpg"),
        ("all.json", "a.jpg", "somewhere/deep/a.jpg"),
        ("all.json", "C:\\data\\images\\a.jpg", "images/a.jpg"),
        ("all.json", "/home/someone/images/a.jpg", "pictures/a.jpg"),
        ("top/all.json", "pictures/a.jpg", "top/pictures/a.jpg"),
        ("top/annotations/all.json", "a.jpg", "top/images/a.jpg"),
    ],
)
def test_an_image_is_found_where_people_put_it(tmp_path: Path, annotations: str, file_name: str, path: str) -> None:
    save_image(tmp_path / path)
    write_json(tmp_path / annotations, coco([image(1, file_name)]))

    result = read_folder(read_coco, tmp_path)

    assert list(result.images) == [path]
    assert result.problems == []


def test_of_two_images_of_one_name_the_one_in_the_folder_of_the_split_is_meant(tmp_path: Path) -> None:
    for split in ("Train", "Validation"):
        save_image(tmp_path / "images" / split / "a.jpg")
        write_json(tmp_path / f"annotations/instances_{split}.json", coco([image(1, "a.jpg")]))

    result = read_folder(read_coco, tmp_path)

    assert result.problems == []
    assert result.splits == {"images/Train/a.jpg": "train", "images/Validation/a.jpg": "val"}


def test_the_folder_of_the_annotations_comes_before_all_others(tmp_path: Path) -> None:
    for path in ("a.jpg", "images/a.jpg", "set/a.jpg"):
        save_image(tmp_path / path)
    write_json(tmp_path / "set/all.json", coco([image(1, "a.jpg")]))

    assert list(read_folder(read_coco, tmp_path).images) == ["set/a.jpg"]


def test_a_bare_name_that_several_images_have_is_not_guessed_at(tmp_path: Path) -> None:
    for path in ("one/a.jpg", "two/a.jpg"):
        save_image(tmp_path / path)
    write_json(tmp_path / "all.json", coco([image(1, "a.jpg")], [annotation(1, 1)]))

    result = read_folder(read_coco, tmp_path)

    assert result.images == {}
    assert result.told[0] == ("WARNING", "image_not_found", "all.json")


def test_an_image_that_is_missing_is_not_taken_for_another_of_its_name(tmp_path: Path) -> None:
    """``b/1.jpg`` was not uploaded; its annotations must not end up on ``a/1.jpg``, whichever file comes first."""
    save_image(tmp_path / "a/1.jpg")
    write_json(tmp_path / "first.json", coco([image(1, "b/1.jpg")], [annotation(1, 1), annotation(2, 1)]))
    write_json(tmp_path / "second.json", coco([image(1, "a/1.jpg")], [annotation(1, 1)]))

    result = read_folder(read_coco, tmp_path)

    assert len(result.objects("a/1.jpg")) == 1
    assert result.told == [("WARNING", "image_not_found", "first.json")]


def test_two_entries_that_could_mean_one_image_by_its_name_both_do_not(tmp_path: Path) -> None:
    save_image(tmp_path / "z/1.jpg")
    write_json(tmp_path / "all.json", coco([image(1, "a/1.jpg"), image(2, "b/1.jpg")], [annotation(1, 1)]))

    result = read_folder(read_coco, tmp_path)

    assert result.images == {}
    assert result.kinds == ["image_not_found", "image_not_found", "image_not_listed"]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/secret.jpg", "../../secret.jpg", "images/../../secret.jpg", "..", "/"]
)
def test_no_name_leads_out_of_the_dataset(tmp_path: Path, name: str) -> None:
    save_image(tmp_path / "secret.jpg")
    write_json(tmp_path / "dataset/all.json", coco([image(1, name)], [annotation(1, 1)]))

    result = read_folder(read_coco, tmp_path / "dataset")

    assert result.images == {}
    assert result.kinds == ["image_not_found"]


def test_an_image_may_name_its_split_in_a_file_for_all(tmp_path: Path) -> None:
    listed = []
    for number, split in enumerate(("train", "valid", "test", None), start=1):
        save_image(tmp_path / f"{number}.jpg")
        listed.append(image(number, f"{number}.jpg", split=split))
    write_json(tmp_path / "all.json", coco(listed))

    splits = read_folder(read_coco, tmp_path).splits

    assert splits == {"1.jpg": "train", "2.jpg": "val", "3.jpg": "test", "4.jpg": ""}


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("annotations/person_keypoints_val2017.json", "val"),
        ("val.json", "val"),
        ("Validation.json", "val"),
        ("test-dev.json", ""),
        ("valid/_annotations.coco.json", "val"),
        ("test/labels/coco.json", "test"),
        ("trainval.json", ""),
        ("retrained.json", ""),
        ("latest.json", ""),
    ],
)
def test_a_file_is_for_the_split_it_is_named_after(tmp_path: Path, path: str, split: str) -> None:
    save_image(tmp_path / "images/a.jpg")
    write_json(tmp_path / path, coco([image(1, "a.jpg")]))

    assert read_folder(read_coco, tmp_path).splits == {"images/a.jpg": split}


def test_classes_of_several_files_are_put_together_by_their_names(tmp_path: Path) -> None:
    for split, categories in (("train", [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}]),
                              ("val", [{"id": 1, "name": "dog"}, {"id": 2, "name": "cow"}])):  # fmt: skip
        save_image(tmp_path / f"{split}/{split}.jpg")
        content = coco([image(1, f"{split}.jpg")], [annotation(1, 1, 1)], categories)
        write_json(tmp_path / f"{split}.json", content)

    result = read_folder(read_coco, tmp_path)

    assert result.class_names == ["cat", "dog", "cow"]
    assert [found.category_id for found in result.objects("train/train.jpg")] == [0]
    assert [found.category_id for found in result.objects("val/val.jpg")] == [1]


def test_segmentations_come_as_polygons_or_as_masks(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    drawn = polygon_mask([(4, 5, 20, 5, 20, 30, 4, 30)], 48, 64)
    text = coco_mask.encode(drawn)["counts"].decode()
    counts = [4 * 48 + 5, *[25, 23] * 15, 25, 48 * 64 - (4 * 48 + 5) - 25 * 16 - 23 * 15]
    annotations = [
        annotation(1, 1, segmentation=[[1, 2, 11, 2, 11, 22], [1, 2, 5, 2, 5, 9]]),
        annotation(2, 1, segmentation={"size": [48, 64], "counts": text}, bbox=[4, 5, 16, 25]),
        annotation(3, 1, segmentation={"size": [48, 64], "counts": counts}, iscrowd=1, bbox=[]),
        annotation(4, 1, segmentation=[1, 2, 11, 2, 11, 22]),
    ]
    write_json(tmp_path / "all.json", coco([image(1, "a.jpg")], annotations))

    result = read_folder(read_coco, tmp_path)

    polygons, compressed, plain, single = result.objects("a.jpg")
    assert result.problems == []
    assert polygons.polygons == ((1, 2, 11, 2, 11, 22), (1, 2, 5, 2, 5, 9))
    assert compressed.mask is not None and compressed.mask.counts == tuple(counts)
    assert compressed.mask == plain.mask
    assert (plain.box, plain.crowd, compressed.crowd) == (Box(4, 5, 20, 30), True, False)
    assert single.polygons == ((1, 2, 11, 2, 11, 22),)


def test_poses_have_names_skeleton_and_a_mirror(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    person = {
        "id": 1,
        "name": "person",
        "keypoints": ["nose", "left_eye", "right_eye"],
        "skeleton": [[1, 2], [1, 3], [9, 1]],
    }
    given = annotation(1, 1, 1, bbox=[1, 1, 30, 30], keypoints=[5, 6, 2, 9, 4, 1, 0, 0, 0], num_keypoints=2)
    write_json(tmp_path / "all.json", coco([image(1, "a.jpg")], [given], [person]))

    result = read_folder(read_coco, tmp_path)

    names = ("nose", "left_eye", "right_eye")
    assert result.categories == (Category("person", names, ((0, 1), (0, 2)), (0, 2, 1)),)
    assert result.objects("a.jpg")[0].keypoints == (
        Keypoint(5, 6, Visibility.VISIBLE),
        Keypoint(9, 4, Visibility.OCCLUDED),
        Keypoint(0, 0, Visibility.ABSENT),
    )


@pytest.mark.parametrize(
    ("names", "flipped"),
    [
        (["left_eye", "right_eye"], (1, 0)),
        (["Right-Paw", "tail", "Left-Paw"], (2, 1, 0)),
        (["left_eye", "right_ear"], ()),
        (["head", "tail"], ()),
        (["left", "left"], ()),
        ([], ()),
    ],
)
def test_a_mirror_is_known_only_where_left_and_right_pair_up(
    tmp_path: Path, names: list[str], flipped: tuple[int, ...]
) -> None:
    save_image(tmp_path / "a.jpg")
    write_json(tmp_path / "all.json", coco([image(1, "a.jpg")], [], [{"id": 1, "name": "cat", "keypoints": names}]))

    assert read_folder(read_coco, tmp_path).categories[0].flip_indices == flipped


def test_coordinates_drawn_before_an_image_was_turned_are_turned_with_it(tmp_path: Path) -> None:
    """Stored 64 × 48, seen 48 × 64: whoever annotated ``as_stored.jpg`` saw the former, ``upright.jpg`` the latter."""
    for name in ("as_stored.jpg", "upright.jpg"):
        save_image(tmp_path / name, 64, 48, orientation=6)
    listed = [image(1, "as_stored.jpg", 64, 48), image(2, "upright.jpg", 48, 64)]
    counts = [0, 1, 48 * 64 - 1]
    annotations = [
        annotation(1, 1, bbox=[1, 2, 10, 20], segmentation={"size": [48, 64], "counts": counts}),
        annotation(2, 2, bbox=[1, 2, 10, 20]),
    ]
    write_json(tmp_path / "all.json", coco(listed, annotations))

    result = read_folder(read_coco, tmp_path)

    assert result.told == [("WARNING", "annotations_not_upright", "all.json")]
    (turned,), (kept,) = result.objects("as_stored.jpg"), result.objects("upright.jpg")
    assert (turned.box, kept.box) == (Box(26, 1, 46, 11), Box(1, 2, 11, 22))
    # The first pixel as stored is seen at the upper right.
    assert turned.mask is not None and turned.mask.counts == (47 * 64, 1, 63)


def test_the_background_is_no_class(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    categories = [{"id": 0, "name": "__background__"}, {"id": 1, "name": "cat"}]
    listed = [{"id": 1, "image_id": 1, "category_id": 0}]
    write_json(tmp_path / "all.json", coco([image(1, "a.jpg")], listed, categories))

    result = read_folder(read_coco, tmp_path)

    assert (result.problems, result.class_names, result.objects("a.jpg")) == ([], ["cat"], ())


def test_ids_may_be_text(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    given = {"id": "x", "image_id": "one", "category_id": "c", "bbox": [1, 2, 3, 4]}
    write_json(tmp_path / "all.json", coco([image("one", "a.jpg")], [given], [{"id": "c", "name": "cat"}]))

    result = read_folder(read_coco, tmp_path)

    assert result.problems == []
    assert len(result.objects("a.jpg")) == 1


def test_files_that_macos_adds_are_not_looked_at(tmp_path: Path) -> None:
    save_image(tmp_path / "train/a.jpg")
    write_json(tmp_path / "train/all.json", coco([image(1, "a.jpg")]))
    (tmp_path / "__MACOSX/train").mkdir(parents=True)
    (tmp_path / "__MACOSX/train/._all.json").write_bytes(b"\x00\x05\x16\x07")

    assert read_folder(read_coco, tmp_path).problems == []


def test_a_byte_order_mark_and_names_in_any_script_are_read(tmp_path: Path) -> None:
    save_image(tmp_path / "고양이.jpg")
    content = coco([image(1, "고양이.jpg")], [annotation(1, 1, 1)], [{"id": 1, "name": "고양이"}])
    (tmp_path / "all.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8-sig")

    result = read_folder(read_coco, tmp_path)

    assert result.class_names == ["고양이"]
    assert len(result.objects("고양이.jpg")) == 1
