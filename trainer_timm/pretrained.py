"""Whether pretrained weights can be had, answered in seconds instead of after a hub client's many retries."""

from __future__ import annotations

import os
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from timm.models import get_pretrained_cfg

from trainer.adapter import PretrainedUnavailable
from trainer_timm.pretrained_folder import folder_weights

CONNECT_TIMEOUT_SECONDS = 3.0
TOTAL_TIMEOUT_SECONDS = 6.0

# The names timm looks for in a hub repository, in its order.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_ADVICE = "Train with pretrained set to false, or make the weights available to the trainer first."


def pretrained_config(model_name: str) -> Any | None:
    """Return timm's pretrained configuration, or None when it has none or there is no such tag."""
    try:
        return get_pretrained_cfg(model_name)
    except RuntimeError:  # timm's word for a tag that the architecture lacks
        return None


def local_weights(model_name: str) -> Path | None:
    """Return the weights' file in the local hub cache, or None when it is not there."""
    config = pretrained_config(model_name)
    if config is None or not config.hf_hub_id:
        return None
    repository, revision = _repository(config)
    for filename in _HUB_FILES:
        found = try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def check_pretrained(model_name: str, folder: Path | None = None) -> None:
    """Raise PretrainedUnavailable when the weights are neither in ``folder``, nor cached, nor on a reachable server.

    Answers within ``TOTAL_TIMEOUT_SECONDS``; nothing is downloaded. A tag as in ``resnet18.a1_in1k`` asks for
    those weights, a bare architecture for timm's default ones.
    """
    if folder_weights(model_name, folder) is not None:
        return
    config = pretrained_config(model_name)
    if config is None or not config.has_weights:
        raise PretrainedUnavailable(f"timm has no pretrained weights for {model_name}. {_ADVICE}")
    if local_weights(model_name) is not None or _is_downloaded(config):
        return
    if config.hf_hub_id and constants.is_offline_mode():
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} ({config.hf_hub_id}) are not in the local cache, and "
            f"HF_HUB_OFFLINE forbids fetching them. {_ADVICE}"
        )
    _probe_with_deadline(model_name, config)


def _probe_with_deadline(model_name: str, config: Any) -> None:
    """Probe on a thread of its own: name resolution obeys no socket timeout."""
    failures: list[Exception] = []

    def probe() -> None:
        try:
            _probe(config)
        except Exception as error:  # carried to the caller's thread, where it becomes the answer
            failures.append(error)

    thread = threading.Thread(target=probe, name="pretrained-probe", daemon=True)
    thread.start()
    thread.join(TOTAL_TIMEOUT_SECONDS)
    source = config.hf_hub_id or config.url
    if thread.is_alive():
        raise PretrainedUnavailable(
            f"The server of the pretrained weights of {model_name} ({source}) did not answer within "
            f"{TOTAL_TIMEOUT_SECONDS:.0f} s. {_ADVICE}"
        )
    if failures:
        error = failures[0]
        refused = isinstance(error, EntryNotFoundError | GatedRepoError | RepositoryNotFoundError)
        reason = "need an access permission or do not exist" if refused else "cannot be reached"
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} ({source}) {reason} ({type(error).__name__}). {_ADVICE}"
        ) from error


def _probe(config: Any) -> None:
    if not config.hf_hub_id:
        request = urllib.request.Request(config.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_SECONDS):
            return
    repository, revision = _repository(config)
    first, second = (hf_hub_url(repository, filename, revision=revision) for filename in _HUB_FILES)
    try:
        get_hf_file_metadata(first, timeout=CONNECT_TIMEOUT_SECONDS)
    except EntryNotFoundError:
        get_hf_file_metadata(second, timeout=CONNECT_TIMEOUT_SECONDS)


def _repository(config: Any) -> tuple[str, str | None]:
    """Split a hub id such as ``timm/x@revision``."""
    repository, _, revision = str(config.hf_hub_id).partition("@")
    return repository, revision or None


def _is_downloaded(config: Any) -> bool:
    """Say whether torch has kept the file of the plain URL that timm fetches when there is no hub id."""
    if config.hf_hub_id:
        return False
    name = os.path.basename(urlparse(str(config.url)).path)
    return (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file()
