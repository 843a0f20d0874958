"""Constructing a framework's adapter, the same in the trainer server and in its training processes."""

from __future__ import annotations

import importlib
from pathlib import Path

from trainer.adapter import Adapter


def load_adapter(path: str, pretrained_folder: Path | None) -> Adapter:
    """Construct the adapter at ``package.module:Class``, telling it where the operator keeps pretrained weights."""
    module, _, name = path.partition(":")
    adapter: Adapter = getattr(importlib.import_module(module), name)(pretrained_folder)
    return adapter
