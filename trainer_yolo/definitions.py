"""The models whose definitions ship with ultralytics, read from its YAML files without importing it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

DISTRIBUTION = "ultralytics-opencv-headless"

# The task that the last module of a definition does. What is not here is not offered: depth, semantic segmentation, and
# the models that are asked with words (World, YOLOE).
_TASKS_BY_HEAD = {
    "Classify": CLASSIFICATION,
    "Detect": DETECTION,
    "v10Detect": DETECTION,
    "RTDETRDecoder": DETECTION,
    "Segment": SEGMENTATION,
    "Segment26": SEGMENTATION,
    "Pose": POSE,
    "Pose26": POSE,
    "OBB": ORIENTED,
    "OBB26": ORIENTED,
}
# Backbones that ultralytics does not scale.
_OF_ONE_SIZE = {"ResNetLayer", "TorchVision"}
# Where a size letter goes: yolo11-seg → yolo11n-seg.
_FAMILY = re.compile(r"^(yolov?\d+)(-.+)?$")


@dataclass(frozen=True)
class Definition:
    """One model: ``content`` is the YAML file's, ``scale`` its size letter or empty where the file has one size."""

    name: str
    task_type: str
    scale: str
    content: Mapping[str, Any]

    @property
    def head(self) -> str:
        """Name of the last module, for example Detect."""
        return str(self.content["head"][-1][2])

    @property
    def is_rtdetr(self) -> bool:
        """Whether it is a transformer, which has a loss, a data set and a validator of its own."""
        return self.head == "RTDETRDecoder"

    def configuration(self, classes: int, keypoints: tuple[int, int] | None = None) -> dict[str, Any]:
        """The definition as ultralytics builds from it, for so many classes and a pose's (points, values each)."""
        configuration = copy.deepcopy(dict(self.content))
        configuration["nc"] = classes
        configuration["scale"] = self.scale
        configuration["yaml_file"] = f"{self.name}.yaml"
        if keypoints is not None:
            configuration["kpt_shape"] = list(keypoints)
        for _, _, module, arguments in configuration["backbone"]:
            if module == "TorchVision":
                # Its third argument names weights, which would be fetched as a pickle.
                arguments[2] = None
        return configuration


def package_folder() -> Path:
    """Where ultralytics is installed."""
    spec = find_spec("ultralytics")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("ultralytics is not installed")
    return Path(spec.origin).parent


def ultralytics_version() -> str:
    """The version that is installed."""
    return metadata.version(DISTRIBUTION)


@lru_cache(maxsize=1)
def definitions() -> Mapping[str, Definition]:
    """Every model, by name, sorted."""
    found: dict[str, Definition] = {}
    for path in sorted((package_folder() / "cfg" / "models").rglob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        task_type = _TASKS_BY_HEAD.get(str(content["head"][-1][2]))
        if task_type is None or path.stem.startswith("yoloe-"):
            continue
        for name, scale in _names(path.stem, _scales(content)):
            found[name] = Definition(name, task_type, scale, content)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def training_defaults() -> Mapping[str, Any]:
    """The training arguments of ultralytics with their defaults."""
    content = yaml.safe_load((package_folder() / "cfg" / "default.yaml").read_text(encoding="utf-8"))
    return dict(content)


def _scales(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Size letters of a definition, one where all sizes are the same model."""
    scales = tuple(content.get("scales") or ())
    if {module for _, _, module, _ in content["backbone"]} <= _OF_ONE_SIZE:
        return scales[:1]
    return scales


def _names(stem: str, scales: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names and sizes of the models in a file: rtdetr-l has one, yolo11-seg has five."""
    family = _FAMILY.match(stem)
    if family is None or len(scales) < 2:
        return [(stem, scales[0] if scales else "")]
    prefix, suffix = family.group(1), family.group(2) or ""
    return [(f"{prefix}{scale}{suffix}", scale) for scale in scales]
