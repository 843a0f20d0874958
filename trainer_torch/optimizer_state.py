"""An optimiser's state as tensors and JSON.

Tensors are named ``state.<parameter>.<name>``, or ``group.<index>.<name>`` for what an optimiser keeps once for a group
of parameters (LAMB its step). All else is JSON: ``param_groups`` as torch gives them, without those tensors, and
``scalars`` (parameter → name → value).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]


def split_state(state: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    """Part what ``optimizer.state_dict()`` returns into tensors and JSON."""
    tensors: Tensors = {}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, values in state["state"].items():
        scalars[str(parameter)] = _take_tensors(values, f"state.{parameter}", tensors)
    groups = [_take_tensors(group, f"group.{index}", tensors) for index, group in enumerate(state["param_groups"])]
    return tensors, {"param_groups": groups, "scalars": scalars}


def join_state(tensors: Tensors, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``split_state`` was given, for ``optimizer.load_state_dict``."""
    state = {int(parameter): dict(values) for parameter, values in content["scalars"].items()}
    groups = [dict(group) for group in content["param_groups"]]
    for key, tensor in tensors.items():
        kind, index, name = key.split(".", 2)
        owner = state if kind == "state" else groups
        owner[int(index)][name] = tensor
    return {"state": state, "param_groups": groups}


def _take_tensors(values: Mapping[str, Any], prefix: str, tensors: Tensors) -> dict[str, Any]:
    """Add the tensors among ``values`` to ``tensors`` and return the rest."""
    rest: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{prefix}.{name}"] = value
        else:
            rest[name] = value
    return rest
