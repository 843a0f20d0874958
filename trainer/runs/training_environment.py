"""The environment of training processes."""

from __future__ import annotations

import os
from pathlib import Path

import trainer
from trainer.runs.devices import VISIBLE_DEVICES

# The modules of the checkout are found by path, so that the process can work in its own folder.
CHECKOUT = Path(trainer.__file__).resolve().parents[1]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "ACCESS_KEY", "API_KEY", "DATABASE_URL")
_SERVICE_PREFIXES = ("VISIONMESH_", "AWS_")


def training_environment(threads: int, device: str = "") -> dict[str, str]:
    """This process's environment without secrets, and with the modules, threads and GPU of a training."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_SERVICE_PREFIXES) and not any(word in name.upper() for word in _SECRET_WORDS)
    }
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (str(CHECKOUT), kept.get("PYTHONPATH", "")) if part)
    kept["PYTHONUNBUFFERED"] = "1"
    if device:
        kept[VISIBLE_DEVICES] = device
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads))
