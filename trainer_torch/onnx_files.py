"""Models in ONNX, computed by ONNX Runtime: faster than torch on a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from trainer.adapter import ExportFailed
from trainer_torch.threads import compute_on

MODEL_FILE = "model.onnx"
RUNTIME = "onnxruntime"

# The name of a model's one input, whose first axis is the batch.
IMAGES = "images"

# Has scaled dot product attention and everything else that models here use, and has been supported for years.
_OPSET = 17


def write_model(
    path: Path, model: torch.nn.Module, images: torch.Tensor, axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Export a model that is free to be changed; ``axes`` names its outputs, and of all axes those of any length.

    Raises ExportFailed.
    """
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of tracing, about what a comparison shows
            # By tracing, which takes about a second; torch's newer exporter takes ten times as long.
            torch.onnx.export(
                model,
                (images,),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=[IMAGES],
                output_names=[name for name in axes if name != IMAGES],
                dynamic_axes={name: dict(of_any_length) for name, of_any_length in axes.items()},
            )
        onnx.checker.check_model(str(path))
    except Exception as error:  # an exporter meets every kind of model, and raises nearly anything
        raise ExportFailed(f"torch cannot export it: {first_line(error)}") from error


class OnnxModel:
    """A session on a file."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises ExportFailed."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the processors from those that prepare images, and from trainings.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no base of their own
            raise ExportFailed(f"ONNX Runtime cannot load it: {first_line(error)}") from error
        # The session's weights are those of the file, which holds little else.
        self.memory_bytes = path.stat().st_size

    def __call__(self, images: torch.Tensor) -> Sequence[torch.Tensor]:
        """All outputs, in order. What it raises has no base of its own."""
        compute_on(1)
        return [torch.from_numpy(output) for output in self._session.run(None, {IMAGES: images.numpy()})]


def export_key(form: str, versions: Mapping[str, str]) -> str:
    """The key of files of a form (which changes when those written before must not be used) by the libraries given."""
    return " ".join([form, *(f"{name}={version}" for name, version in sorted(versions.items()))])


def first_line(error: Exception) -> str:
    """What an error says, without what it says at length."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
