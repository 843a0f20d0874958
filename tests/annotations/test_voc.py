"""Pascal VOC, as its authors laid it out and as tools export it."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotations.formats import voc
from annotations.formats.voc import read_voc
from annotations.model import AnnotatedObject, Box
from tests.annotations.dataset_folder import HEIGHT, IMAGE, WIDTH, Outcome, make_dataset, read


def one_object(box: str | tuple[object, ...] | None = (51, 26, 150, 75), name: str | None = "cat") -> str:
    """An object with a box of xmin, ymin, xmax, ymax."""
    if isinstance(box, tuple):
        edges = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        box = "<bndbox>" + "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges) + "</bndbox>"
    return f"<object>{'' if name is None else f'<name>{name}</name>'}<difficult>1</difficult>{box or ''}</object>"


def xml(*objects: str, name: str = "", size: tuple[object, object] | None = IMAGE) -> str:
    """An annotation file."""
    told = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    return f"<annotation><filename>{name}</filename>{told}{''.join(objects or (one_object(),))}</annotation>"


def read_xml(tmp_path: Path, content: str | bytes, image: tuple[int, ...] = IMAGE) -> Outcome:
    """Read a dataset of one image."""
    files = {"Annotations/1.xml": content, "JPEGImages/1.jpg": image}
    return read(read_voc, make_dataset(tmp_path / "data", files))


def objects(found: Outcome) -> tuple[AnnotatedObject, ...]:
    (image,) = found.images.values()
    return image.objects


@pytest.mark.parametrize("top", ["", "VOC2012/", "VOCdevkit/VOC2012/"])
def test_voc_as_its_authors_laid_it_out(tmp_path: Path, top: str) -> None:
    names = ["2008_1", "2008_2", "2008_3", "2008_4", "2008_5"]
    files: dict[str, object] = {f"{top}JPEGImages/{name}.jpg": IMAGE for name in names}
    files |= {f"{top}Annotations/{name}.xml": xml(name=f"{name}.jpg") for name in names[:4]}
    files |= {
        f"{top}ImageSets/Main/train.txt": "2008_1\n",
        f"{top}ImageSets/Main/val.txt": "2008_2  1\r\n2008_9\n",
        f"{top}ImageSets/Main/trainval.txt": "2008_1\n2008_2\n",
        f"{top}ImageSets/Main/test.txt": "2008_5\n",
        f"{top}ImageSets/Main/cat_train.txt": "2008_1 -1\n2008_4 1\n",
        f"{top}ImageSets/Segmentation/train.txt": "2008_3\n",
        f"{top}ImageSets/Layout/train.txt": "2008_3\n",
        f"{top}SegmentationClass/2008_3.png": IMAGE,
        f"{top}SegmentationObject/2008_3.png": IMAGE,
    }

    found = read(read_voc, make_dataset(tmp_path / "data", files))

    assert found.splits == {
        f"{top}JPEGImages/2008_1.jpg": "train",
        f"{top}JPEGImages/2008_2.jpg": "val",
        f"{top}JPEGImages/2008_5.jpg": "test",
    }
    assert found.names == ["cat"]
    assert found.kinds == ["image_not_found", "image_without_labels", "images_outside_splits", "masks_not_read"]
    assert "2 images" in found.problem("images_outside_splits").message
    assert "'2008_9" in found.problem("image_not_found").message


@pytest.mark.parametrize(
    ("sets", "splits"),
    [
        ({"trainval": "abc"}, {"a": "", "b": "", "c": ""}),
        ({"trainval": "abc", "val": "c"}, {"a": "train", "b": "train", "c": "val"}),
        ({"trainval": "abc", "train": "ab"}, {"a": "train", "b": "train", "c": "val"}),
        ({"train": "ab", "val": "b"}, {"a": "train", "b": "train"}),
        ({"default": "abc"}, {"a": "", "b": "", "c": ""}),
    ],
)
def test_sets_become_splits(tmp_path: Path, sets: dict[str, str], splits: dict[str, str]) -> None:
    files: dict[str, object] = {f"JPEGImages/{name}.jpg": IMAGE for name in "abc"}
    files |= {f"Annotations/{name}.xml": xml() for name in "abc"}
    files |= {f"ImageSets/Main/{name}.txt": "\n".join(images) for name, images in sets.items()}

    found = read(read_voc, make_dataset(tmp_path / "data", files))

    assert found.splits == {f"JPEGImages/{name}.jpg": split for name, split in splits.items()}


@pytest.mark.parametrize(
    ("label", "image", "split"),
    [
        ("annotations/1.xml", "images/1.png", ""),
        ("Annotations/1.xml", "1.jpg", ""),
        ("Annotations/train/1.xml", "JPEGImages/train/1.jpg", "train"),
        ("train/annotations/1.xml", "train/images/1.jpg", "train"),
        ("valid/1.xml", "valid/1.jpg", "val"),
        ("labels/1.xml", "images/1.jpg", ""),
        ("1.xml", "images/1.jpg", ""),
        ("1.xml", "1.jpg", ""),
    ],
)
def test_an_xml_file_finds_the_image_of_its_name(tmp_path: Path, label: str, image: str, split: str) -> None:
    files = {label: xml(name="renamed.jpg"), image: IMAGE, "other/1.jpg": IMAGE}

    found = read(read_voc, make_dataset(tmp_path / "data", files))

    assert len(found.images[image].objects) == 1
    assert found.images[image].split == split
    assert found.kinds == ["image_without_labels"]


@pytest.mark.parametrize(
    "name", ["cat one.jpg", "C:\\photos\\cat one.jpg", "../../cat one.jpg", "cat one", "cat one.bmp"]
)
def test_or_the_image_that_it_names(tmp_path: Path, name: str) -> None:
    files = {"annotations/7.xml": xml(name=name), "images/cat one.jpg": IMAGE}

    found = read(read_voc, make_dataset(tmp_path / "data", files))

    assert len(found.images["images/cat one.jpg"].objects) == 1
    assert found.problems == []


def test_xml_files_without_an_image_and_images_without_an_xml_file_are_told(tmp_path: Path) -> None:
    files = {
        "Annotations/1.xml": xml(name="../secret.jpg"),
        "Annotations/2.xml": xml(name="3.jpg"),
        "Annotations/3.xml": xml(),
        "JPEGImages/3.jpg": IMAGE,
        "JPEGImages/4.jpg": IMAGE,
        "JPEGImages/broken.jpg": b"",
        "Annotations/broken.xml": xml(),
    }

    found = read(read_voc, make_dataset(tmp_path / "data", files))

    assert {path: len(image.objects) for path, image in found.images.items()} == {
        "JPEGImages/3.jpg": 1,
        "JPEGImages/4.jpg": 0,
    }
    assert {(problem.path, problem.kind) for problem in found.problems} == {
        ("Annotations/1.xml", "label_without_image"),
        ("Annotations/3.xml", "duplicate_annotation"),
        ("JPEGImages/4.jpg", "image_without_labels"),
    }


def test_pixels_counted_from_one_become_edges(tmp_path: Path) -> None:
    whole, pixel, floats, zero = (1, 1, 200, 100), (5, 7, 5, 7), ("10.5", " 20.25 ", "30.5", "4e1"), (0, 0, 20, 10)

    found = read_xml(tmp_path, xml(*(one_object(box) for box in (whole, pixel, floats, zero))))

    assert [each.box for each in objects(found)] == [
        Box(0, 0, WIDTH, HEIGHT),
        Box(4, 6, 5, 7),
        Box(9.5, 19.25, 30.5, 40),
        Box(0, 0, 20, 10),
    ]
    assert not any(each.crowd for each in objects(found))
    assert found.problems == []


def test_classes_are_the_names_that_occur_sorted(tmp_path: Path) -> None:
    found = read_xml(tmp_path, xml(one_object(name=" dog "), one_object(name="cat"), one_object((1, 1, 9, 9), "dog")))

    assert found.names == ["cat", "dog"]
    assert [each.category_id for each in objects(found)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (one_object(("nan", 1, 9, 9)), "bad_annotation"),
        (one_object(("inf", 1, 9, 9)), "bad_annotation"),
        (one_object(("", 1, 9, 9)), "bad_annotation"),
        (one_object(("left", 1, 9, 9)), "bad_annotation"),
        (one_object(None), "bad_annotation"),
        (one_object("<bndbox/>"), "bad_annotation"),
        (one_object("<polygon><x1>1</x1></polygon>"), "bad_annotation"),
        (one_object(name=None), "bad_annotation"),
        (one_object(name="  "), "bad_annotation"),
        (one_object((9, 1, 5, 9)), "empty_box"),
        (one_object((500, 500, 600, 600)), "box_outside_image"),
        (one_object(), "duplicate_annotation"),
    ],
)
def test_a_wrong_object_is_left_out_and_named(tmp_path: Path, content: str, kind: str) -> None:
    found = read_xml(tmp_path, xml(one_object(), content))

    assert objects(found) == (AnnotatedObject(0, Box(50, 25, 150, 75)),)
    (problem,) = found.problems
    assert (problem.path, problem.kind, problem.severity) == ("Annotations/1.xml", kind, "WARNING")
    assert problem.message.startswith("Object 2: ")


BOMB = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    "content",
    [
        BOMB + xml(one_object(name="&b;")),
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" + xml(),
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + xml(one_object(name="&x;")),
        xml(one_object(name="&x;")),
        xml()[:-20],
        "<?xml version='1.0' encoding='klingon'?>" + xml(),
        "<html/>",
        "",
        b"\x00\x01\x02",
    ],
)
def test_an_image_whose_xml_cannot_be_read_is_left_out(tmp_path: Path, content: str | bytes) -> None:
    found = read_xml(tmp_path, content)

    assert found.images == {}
    assert [(problem.path, problem.kind) for problem in found.problems] == [
        ("Annotations/1.xml", "unreadable_annotations")
    ]
    assert "'JPEGImages/1.jpg' was left out" in found.problems[0].message


def test_an_xml_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "MAX_XML_BYTES", 100)

    assert read_xml(tmp_path, xml()).kinds == ["unreadable_annotations"]


@pytest.mark.parametrize("size", [None, (0, 0), ("", ""), ("wide", 3), IMAGE])
def test_a_size_need_not_be_given(tmp_path: Path, size: tuple[object, object] | None) -> None:
    found = read_xml(tmp_path, xml(size=size))

    assert (objects(found)[0].box, found.problems) == (Box(50, 25, 150, 75), [])


def test_a_size_that_differs_is_told(tmp_path: Path) -> None:
    found = read_xml(tmp_path, xml(size=(400, 200)))

    assert (objects(found)[0].box, found.kinds) == (Box(50, 25, 150, 75), ["size_differs"])


def test_coordinates_of_an_image_as_it_is_stored_are_turned_with_it(tmp_path: Path) -> None:
    found = read_xml(tmp_path, xml(one_object((1, 1, 20, 10))), (WIDTH, HEIGHT, 6))

    (image,) = found.images.values()
    assert (image.width, image.height) == (HEIGHT, WIDTH)
    assert (image.objects[0].box, found.kinds) == (Box(90, 0, 100, 20), ["annotations_not_upright"])


def test_more_classes_than_are_read_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "MAX_CLASSES", 1)

    found = read_xml(tmp_path, xml(one_object(name="cat"), one_object(name="dog")))

    assert (found.problem("too_many_classes").severity, found.categories) == ("ERROR", ())


def test_images_without_any_xml_file_are_no_voc(tmp_path: Path) -> None:
    found = read(read_voc, make_dataset(tmp_path / "data", {"JPEGImages/1.jpg": IMAGE}))

    assert (found.problem("no_annotations").severity, found.images) == ("ERROR", {})
