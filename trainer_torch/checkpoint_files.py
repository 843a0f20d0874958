"""Checkpoint folders on disk: safetensors with JSON in their metadata, so that loading one can run no code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

WEIGHTS_FILE = "weights.safetensors"
TRAINING_STATE_FILE = "training_state.safetensors"
METADATA_KEY = "visionmesh"


def write_folder(checkpoints: Path, epoch: int, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill ``checkpoints/epoch-0007``, which appears whole or not at all, and return its path.

    The files lie in a hidden folder until they are on disk; a folder left by an earlier attempt at the same
    epoch is replaced.
    """
    folder = checkpoints / f"epoch-{epoch:04d}"
    temporary = checkpoints / f".{folder.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    _sync(temporary)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    _sync(checkpoints)
    return folder


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Write tensors, whatever their device and memory, and a JSON object beside them; on disk on return."""
    write_copies(path, copied(tensors), content)


def copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Copies on the CPU, each with memory of its own: safetensors refuses what is shared or not contiguous."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def write_copies(path: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Write what ``copied`` made, and a JSON object beside it; on disk on return."""
    save_file(dict(tensors), path, metadata={METADATA_KEY: json.dumps(content)})
    _sync(path)


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what ``write_tensors`` wrote, on the CPU.

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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
