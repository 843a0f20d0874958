"""Whether pretrained weights can be had, answered in seconds instead of after a hub client's many retries."""

from __future__ import annotations

import os
import threading
import urllib.request
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from timm.models import get_pretrained_cfg

from trainer.adapter import PretrainedUnavailable

CONNECT_TIMEOUT_SECONDS = 3.0
TOTAL_TIMEOUT_SECONDS = 6.0

# The names timm looks for in a hub repository, in its order.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_ADVICE = "Train with pretrained set to false, or make the weights available to the trainer first."


def local_weights(model_name: str) -> Path | None:
    """Return the weights' file in the local hub cache, or None when it is not there."""
    cfg = get_pretrained_cfg(model_name)
    if cfg is None or not cfg.hf_hub_id or cfg.custom_load:
        return None
    for filename in _hub_files(cfg):
        found = try_to_load_from_cache(*_repository(cfg, filename))
        if isinstance(found, str):
            return Path(found)
    return None


def check_pretrained(model_name: str) -> None:
    """Raise PretrainedUnavailable when the weights are neither in the local cache nor on a reachable server.

    Answers within ``TOTAL_TIMEOUT_SECONDS``; nothing is downloaded.
    """
    cfg = get_pretrained_cfg(model_name)
    if cfg is None or not cfg.has_weights:
        raise PretrainedUnavailable(f"timm has no pretrained weights for {model_name}. {_ADVICE}")
    if local_weights(model_name) is not None or (cfg.file and Path(cfg.file).is_file()):
        return
    if constants.HF_HUB_OFFLINE:
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} are not in the local cache, and HF_HUB_OFFLINE forbids "
            f"fetching them. {_ADVICE}"
        )
    _probe_with_deadline(model_name, cfg)


def _probe_with_deadline(model_name: str, cfg: Any) -> None:
    """Probe on a thread of its own: name resolution obeys no socket timeout."""
    failures: list[Exception] = []

    def probe() -> None:
        try:
            _probe(cfg)
        except Exception as error:  # carried to the caller's thread, where it becomes the answer
            failures.append(error)

    thread = threading.Thread(target=probe, name="pretrained-probe", daemon=True)
    thread.start()
    thread.join(TOTAL_TIMEOUT_SECONDS)
    source = cfg.hf_hub_id or cfg.url
    if thread.is_alive():
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} ({source}) did not answer within "
            f"{TOTAL_TIMEOUT_SECONDS:.0f} s. {_ADVICE}"
        )
    if failures:
        error = failures[0]
        reason = "need an access permission or do not exist" if _is_refusal(error) else "cannot be reached"
        raise PretrainedUnavailable(
            f"The pretrained weights of {model_name} ({source}) {reason} ({type(error).__name__}). {_ADVICE}"
        ) from error


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, EntryNotFoundError | GatedRepoError | RepositoryNotFoundError)


def _probe(cfg: Any) -> None:
    if not cfg.hf_hub_id:
        request = urllib.request.Request(cfg.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_SECONDS):
            return
    missing: EntryNotFoundError | None = None
    for filename in _hub_files(cfg):
        repository, name, _, revision = _repository(cfg, filename)
        try:
            get_hf_file_metadata(hf_hub_url(repository, name, revision=revision), timeout=CONNECT_TIMEOUT_SECONDS)
            return
        except EntryNotFoundError as error:
            missing = error
    if missing is not None:
        raise missing


def _hub_files(cfg: Any) -> tuple[str, ...]:
    if not cfg.hf_hub_filename:
        return _HUB_FILES
    stem = os.path.splitext(cfg.hf_hub_filename)[0]
    return tuple(dict.fromkeys((f"{stem}.safetensors", str(cfg.hf_hub_filename))))


def _repository(cfg: Any, filename: str) -> tuple[str, str, None, str | None]:
    """Return (repository, file, default cache folder, revision) of a hub id such as ``timm/x@revision``."""
    repository, _, revision = str(cfg.hf_hub_id).partition("@")
    return repository, filename, None, revision or None
