"""The adapter protocol: all that a framework has to provide to join the mesh.

An adapter knows its framework and nothing of gRPC, databases or object stores. The shared kit calls it
in two places: in the trainer server (catalogue, schema, prediction) and in the training process
(``train``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from annotations.model import Box, RunLengthMask

ConfigValue = str | int | float | bool | list[float] | None


class FieldType(Enum):
    """Kinds of configuration field; the names equal those of ``ConfigFieldType`` in the protos."""

    SELECT = "SELECT"
    NUMBER = "NUMBER"
    INTEGER = "INTEGER"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"
    NUMBER_LIST = "NUMBER_LIST"


@dataclass(frozen=True)
class ModelInfo:
    """One model of the catalogue. ``parameters`` is 0 until counted, which ``get_model`` always does."""

    name: str
    task_types: tuple[str, ...]
    parameters: int
    default_image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    pretrained_tags: tuple[str, ...]
    description: str
    license: str


@dataclass(frozen=True)
class ConfigOption:
    """One choice of a SELECT field."""

    value: str
    label: str
    description: str = ""


@dataclass(frozen=True)
class Condition:
    """Shows a field only when the field named ``field`` equals one of ``values``."""

    field: str
    values: tuple[ConfigValue, ...]


@dataclass(frozen=True)
class ConfigField:
    """One setting of ``advanced_config``; ``name`` is dotted (``optimizer.weight_decay``)."""

    name: str
    type: FieldType
    label: str
    description: str
    default: ConfigValue
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    options: tuple[ConfigOption, ...] = ()
    condition: Condition | None = None
    group: str = ""
    advanced: bool = False


@dataclass(frozen=True)
class Preset:
    """A complete configuration for a purpose; ``config`` maps every dotted field name to a value."""

    name: str
    label: str
    description: str
    config: Mapping[str, ConfigValue]


@dataclass(frozen=True)
class ConfigSchema:
    """The fields and presets of one task type."""

    fields: tuple[ConfigField, ...]
    presets: tuple[Preset, ...]


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a request: the field's path and a sentence that says what to do."""

    field: str
    description: str


@dataclass(frozen=True)
class JobDraft:
    """What is known of a job when its configuration is checked; "" and 0 stand for what is not known."""

    model_name: str = ""
    epochs: int = 0
    batch_size: int = 0
    image_size: int = 0  # pixels; 0: the model's default
    num_classes: int = 0
    learning_rate: float = 0.0


class PretrainedUnavailable(Exception):
    """Pretrained weights were asked for and cannot be had; the text says why and what to do."""


class BadTrainingData(Exception):
    """The dataset cannot be trained on; the text says why."""


class TrainingDiverged(Exception):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Sample:
    """One labelled image: ``path`` relative to the dataset root, ``label_id`` into ``class_names``."""

    path: str
    split: str
    label_id: int


@dataclass(frozen=True)
class TrainingDataset:
    """A dataset on local disk. Splits are ``train``, ``val`` and ``test``.

    For classification ``samples`` say each image's label. For all else there are none, and ``annotations`` is the
    document that says what is on each image (``annotations.document`` reads it; ids of categories are places in
    ``class_names``).
    """

    root: Path
    class_names: tuple[str, ...]
    samples: tuple[Sample, ...]
    annotations: Path | None = None

    def split(self, name: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == name]


@dataclass(frozen=True)
class TrainingSpec:
    """What to train. ``config`` is complete: every dotted field of the schema has a value."""

    job_id: str
    run_id: str
    model_name: str
    task_type: str
    epochs: int
    batch_size: int
    learning_rate: float
    image_size: int
    pretrained: bool
    seed: int
    config: Mapping[str, ConfigValue]
    primary_metric: str
    primary_metric_mode: str  # "max" or "min"
    threads: int
    resume_from: Path | None = None  # folder with weights.safetensors and training_state.safetensors
    # A warm start: a folder with the weights.safetensors of the same model and task, maybe of other classes. They take
    # the place of published weights, whatever ``pretrained`` says; the training begins at epoch 1 all the same.
    initial_weights: Path | None = None


class TrainingReporter(Protocol):
    """Where a training tells what it does. Calls are cheap and durable before they return.

    ``should_stop`` is asked once per batch; when it answers True, ``train`` returns False at once,
    leaving the last whole epoch's checkpoint as the point to resume from.

    ``validation`` takes ``per_class``, ``confusion_matrix``, ``metrics``, ``images`` and ``class_names``, each where
    the task has it; ``trainer.runs.reporter`` says what they hold. It comes before the ``checkpoint`` of the epoch,
    which keeps its images: those of the best and of the last checkpoint of a job are served.
    """

    def began(self, total_epochs: int, start_epoch: int, steps_per_epoch: int, device: str) -> None: ...
    def progress(self, epoch: int, step: int, steps: int, loss: float, samples_per_second: float) -> None: ...
    def metrics(
        self,
        epoch: int,
        step: int,
        loss: float | None,
        accuracy: float | None,
        learning_rate: float | None,
        extra: Mapping[str, float],
    ) -> None: ...
    def validation(self, epoch: int, summary: Mapping[str, object]) -> None: ...
    def checkpoint(self, epoch: int, folder: Path, is_best: bool, metrics: Mapping[str, float]) -> None: ...
    def log(self, level: str, message: str) -> None: ...
    def should_stop(self) -> bool: ...


@dataclass(frozen=True)
class PredictOptions:
    """Thresholds are in [0, 1]; at most ``top_k`` classes or ``max_detections`` objects are answered.

    ``labels`` are the class names that may be answered, None for all; ``run_length_masks`` asks for masks as such in
    place of polygons.
    """

    confidence_threshold: float = 0.0
    top_k: int = 5
    iou_threshold: float = 0.7
    max_detections: int = 300
    labels: frozenset[str] | None = None
    run_length_masks: bool = False

    def allows(self, label: str) -> bool:
        """Whether a class may be answered."""
        return self.labels is None or label in self.labels


@dataclass(frozen=True)
class Classification:
    """One class of one image, ``confidence`` in [0, 1]."""

    label: str
    label_id: int
    confidence: float


@dataclass(frozen=True)
class DetectedKeypoint:
    """A point in pixels of the upright image, and how sure the model is that it is visible, in [0, 1]."""

    x: float
    y: float
    confidence: float


@dataclass(frozen=True)
class DetectedRotatedBox:
    """A rotated box in pixels of the upright image; ``angle`` in radians, clockwise; ``corners`` x, y, … clockwise."""

    center_x: float
    center_y: float
    width: float
    height: float
    angle: float
    corners: tuple[float, ...]


@dataclass(frozen=True)
class Detection:
    """One object, in pixels of the upright image.

    ``polygons`` (each x, y, x, y, …) or ``mask`` outline it for segmentation, ``keypoints`` are its pose, and
    ``rotated_box`` is there for oriented detection.
    """

    label: str
    label_id: int
    confidence: float
    box: Box
    polygons: tuple[tuple[float, ...], ...] = ()
    mask: RunLengthMask | None = None
    keypoints: tuple[DetectedKeypoint, ...] = ()
    rotated_box: DetectedRotatedBox | None = None


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image, most confident first: classes for classification, else objects."""

    classifications: tuple[Classification, ...] = ()
    detections: tuple[Detection, ...] = ()


class ExportFailed(Exception):
    """A model cannot be served by another runtime; the text says why. Its framework goes on predicting."""


class Export(Protocol):
    """A model in the format of another runtime: written once per checkpoint, kept on disk, loaded from there."""

    key: str  # of the format and every version that shapes the files: under another key they are written anew

    def write(self, folder: Path) -> None:
        """Fill an empty folder with files that were checked to predict the same. Raises ExportFailed."""
        ...

    def load(self, folder: Path) -> Predictor:
        """Load what ``write`` left; its ``predict_batch`` takes the same inputs. Raises ExportFailed."""
        ...


class Predictor(Protocol):
    """A loaded checkpoint.

    ``prepare`` is called from several threads at once, one call an image; ``predict_batch`` from one thread at a
    time, with up to ``batch_size`` images that were prepared (1: one at a time, which any framework can do).
    ``memory_bytes`` counts what the model holds, and may change. ``runtime`` says what computes, for example torch.
    """

    task_type: str
    model_name: str
    class_names: tuple[str, ...]
    memory_bytes: int
    batch_size: int
    runtime: str

    def prepare(self, image: Image.Image) -> Any:
        """Do for one image what comes before the model: convert, resize, normalise.

        Whatever this returns is given to ``predict_batch``, so it also carries what the answer of this image needs
        later, for example the size and offsets of a letterbox, to turn boxes back into pixels of the image.
        """
        ...

    def predict_batch(self, inputs: Sequence[Any], options: Sequence[PredictOptions]) -> Sequence[Prediction]:
        """Answer each input by its own options, in order. When this raises, each input is tried alone."""
        ...

    def export(self, runtime: str) -> Export | None:
        """Return the model for a faster runtime, or None when there is none.

        ``runtime`` names one, or is ``auto``: then the answer is None unless it pays. Raises ExportFailed when the
        runtime is not installed.
        """
        return None


class Adapter(Protocol):
    """A framework. Constructing one must be cheap; heavy imports wait for the first call that needs them.

    It is constructed with one argument: the folder where the operator keeps pretrained weights, or None.
    """

    framework: str

    def versions(self) -> Mapping[str, str]: ...
    def task_types(self) -> Sequence[str]: ...
    def list_models(self) -> Sequence[ModelInfo]: ...
    def get_model(self, name: str) -> ModelInfo:
        """Return one model with its parameter count. Raises KeyError when there is no such model."""
        ...

    def config_schema(self, task_type: str) -> ConfigSchema: ...
    def primary_metrics(self, task_type: str) -> Mapping[str, str]:
        """Metrics that can decide which checkpoint is best, with "max" or "min"; the first is the default."""
        ...

    def check_pretrained(self, model_name: str) -> None:
        """Raise PretrainedUnavailable within seconds when the weights can be had neither locally nor from a hub."""
        ...

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        """Train; return True when all epochs are done, or those that early stopping found worth it, and False when
        asked to stop."""
        ...

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> Predictor:
        """Load the weights of a checkpoint folder, to compute on a number of threads."""
        ...


@runtime_checkable
class ChecksJobs(Protocol):
    """What an adapter may have besides: a say in how settings go together, and with the job."""

    def check_job(self, task_type: str, job: JobDraft, config: Mapping[str, ConfigValue]) -> Sequence[Violation]:
        """Return what cannot work. ``config`` is complete and each of its values is valid by itself.

        Fields are named as the job has them: ``image_size``, ``advanced_config.scheduler.warmup_epochs``.
        """
        ...


@runtime_checkable
class PreloadsTraining(Protocol):
    """What an adapter may have besides: what its trainings need to have imported, so that they begin at once."""

    def preload_training(self) -> None:
        """Import whatever ``train`` imports, early or late.

        Called once in a process from which trainings are forked. So it may do nothing that a fork does not survive:
        no thread, no computation on several threads, no open connection, and nothing that touches an accelerator.
        """
        ...
