"""Whether there are published weights: in a folder that the operator of a trainer keeps, as safetensors alone."""

from __future__ import annotations

from pathlib import Path

from trainer.adapter import PretrainedUnavailable

SUFFIX = ".safetensors"
# What ultralytics publishes: it runs code when it is loaded.
PICKLE = ".pt"
ADVICE = "Train with pretrained set to false, or with a checkpoint of an earlier job to start from."


def weights_file(model_name: str, folder: Path | None) -> Path | None:
    """Return the file for a model in ``folder``, or None when there is none or no folder."""
    if folder is None or Path(model_name).name != model_name:
        return None
    file = folder / f"{model_name}{SUFFIX}"
    return file if file.is_file() else None


def check_pretrained(model_name: str, folder: Path | None) -> None:
    """Raise PretrainedUnavailable at once when there are no weights. There is no hub to ask: it has pickles alone."""
    if weights_file(model_name, folder) is not None:
        return
    if folder is not None and (folder / f"{model_name}{PICKLE}").is_file():
        raise PretrainedUnavailable(
            f"{model_name}{PICKLE} in the folder of pretrained weights is a pickle, which is never loaded: it could "
            f"run code. Convert it to {model_name}{SUFFIX}. {ADVICE}"
        )
    where = f"the folder of pretrained weights has no {model_name}{SUFFIX}" if folder else "no folder of them is set"
    raise PretrainedUnavailable(
        f"There are no pretrained weights of {model_name}: ultralytics publishes pickles, which are never fetched or "
        f"loaded, and {where}. {ADVICE}"
    )
