"""Parameter counts of timm's architectures: from the file beside this module, counted where it lacks one.

The file is made by ``python -m trainer_timm.count_parameters``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import timm
import torch

FILE = Path(__file__).with_name("parameter_counts.json")


@dataclass(frozen=True)
class CountedModels:
    """What the file holds: the version of timm that was counted, and parameters by architecture."""

    timm_version: str
    parameters: Mapping[str, int]


@lru_cache(maxsize=1)
def counted_models() -> CountedModels:
    """Return what the file holds."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return CountedModels(content["timm_version"], content["parameters"])


def parameters_if_counted(architecture: str) -> int:
    """Return the parameters of an architecture, 0 where the file is older than it."""
    return counted_models().parameters.get(architecture, 0)


@lru_cache(maxsize=2048)
def parameters_of(architecture: str) -> int:
    """Return the parameters of an architecture with timm's own classifier head, counting them where need be."""
    return parameters_if_counted(architecture) or count_parameters(architecture)


def count_parameters(architecture: str) -> int:
    """Build an architecture with timm's own classifier head and count; the meta device allocates no memory."""
    with torch.device("meta"):
        model = timm.create_model(architecture, pretrained=False)
    return sum(parameter.numel() for parameter in model.parameters())
