"""The GPUs of this machine, found without torch, which takes seconds to import."""

from __future__ import annotations

import os
import subprocess

import structlog

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
_QUERY = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
_QUERY_SECONDS = 30.0

logger = structlog.get_logger()


def visible_gpus() -> tuple[str, ...]:
    """What each GPU that this process may use is called in ``CUDA_VISIBLE_DEVICES``; empty where there is none.

    Those that the variable names already, in its order, or those that the driver's own tool lists. The tool's names are
    UUIDs: numbers would count in another order in CUDA than in the driver.
    """
    named = os.environ.get(VISIBLE_DEVICES)
    if named is not None:
        return _named(named)
    try:
        listed = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False)
    except FileNotFoundError:
        return ()  # no driver, so no GPU
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("GPUs cannot be counted; set VISIONMESH_SLOTS and CUDA_VISIBLE_DEVICES", error=str(error))
        return ()
    if listed.returncode:
        # A driver without a GPU says so here too.
        logger.warning("no GPU was found", said=(listed.stdout + listed.stderr).strip()[:500])
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip())


def _named(variable: str) -> tuple[str, ...]:
    """The devices of a value of ``CUDA_VISIBLE_DEVICES``: CUDA sees those before the first that is none."""
    found: list[str] = []
    for name in (part.strip() for part in variable.split(",")):
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        found.append(name)
    return tuple(found)
