from __future__ import annotations

from annotations.formats.coco import read_coco
from annotations.formats.dice import read_dice
from annotations.formats.voc import read_voc
from annotations.formats.yolo import read_yolo
from annotations.reading import Reader

READERS: dict[str, Reader] = {"COCO": read_coco, "DICE": read_dice, "VOC": read_voc, "YOLO": read_yolo}
