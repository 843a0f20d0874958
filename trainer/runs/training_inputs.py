"""What the agent prepared for the training process, as a file in the run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from trainer.adapter import ConfigSchema, ConfigValue, FieldType, Sample, TrainingDataset, TrainingSpec
from trainer.runs.files import write_whole
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import common_pb2, training_pb2


@dataclass(frozen=True)
class TrainingInputs:
    """A dataset on local disk, and the folder of the checkpoint to go on from or to take the first weights from."""

    dataset: TrainingDataset
    resume_from: Path | None = None
    initial_weights: Path | None = None

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        content = {
            "root": str(self.dataset.root),
            "class_names": self.dataset.class_names,
            "annotations": _text(self.dataset.annotations),
            "samples": [(sample.path, sample.split, sample.label_id) for sample in self.dataset.samples],
            "resume_from": _text(self.resume_from),
            "initial_weights": _text(self.initial_weights),
        }
        write_whole(path, json.dumps(content).encode())

    @classmethod
    def load(cls, path: Path) -> TrainingInputs:
        """Read what ``save`` wrote."""
        content = json.loads(path.read_bytes())
        dataset = TrainingDataset(
            root=Path(content["root"]),
            class_names=tuple(content["class_names"]),
            samples=tuple(Sample(*sample) for sample in content["samples"]),
            annotations=_path(content["annotations"]),
        )
        return cls(dataset, _path(content["resume_from"]), _path(content["initial_weights"]))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def task_name(task_type: common_pb2.TaskType) -> str:
    """The task as adapters call it, for example IMAGE_CLASSIFICATION."""
    return common_pb2.TaskType.Name(task_type).removeprefix("TASK_TYPE_")


def view_name(view: training_pb2.DatasetView) -> str:
    """How the training looks at its dataset, for example CROPS; empty: as it is."""
    if view == training_pb2.DATASET_VIEW_UNSPECIFIED:
        return ""
    return training_pb2.DatasetView.Name(view).removeprefix("DATASET_VIEW_")


def training_spec(run: run_pb2.RunSpec, schema: ConfigSchema, threads: int, inputs: TrainingInputs) -> TrainingSpec:
    """The run as adapters take it."""
    return TrainingSpec(
        job_id=run.job_id,
        run_id=run.run_id,
        model_name=run.model_name,
        task_type=task_name(run.task_type),
        epochs=run.epochs,
        batch_size=run.batch_size,
        learning_rate=run.learning_rate,
        image_size=run.image_size,
        pretrained=run.pretrained,
        seed=run.seed,
        config=_config(run, schema),
        primary_metric=run.primary_metric,
        primary_metric_mode="min" if run.primary_metric_mode == training_pb2.METRIC_MODE_MIN else "max",
        threads=threads,
        resume_from=inputs.resume_from,
        initial_weights=inputs.initial_weights,
    )


def _config(run: run_pb2.RunSpec, schema: ConfigSchema) -> dict[str, ConfigValue]:
    # JSON knows one kind of number: what the schema calls an integer becomes one again.
    integers = {field.name for field in schema.fields if field.type is FieldType.INTEGER}
    config: dict[str, ConfigValue] = {}
    for name, value in run.config.fields.items():
        match value.WhichOneof("kind"):
            case "number_value":
                config[name] = int(value.number_value) if name in integers else value.number_value
            case "string_value":
                config[name] = value.string_value
            case "bool_value":
                config[name] = value.bool_value
            case "list_value":
                config[name] = [item.number_value for item in value.list_value.values]
            case "null_value":
                config[name] = None
            case kind:
                raise ValueError(f"the configuration's {name} is a {kind}; dotted names hold plain values")
    return config
