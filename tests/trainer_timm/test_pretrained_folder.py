"""Pretrained weights from the operator's folder, used before any hub is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from tests.trainer_timm.helpers import Recorder, make_spec
from trainer.adapter import PretrainedUnavailable, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_model
from trainer_timm.models import build_model

DEFAULT_TAG = "r160_in1k"


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def write(file: Path, model_name: str = "test_resnet", seed: int = 11) -> dict[str, torch.Tensor]:
    """Weights of a model with its thousand classes, as a hub has them."""
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = timm.create_model(model_name).state_dict()
    save_file(state, file)
    return state


@pytest.mark.parametrize(
    ("model_name", "file"),
    [
        ("test_resnet", "test_resnet.safetensors"),
        ("test_resnet", f"test_resnet.{DEFAULT_TAG}.safetensors"),
        (f"test_resnet.{DEFAULT_TAG}", f"test_resnet.{DEFAULT_TAG}.safetensors"),
        ("test_vit", "test_vit.safetensors"),  # its positions are stretched from 160 pixels, as timm does it
    ],
)
def test_a_training_starts_from_the_file(
    model_name: str, file: str, folder: Path, textures: TrainingDataset, tmp_path: Path
) -> None:
    weights = write(folder / file, model_name.partition(".")[0])
    adapter, recorder = TimmAdapter(folder), Recorder()
    adapter.check_pretrained(model_name)
    spec = make_spec(model_name=model_name, pretrained=True, epochs=1, learning_rate=1e-12)
    assert adapter.train(spec, textures, tmp_path / "run", recorder)
    description, trained = load_model(recorder.checkpoints[-1][1])
    assert description.model_name == model_name
    name = "blocks.0.attn.qkv.weight" if "vit" in model_name else "conv1.0.weight"
    assert torch.allclose(trained[name], weights[name], atol=1e-6)


def test_a_bare_name_takes_the_bare_file_and_a_tagged_one_its_own(folder: Path) -> None:
    bare = write(folder / "test_resnet.safetensors", seed=1)
    tagged = write(folder / f"test_resnet.{DEFAULT_TAG}.safetensors", seed=2)
    for name, weights in (("test_resnet", bare), (f"test_resnet.{DEFAULT_TAG}", tagged)):
        built = build_model(name, 3, 32, pretrained=True, pretrained_folder=folder).state_dict()
        assert torch.equal(built["conv1.0.weight"], weights["conv1.0.weight"])
        assert built["fc.weight"].shape[0] == 3


def test_a_tagged_name_does_not_take_weights_of_another_tag(folder: Path) -> None:
    write(folder / "test_resnet.safetensors")
    with pytest.raises(PretrainedUnavailable, match="HF_HUB_OFFLINE"):
        TimmAdapter(folder).check_pretrained(f"test_resnet.{DEFAULT_TAG}")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".pth.tar", ".ckpt"])
def test_a_pickle_is_refused_and_never_loaded(
    suffix: str, folder: Path, textures: TrainingDataset, tmp_path: Path
) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), folder / f"test_resnet{suffix}")
    adapter = TimmAdapter(folder)
    for ask in (
        lambda: adapter.check_pretrained("test_resnet"),
        lambda: adapter.train(make_spec(pretrained=True), textures, tmp_path / "run", Recorder()),
    ):
        with pytest.raises(PretrainedUnavailable, match=rf"test_resnet{suffix} .* is a pickle"):
            ask()
    # Beside weights that can be used it disturbs nobody.
    write(folder / "test_resnet.safetensors")
    adapter.check_pretrained("test_resnet")


def test_a_file_of_another_model_is_refused_rather_than_half_loaded(folder: Path) -> None:
    write(folder / "test_resnet.safetensors", "test_vit")
    with pytest.raises(PretrainedUnavailable, match="does not hold test_resnet in timm's layout"):
        build_model("test_resnet", 3, 32, pretrained=True, pretrained_folder=folder)


def test_a_torn_file_is_a_sentence(folder: Path) -> None:
    (folder / "test_resnet.safetensors").write_bytes(b"torn")
    with pytest.raises(PretrainedUnavailable, match="could not be loaded"):
        build_model("test_resnet", 3, 32, pretrained=True, pretrained_folder=folder)


def test_a_name_cannot_leave_the_folder(folder: Path) -> None:
    write(folder.parent / "test_resnet.safetensors")
    with pytest.raises(PretrainedUnavailable, match="no pretrained weights"):
        TimmAdapter(folder).check_pretrained("../test_resnet")


def test_what_the_folder_lacks_comes_from_the_hub(folder: Path) -> None:
    write(folder / "test_vit.safetensors")
    with pytest.raises(PretrainedUnavailable, match="HF_HUB_OFFLINE"):
        TimmAdapter(folder).check_pretrained("test_resnet")


def test_telling_an_adapter_the_folder_imports_no_torch(folder: Path) -> None:
    program = (
        "import sys; from trainer.loading import load_adapter; from pathlib import Path; "
        f"load_adapter('trainer_timm.adapter:TimmAdapter', Path({str(folder)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
