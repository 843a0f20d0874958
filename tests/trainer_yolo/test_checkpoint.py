"""A checkpoint is safetensors and JSON, loads back to the model it was written from, and what is not one is refused."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from tests.trainer_yolo.helpers import CLASS_NAMES, SIZE, TINY, Recorder, make_spec
from trainer.adapter import TrainingDataset
from trainer_timm.names import FRAMEWORK as TIMM
from trainer_torch.checkpoint_files import METADATA_KEY
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.checkpoint import load_model, load_training_state
from trainer_yolo.names import CLASSIFICATION, DETECTION, POSE, TASKS
from trainer_yolo.run_trainer import RunTrainer

DatasetOf = Callable[[str], TrainingDataset]


@pytest.fixture(scope="module")
def trained(dataset_of: DatasetOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a detector that was trained for an epoch."""
    recorder = Recorder()
    folder = tmp_path_factory.mktemp("trained")
    assert YoloAdapter().train(make_spec(epochs=1), dataset_of(DETECTION), folder, recorder)
    return recorder.checkpoints[-1][1]


def with_metadata(folder: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a checkpoint whose description was changed."""
    content = metadata(folder / "weights.safetensors")
    change(content)
    save_file(
        load_file(folder / "weights.safetensors"),
        target / "weights.safetensors",
        metadata={METADATA_KEY: json.dumps(content)},
    )
    return target


def metadata(path: Path) -> dict[str, Any]:
    """The JSON in a file."""
    with safe_open(path, framework="pt") as file:
        return dict(json.loads(file.metadata()[METADATA_KEY]))


def first(output: Any) -> torch.Tensor:
    """The predictions among what a model returns."""
    while not isinstance(output, torch.Tensor):
        output = output[0]
    return output


@pytest.mark.parametrize("task_type", TASKS)
def test_what_is_loaded_predicts_what_the_model_in_memory_did(
    task_type: str, dataset_of: DatasetOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    said: list[torch.Tensor] = []
    keep = RunTrainer.save_model

    def save_and_ask(self: RunTrainer) -> bool:
        with torch.inference_mode():
            said.append(first(self.ema.ema.eval()(images)).clone())
        return keep(self)

    monkeypatch.setattr(RunTrainer, "save_model", save_and_ask)
    recorder = Recorder()
    assert YoloAdapter().train(make_spec(task_type, epochs=1), dataset_of(task_type), tmp_path, recorder)

    description, model = load_model(recorder.checkpoints[-1][1])
    with torch.inference_mode():
        assert torch.allclose(first(model(images)), said[-1], rtol=0, atol=1e-5)
    assert description.model_name == TINY[task_type]
    assert description.task_type == task_type
    assert description.class_names == CLASS_NAMES
    assert (description.image_size, description.epoch) == (SIZE, 1)
    assert model.names == dict(enumerate(CLASS_NAMES))
    if task_type == POSE:
        assert description.keypoints is not None
        assert description.keypoints.names == ("top", "right", "bottom", "left")
        assert description.keypoints.flip_indices == (0, 3, 2, 1)
    else:
        assert description.keypoints is None


def test_no_file_of_a_checkpoint_is_a_pickle(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == ["training_state.safetensors", "weights.safetensors"]
    for path in trained.iterdir():
        with pytest.raises(pickle.UnpicklingError), path.open("rb") as file:
            pickle.load(file)
    run = trained.parents[1]
    assert not [path for path in run.rglob("*") if path.suffix in (".pt", ".pth", ".cache", ".npy")]


def test_the_training_state_is_in_full_precision(trained: Path) -> None:
    state = load_training_state(trained)
    assert state.epoch == 1 and state.updates == 3
    assert {tensor.dtype for tensor in state.weights.values()} <= {torch.float32, torch.int64}
    moments = [value for values in state.optimizer["state"].values() for value in values.values()]
    assert moments and all(torch.as_tensor(value).dtype is torch.float32 for value in moments)


def test_the_page_of_the_documentation_names_every_key(trained: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    page = page.partition("## What the YOLO trainer writes")[2].partition("\n## ")[0]
    told = {row[0]: row[-1] for row in re.findall(r"^\| `([\w.]+)` \|([^|]+)\|([^|]+)\|$", page, re.MULTILINE)}
    written = {path.name: set(metadata(path)) for path in trained.iterdir()}
    assert {name: set(re.findall(r"`(\w+)`", keys)) for name, keys in told.items()} == written


def test_a_checkpoint_of_another_trainer_is_refused(trained: Path, tmp_path: Path) -> None:
    with_metadata(trained, tmp_path, lambda content: content.update(framework=TIMM))
    with pytest.raises(SafetensorError, match="was made by timm, not by yolo"):
        load_model(tmp_path)


def test_a_model_that_is_not_defined_here_is_refused(trained: Path, tmp_path: Path) -> None:
    with_metadata(trained, tmp_path, lambda content: content.update(model_name="yolo99n"))
    with pytest.raises(SafetensorError, match="yolo99n, a model that ultralytics does not define"):
        load_model(tmp_path)


def test_a_definition_in_a_checkpoint_is_never_built_from(trained: Path, tmp_path: Path) -> None:
    def inject(content: dict[str, Any]) -> None:
        content["definition"]["activation"] = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"

    with_metadata(trained, tmp_path, inject)
    with pytest.raises(SafetensorError, match="defines otherwise"):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("missing", ["class_names", "definition", "image_size", "keypoints", "model_name"])
def test_a_description_with_a_hole_is_refused(missing: str, trained: Path, tmp_path: Path) -> None:
    with_metadata(trained, tmp_path, lambda content: content.pop(missing))
    with pytest.raises(SafetensorError, match=missing):
        load_model(tmp_path)


def test_other_classes_than_the_weights_have_are_refused(trained: Path, tmp_path: Path) -> None:
    with_metadata(trained, tmp_path, lambda content: content.update(class_names=["a", "b", "c"]))
    with pytest.raises(SafetensorError, match=r"does not fit yolo11p"):
        load_model(tmp_path)


def test_a_truncated_file_is_refused(trained: Path, tmp_path: Path) -> None:
    whole = (trained / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SafetensorError):
        load_model(tmp_path)


def test_safetensors_of_somebody_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(SafetensorError, match="no checkpoint of this mesh"):
        load_model(tmp_path)


def test_a_folder_without_weights_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path)


def test_a_model_with_an_activation_of_its_own_leaves_the_others_alone() -> None:
    from trainer_yolo.definitions import definitions
    from trainer_yolo.models import build_model

    def activation(model: torch.nn.Module) -> type[torch.nn.Module]:
        return type(next(module for module in model.modules() if isinstance(module, torch.nn.SiLU | torch.nn.ReLU)))

    assert activation(build_model(definitions()["yolov6n"], ["a"])) is torch.nn.ReLU
    assert activation(build_model(definitions()[TINY[CLASSIFICATION]], ["a", "b"])) is torch.nn.SiLU
