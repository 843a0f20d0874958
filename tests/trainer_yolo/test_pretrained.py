"""Published weights come from the operator's folder as safetensors, and from nowhere else."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.trainer_yolo.helpers import TINY, Recorder, make_spec
from trainer.adapter import PretrainedUnavailable, TrainingDataset
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.checkpoint import load_training_state
from trainer_yolo.definitions import definitions
from trainer_yolo.models import build_model
from trainer_yolo.names import DETECTION

DatasetOf = Callable[[str], TrainingDataset]
NAME = TINY[DETECTION]


class Explodes:
    """What a pickle could do to whoever loads it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle was loaded",))


def published(folder: Path, model_name: str = NAME, classes: int = 80) -> dict[str, torch.Tensor]:
    """Put weights into the folder, as an operator would."""
    torch.manual_seed(3)
    model = build_model(definitions()[model_name], [str(number) for number in range(classes)])
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / f"{model_name}.safetensors")
    return weights


def test_without_a_folder_it_is_said_at_once_what_is_missing() -> None:
    began = time.monotonic()
    with pytest.raises(PretrainedUnavailable, match=r"no folder of them is set.*pretrained set to false"):
        YoloAdapter().check_pretrained("yolo11n")
    assert time.monotonic() - began < 5


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(PretrainedUnavailable, match=r"has no yolo11n\.safetensors"):
        YoloAdapter(tmp_path).check_pretrained("yolo11n")


def test_a_pickle_is_refused_and_never_loaded(dataset_of: DatasetOf, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.pt").write_bytes(pickle.dumps(Explodes()))
    adapter = YoloAdapter(tmp_path)
    with pytest.raises(PretrainedUnavailable, match="is a pickle, which is never loaded"):
        adapter.check_pretrained(NAME)
    with pytest.raises(PretrainedUnavailable, match="is a pickle, which is never loaded"):
        adapter.train(make_spec(pretrained=True), dataset_of(DETECTION), tmp_path / "run", Recorder())


def test_a_training_begins_with_what_fits_of_the_published_weights(dataset_of: DatasetOf, tmp_path: Path) -> None:
    weights = published(tmp_path)
    adapter = YoloAdapter(tmp_path)
    adapter.check_pretrained(NAME)
    recorder = Recorder()
    spec = make_spec(pretrained=True, epochs=1, learning_rate=0.0)
    assert adapter.train(spec, dataset_of(DETECTION), tmp_path / "run", recorder)
    trained = load_training_state(recorder.checkpoints[0][1]).weights
    assert torch.equal(trained["model.0.conv.weight"], weights["model.0.conv.weight"])
    # The head of 80 classes does not fit two.
    different = [name for name in trained if name.endswith("weight") and trained[name].shape != weights[name].shape]
    assert different and all(".cv3." in name for name in different)


def test_a_checkpoint_of_this_trainer_serves_as_published_weights(dataset_of: DatasetOf, tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    assert YoloAdapter().train(make_spec(epochs=1), dataset_of(DETECTION), tmp_path / "first", first)
    kept = first.checkpoints[0][1] / "weights.safetensors"
    (tmp_path / f"{NAME}.safetensors").write_bytes(kept.read_bytes())
    spec = make_spec(pretrained=True, epochs=1, learning_rate=0.0)
    assert YoloAdapter(tmp_path).train(spec, dataset_of(DETECTION), tmp_path / "second", second)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 64])
def test_a_file_that_is_no_safetensors_is_named(content: bytes, dataset_of: DatasetOf, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.safetensors").write_bytes(content)
    with pytest.raises(PretrainedUnavailable, match=rf"{NAME}\.safetensors .* does not hold {NAME}"):
        YoloAdapter(tmp_path).train(make_spec(pretrained=True), dataset_of(DETECTION), tmp_path / "run", Recorder())


def test_weights_of_another_model_are_named(dataset_of: DatasetOf, tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(2, 2)}, tmp_path / f"{NAME}.safetensors")
    with pytest.raises(PretrainedUnavailable, match=f"does not hold {NAME} as ultralytics names its tensors"):
        YoloAdapter(tmp_path).train(make_spec(pretrained=True), dataset_of(DETECTION), tmp_path / "run", Recorder())


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd"])
def test_a_name_leads_out_of_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.safetensors").touch()
    (tmp_path / "weights").mkdir()
    with pytest.raises(PretrainedUnavailable):
        YoloAdapter(tmp_path / "weights").check_pretrained(name)
