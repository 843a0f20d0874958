"""A framework for tests: its training counts, with plain Python, and ends the way its configuration says."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.adapter import (
    BadTrainingData,
    ConfigField,
    ConfigSchema,
    FieldType,
    ModelInfo,
    Predictor,
    PretrainedUnavailable,
    TrainingDataset,
    TrainingDiverged,
    TrainingReporter,
    TrainingSpec,
)

STEPS = ConfigField("count.steps", FieldType.INTEGER, "Steps", "Batches of an epoch.", default=3)
STEP_SECONDS = ConfigField("count.step_seconds", FieldType.NUMBER, "Pause", "Seconds of a batch.", default=0.01)
ACCURACIES = ConfigField("count.accuracies", FieldType.NUMBER_LIST, "Accuracies", "Of each epoch.", default=[])
ENDING = ConfigField("count.ending", FieldType.TEXT, "Ending", "What happens after the last epoch.", default="")
DEFAULTS = {field.name: field.default for field in (STEPS, STEP_SECONDS, ACCURACIES, ENDING)}

_ERRORS: dict[str, Exception] = {
    "raise": RuntimeError("the abacus is broken"),
    "diverge": TrainingDiverged("the count became NaN"),
    "bad data": BadTrainingData("nothing can be counted"),
    "no weights": PretrainedUnavailable("nobody counted before"),
}


class CountingAdapter:
    """An ``Adapter`` without a model."""

    framework = "counting"

    def __init__(self, pretrained_folder: Path | None = None) -> None:
        self._pretrained_folder = pretrained_folder

    def versions(self) -> Mapping[str, str]:
        return {"counting": "1"}

    def task_types(self) -> Sequence[str]:
        return ["IMAGE_CLASSIFICATION"]

    def list_models(self) -> Sequence[ModelInfo]:
        return [self.get_model("abacus")]

    def get_model(self, name: str) -> ModelInfo:
        return ModelInfo(name, ("IMAGE_CLASSIFICATION",), 1, 8, (0.0,), (1.0,), "nearest", (), "", "")

    def config_schema(self, task_type: str) -> ConfigSchema:
        return ConfigSchema((STEPS, STEP_SECONDS, ACCURACIES, ENDING), ())

    def primary_metrics(self, task_type: str) -> Mapping[str, str]:
        return {"accuracy": "max"}

    def check_pretrained(self, model_name: str) -> None:
        return

    def load_predictor(self, checkpoint_folder: Path, threads: int) -> Predictor:
        raise ValueError("what counts does not predict")

    def train(self, spec: TrainingSpec, dataset: TrainingDataset, run_folder: Path, reporter: TrainingReporter) -> bool:
        steps, ending = spec.config["count.steps"], spec.config["count.ending"]
        pause, accuracies = spec.config["count.step_seconds"], spec.config["count.accuracies"]
        assert isinstance(steps, int) and isinstance(pause, float) and isinstance(accuracies, list)
        secrets = sorted(name for name in os.environ if "TOKEN" in name or name.startswith("VISIONMESH"))
        print(f"secrets: {secrets}; images: {len(dataset.samples)}; threads: {os.environ['OMP_NUM_THREADS']}")
        print("a warning", file=sys.stderr)
        done = 0
        if spec.resume_from is not None:
            done = int(json.loads((spec.resume_from / "weights.safetensors").read_bytes())["epoch"])
        if self._pretrained_folder is not None:
            reporter.log("info", f"pretrained weights lie in {self._pretrained_folder}")
        if spec.initial_weights is not None:
            names = sorted(path.name for path in spec.initial_weights.iterdir())
            known = json.loads((spec.initial_weights / "weights.safetensors").read_bytes())
            reporter.log("info", f"starting with the weights of epoch {known['epoch']}; files: {names}")
        reporter.began(spec.epochs, done + 1, steps, "cpu")
        for epoch in range(done + 1, spec.epochs + 1):
            for step in range(1, steps + 1):
                if reporter.should_stop() and ending != "deaf":
                    return False
                time.sleep(pause)
                reporter.progress(epoch, step, steps, 1 / epoch, 1 / max(pause, 1e-3))
            accuracy = accuracies[epoch - 1] if epoch <= len(accuracies) else epoch / spec.epochs
            self._tell_epoch(spec, dataset, epoch, steps, accuracy, run_folder, reporter)
        if ending in _ERRORS:
            raise _ERRORS[str(ending)]
        _end(str(ending))
        return True

    def _tell_epoch(
        self,
        spec: TrainingSpec,
        dataset: TrainingDataset,
        epoch: int,
        steps: int,
        accuracy: float,
        run_folder: Path,
        reporter: TrainingReporter,
    ) -> None:
        reporter.metrics(epoch, epoch * steps, 1 / epoch, accuracy, spec.learning_rate, {"nan": float("nan")})
        scores = {"precision": accuracy, "recall": accuracy, "f1": accuracy, "support": 1}
        summary = {
            "per_class": [{"label_id": 0, **scores}, {"label": "dog", **scores}],
            "confusion_matrix": [[1, 0], [0, 1]],
            "metrics": {"accuracy": accuracy},
            "images": [
                {"path": sample.path, "label_id": sample.label_id, "predictions": [(1, accuracy)], "loss": 1 / epoch}
                for sample in dataset.split("val")
            ],
        }
        reporter.validation(epoch, summary)
        reporter.log("info", f"epoch {epoch}\nis done")
        folder = run_folder / "checkpoints" / f"epoch-{epoch}"
        folder.mkdir(parents=True)
        names = () if spec.config["count.ending"] == "empty checkpoint" else ("weights", "training_state")
        for name in (f"{name}.safetensors" for name in names):
            (folder / name).write_text(json.dumps({"epoch": epoch, "name": name}))
        reporter.checkpoint(epoch, folder, False, {"accuracy": accuracy})


def _end(ending: str) -> None:
    """Ways to end, or not to, that no exception tells of."""
    match ending:
        case "exit":
            os._exit(3)
        case "crash":
            ctypes.string_at(0)
        case "no memory for a library":  # what the C++ library says before it aborts
            os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.abort()
        case "hoard":  # 1 GiB, where a limit of memory has been set
            hoard = [bytearray(16 << 20) for _ in range(64)]
            print(f"there was room for {len(hoard)} blocks")
        case "hang":
            _wait_for_what_never_comes()


def _wait_for_what_never_comes() -> None:
    time.sleep(600)
