"""Predicting with a checkpoint: objects, masks, poses, rotated boxes or classes, as ultralytics' own predictors do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError

from trainer.adapter import Export, ExportFailed, Prediction, PredictOptions
from trainer_torch.classes import most_probable
from trainer_torch.threads import compute_on
from trainer_yolo.candidates import MOST_DETECTIONS, Choose, by_transformer, end_to_end, suppressed
from trainer_yolo.checkpoint import ModelDescription, load_model
from trainer_yolo.definitions import definitions
from trainer_yolo.framing import Framed, Framing, cropped, letterboxed
from trainer_yolo.models import largest_stride
from trainer_yolo.names import CLASSIFICATION, ORIENTED, POSE, SEGMENTATION
from trainer_yolo.objects import Describe, oriented, posed, segmented, upright
from trainer_yolo.sizes import LARGEST

# From images (uint8, (N, 3, H, W), RGB, on the CPU) to what the head says of them: probabilities, (N, classes), or
# predictions of objects, as ``candidates`` has them, and for segmentation prototypes, (N, channels, h, w).
Compute = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]

# No prediction asks for more images at once: the setting of the server decides.
_ANY_BATCH = 1 << 20


@dataclass(frozen=True)
class Served:
    """What a model is, and what comes before and after it whatever computes it."""

    description: ModelDescription
    frame: Framing
    answer: Callable[[tuple[torch.Tensor, ...], Framed, PredictOptions], Prediction]


class YoloPredictor:
    """A model that something computes."""

    batch_size = _ANY_BATCH

    def __init__(self, served: Served, compute: Compute, *, runtime: str, memory_bytes: int) -> None:
        self.served = served
        self.task_type = served.description.task_type
        self.model_name = served.description.model_name
        self.class_names = served.description.class_names
        self.runtime = runtime
        self.memory_bytes = memory_bytes
        self.compute = compute

    def prepare(self, image: Image.Image) -> Framed:
        """Return the image as the model takes it, with what turns its answer into pixels of the image."""
        compute_on(1)
        return self.served.frame(image)

    def predict_batch(self, inputs: Sequence[Framed], options: Sequence[PredictOptions]) -> list[Prediction]:
        """Answer each image by its own options; those of one shape are computed together."""
        answers: dict[int, Prediction] = {}
        with torch.inference_mode():
            for places in _of_one_shape(inputs):
                computed = self.compute(torch.stack([inputs[place].pixels for place in places]))
                for row, place in enumerate(places):
                    of_the_image = tuple(part[row : row + 1] for part in computed)
                    answers[place] = self.served.answer(of_the_image, inputs[place], options[place])
        return [answers[place] for place in range(len(inputs))]

    def export(self, runtime: str) -> Export | None:
        """None: only what torch computes can be exported."""
        return None


class TorchPredictor(YoloPredictor):
    """A checkpoint computed by torch; ``memory_bytes`` counts its parameters and buffers.

    Raises FileNotFoundError when the folder holds no weights, and SafetensorError when they are not of this trainer.
    """

    def __init__(self, checkpoint_folder: Path, threads: int) -> None:
        self._threads = max(1, threads)
        compute_on(1)  # the thread that loads is not the one that predicts
        description, model = load_model(checkpoint_folder)
        _check(description, model)
        # As ultralytics predicts: normalisation becomes part of the convolutions, and of two heads one stays.
        model.fuse(verbose=False)  # type: ignore[operator]
        self.model = model
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        served = _served(description, model)
        model.to(self.device)
        super().__init__(
            served,
            # A method of its own would keep it alive.
            partial(_run, model, self.device, self._threads, description.task_type),
            runtime="torch",
            memory_bytes=_bytes([*model.parameters(), *model.buffers()]),
        )

    def export(self, runtime: str) -> Export | None:
        """Return the export to ONNX Runtime; with ``auto`` only where torch has no GPU.

        None for transformers: which of their queries they keep is not the same from runtime to runtime. Raises
        ExportFailed when ONNX Runtime is not installed.
        """
        if _is_transformer(self.served.description) or (runtime == "auto" and self.device.type != "cpu"):
            return None
        try:
            from trainer_yolo.onnx_export import OnnxExport
        except ImportError as error:
            raise ExportFailed(f"{error.name} is not installed") from error
        return OnnxExport(self, self._threads)


def _run(
    model: torch.nn.Module, device: torch.device, threads: int, task_type: str, images: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    compute_on(threads)
    with torch.inference_mode():
        return outputs(model(scaled(images.to(device))), task_type)


def scaled(images: torch.Tensor) -> torch.Tensor:
    """Pixels, uint8, as numbers in [0, 1], float32."""
    return images.float().div_(255)


def outputs(said: Any, task_type: str) -> tuple[torch.Tensor, ...]:
    """Of all that a model returns in evaluation mode what ``Compute`` does."""
    predictions = said[0]
    if task_type == SEGMENTATION:
        return tuple(predictions)[:2]
    return (predictions,)


def _served(description: ModelDescription, model: torch.nn.Module) -> Served:
    names = description.class_names
    if description.task_type == CLASSIFICATION:
        return Served(
            description,
            cropped(description.image_size),
            lambda parts, _, options: most_probable(parts[0][0], names, options),
        )
    choose, describe = _choice(description, model), _description(description)

    def answer(parts: tuple[torch.Tensor, ...], framed: Framed, options: PredictOptions) -> Prediction:
        rows = choose(parts[0], framed.shape, options)
        prototypes = parts[1][0] if len(parts) > 1 else None
        return Prediction(detections=tuple(describe(rows, prototypes, framed, options)))

    stretched = _is_transformer(description)
    return Served(description, letterboxed(description.image_size, largest_stride(model), stretched=stretched), answer)


def _choice(description: ModelDescription, model: torch.nn.Module) -> Choose:
    """How objects are chosen among what the head says. Takes the choice from a head that makes it itself."""
    names = description.class_names
    if _is_transformer(description):
        return by_transformer(names)
    head: Any = model.model[-1]  # type: ignore[index]
    if not head.end2end:
        return suppressed(names, rotated=description.task_type == ORIENTED)
    # It keeps what an image could ask for at most; what comes first does not depend on how many come after.
    head.max_det = MOST_DETECTIONS
    select = head.postprocess
    head.postprocess = _everything
    return end_to_end(names, select)


def _description(description: ModelDescription) -> Describe:
    names, points = description.class_names, description.keypoints
    if description.task_type == POSE and points is not None:
        return posed(names, points.points, points.values)
    return {SEGMENTATION: segmented, ORIENTED: oriented}.get(description.task_type, upright)(names)


def _everything(predictions: torch.Tensor) -> torch.Tensor:
    """What a head says, unchanged."""
    return predictions


def _is_transformer(description: ModelDescription) -> bool:
    return definitions()[description.model_name].is_rtdetr


def _check(description: ModelDescription, model: torch.nn.Module) -> None:
    """Raise SafetensorError for a description that contradicts its model, whatever its weights."""
    name, size = description.model_name, description.image_size
    task_type = definitions()[name].task_type
    if description.task_type != task_type:
        raise SafetensorError(f"The checkpoint is described as {description.task_type}, and {name} does {task_type}.")
    if not all(isinstance(label, str) for label in description.class_names):
        raise SafetensorError("The checkpoint is described with classes whose names are no text.")
    stride = largest_stride(model)
    if type(size) is not int or not stride <= size <= LARGEST or size % stride:
        raise SafetensorError(f"The checkpoint is described as of {size!r} pixels, which {name} does not take.")
    if task_type == POSE and description.keypoints is None:
        raise SafetensorError("The checkpoint is described as a pose without keypoints.")


def _of_one_shape(inputs: Sequence[Framed]) -> Iterable[list[int]]:
    """Places of inputs whose pixels can be stacked."""
    places: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, framed in enumerate(inputs):
        places[framed.shape].append(place)
    return places.values()


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
