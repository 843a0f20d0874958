"""One small scene of boxes, written as each format has it, with real images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from annotations.model import AnnotatedImage, AnnotatedObject, Box
from tests.gateway.datasets.pictures import picture
from visionmesh.v1 import dataset_pb2

CLASSES = ("cat", "dog")
WIDTH, HEIGHT = 64, 48

Content = dict[str, bytes]


def box(category: int, x: float, y: float, width: float, height: float) -> AnnotatedObject:
    """An object that is a box and nothing else."""
    return AnnotatedObject(category, Box(x, y, x + width, y + height))


def image(name: str, split: str, *objects: AnnotatedObject) -> AnnotatedImage:
    """An image of the scene."""
    return AnnotatedImage(name, WIDTH, HEIGHT, split, objects)


# By hand: 4 images train (one without objects), 2 val, 1 test; 5 + 3 + 1 objects.
SCENE = (
    image("1.png", "train", box(0, 4, 4, 16, 12), box(1, 32, 8, 20, 24)),
    image("2.png", "train", box(0, 10, 10, 8, 8), box(0, 30, 10, 8, 8)),
    image("3.png", "train", box(1, 0, 0, 64, 48)),
    image("4.png", "train"),
    image("5.png", "val", box(0, 8, 8, 24, 24), box(1, 40, 4, 12, 36)),
    image("6.png", "val", box(0, 16, 12, 10, 10)),
    image("7.png", "test", box(1, 4, 20, 30, 20)),
)
CLASS_DISTRIBUTION = {"train": {"cat": 2, "dog": 2}, "val": {"cat": 2, "dog": 1}, "test": {"dog": 1}}
OBJECTS = {"train": {"cat": 3, "dog": 2}, "val": {"cat": 2, "dog": 1}, "test": {"dog": 1}}


def png(place: int) -> bytes:
    """The image at a place of a scene."""
    return picture(500 + place, size=(WIDTH, HEIGHT))


def coco(scene: Sequence[AnnotatedImage] = SCENE, classes: Sequence[str] = CLASSES) -> Content:
    """COCO: a folder and a file for each split."""
    files = {f"{of.split}/{of.path}": png(place) for place, of in enumerate(scene)}
    for split in sorted({of.split for of in scene}):
        content = coco_json([of for of in scene if of.split == split], classes)
        files[f"annotations/instances_{split}.json"] = json.dumps(content).encode()
    return files


def dice(scene: Sequence[AnnotatedImage] = SCENE, classes: Sequence[str] = CLASSES) -> Content:
    """DICE: all images in one folder, the split on each."""
    files = {f"images/{of.path}": png(place) for place, of in enumerate(scene)}
    content = coco_json(scene, classes)
    for entry, of in zip(content["images"], scene, strict=True):
        entry["file_name"] = f"images/{of.path}"
        if of.split:
            entry["split"] = of.split
    return {**files, "annotations.json": json.dumps(content).encode()}


def yolo(scene: Sequence[AnnotatedImage] = SCENE, classes: Sequence[str] = CLASSES) -> Content:
    """YOLO: ``images/<split>``, ``labels/<split>`` and a data.yaml."""
    files: Content = {}
    for place, of in enumerate(scene):
        files[f"images/{of.split}/{of.path}"] = png(place)
        lines = [yolo_line(found) for found in of.objects]
        files[f"labels/{of.split}/{of.path.removesuffix('.png')}.txt"] = "\n".join(lines).encode()
    splits = "".join(f"{split}: images/{split}\n" for split in sorted({of.split for of in scene}))
    files["data.yaml"] = f"{splits}nc: {len(classes)}\nnames: {json.dumps(list(classes))}\n".encode()
    return files


def voc(scene: Sequence[AnnotatedImage] = SCENE, classes: Sequence[str] = CLASSES) -> Content:
    """Pascal VOC: ``JPEGImages``, ``Annotations`` and a list of names for each split."""
    files: Content = {}
    for place, of in enumerate(scene):
        name = of.path.removesuffix(".png")
        files[f"JPEGImages/{of.path}"] = png(place)
        objects = "".join(voc_object(found, classes) for found in of.objects)
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        files[f"Annotations/{name}.xml"] = (
            f"<annotation><filename>{of.path}</filename>{size}{objects}</annotation>".encode()
        )
    for split in sorted({of.split for of in scene}):
        names = [of.path.removesuffix(".png") for of in scene if of.split == split]
        files[f"ImageSets/Main/{split}.txt"] = ("\n".join(names) + "\n").encode()
    return files


def coco_json(scene: Iterable[AnnotatedImage], classes: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    """The three lists of a COCO file; ids begin at 1."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, of in enumerate(scene, 1):
        images.append({"id": number, "file_name": of.path, "width": of.width, "height": of.height})
        for found in of.objects:
            corners = found.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": found.category_id + 1,
                    "bbox": [corners.x_min, corners.y_min, corners.width, corners.height],
                    "area": corners.area,
                    "iscrowd": int(found.crowd),
                }
            )
    categories: list[dict[str, object]] = [{"id": place, "name": name} for place, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_line(found: AnnotatedObject) -> str:
    """Class, centre, width and height as shares of the image."""
    of = found.box
    centre = (of.x_min + of.x_max) / 2 / WIDTH, (of.y_min + of.y_max) / 2 / HEIGHT
    return f"{found.category_id} {centre[0]} {centre[1]} {of.width / WIDTH} {of.height / HEIGHT}"


def voc_object(found: AnnotatedObject, classes: Sequence[str]) -> str:
    """Pixels counted from 1, the last ones included."""
    of = found.box
    corners = {"xmin": of.x_min + 1, "ymin": of.y_min + 1, "xmax": of.x_max, "ymax": of.y_max}
    inside = "".join(f"<{name}>{value:g}</{name}>" for name, value in corners.items())
    return f"<object><name>{classes[found.category_id]}</name><bndbox>{inside}</bndbox></object>"


FORMATS: Mapping[int, Callable[..., Content]] = {
    dataset_pb2.DATASET_FORMAT_COCO: coco,
    dataset_pb2.DATASET_FORMAT_DICE: dice,
    dataset_pb2.DATASET_FORMAT_YOLO: yolo,
    dataset_pb2.DATASET_FORMAT_VOC: voc,
}
