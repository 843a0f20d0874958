"""The reader of each format whose annotations lie in files; ``annotations.formats.folders`` reads class folders."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from annotations.formats.coco import read_coco
from annotations.formats.detection import COCO, DICE, VOC, YOLO
from annotations.formats.dice import read_dice
from annotations.formats.voc import read_voc
from annotations.formats.yolo import read_yolo
from annotations.reading import Reader

READERS: Mapping[str, Reader] = MappingProxyType({DICE: read_dice, YOLO: read_yolo, COCO: read_coco, VOC: read_voc})
