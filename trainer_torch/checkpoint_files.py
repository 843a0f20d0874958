"""Checkpoint folders on disk: safetensors with JSON in their metadata, so that loading one can run no code."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

WEIGHTS_FILE = "weights.safetensors"
TRAINING_STATE_FILE = "training_state.safetensors"
METADATA_KEY = "visionmesh"


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint in memory, its tensors copied: the training may go on while it is written.

    ``weights`` and ``state`` are what the two files hold, tensors and JSON.
    """

    epoch: int
    weights: tuple[Tensors, Mapping[str, Any]]
    state: tuple[Tensors, Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        epoch: int,
        weights: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]],
        state: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]],
    ) -> Snapshot:
        """Copy tensors and JSON, whatever the tensors' device and memory."""
        # Of what is no tensor too: an optimiser may go on changing a list or mapping that it gave away.
        return cls(epoch, *((_copied(tensors), copy.deepcopy(dict(content))) for tensors, content in (weights, state)))


def write_checkpoint(checkpoints: Path, snapshot: Snapshot) -> Path:
    """Write ``checkpoints/epoch-0007`` whole or not at all, and return its path.

    The files lie in a hidden folder until they are on disk; a folder left by an earlier attempt at the same
    epoch is replaced.
    """
    folder = checkpoints / f"epoch-{snapshot.epoch:04d}"
    temporary = checkpoints / f".{folder.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    _write(temporary / WEIGHTS_FILE, *snapshot.weights)
    _write(temporary / TRAINING_STATE_FILE, *snapshot.state)
    _sync(temporary)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    _sync(checkpoints)
    return folder


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read the tensors of one of the files, on the CPU, and the JSON beside them.

    Raises FileNotFoundError when there is no file, and SafetensorError when it is none of this mesh.
    """
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = file.metadata() or {}
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    if METADATA_KEY not in metadata:
        raise SafetensorError(f"{path.name} has no metadata named {METADATA_KEY}: it is no checkpoint of this mesh.")
    try:
        content = json.loads(metadata[METADATA_KEY])
    except ValueError as error:
        raise SafetensorError(f"{path.name} is not described as it should be: {error}.") from error
    if not isinstance(content, dict):
        raise SafetensorError(f"{path.name} is not described as it should be: {METADATA_KEY} is no JSON object.")
    return tensors, content


def _copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    # Also because safetensors refuses tensors that share memory or are not contiguous.
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _write(path: Path, tensors: Tensors, content: Mapping[str, Any]) -> None:
    save_file(dict(tensors), path, metadata={METADATA_KEY: json.dumps(content)})
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
