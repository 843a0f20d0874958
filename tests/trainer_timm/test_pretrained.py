"""Pretrained weights: found locally, fetched from a hub, or refused within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save

from tests.trainer_timm.helpers import Recorder, make_spec
from tests.trainer_timm.hub import HubServer, serving
from trainer.adapter import PretrainedUnavailable, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_model
from trainer_timm.models import build_model
from trainer_timm.pretrained import TOTAL_TIMEOUT_SECONDS, check_pretrained, local_weights

REPOSITORY = "timm/test_resnet.r160_in1k"
UseHub = Callable[[str], None]


def weights_config(model_name: str) -> Any:
    """Return timm's own words about a model's weights."""
    return timm.get_pretrained_cfg(model_name)


@pytest.fixture
def use_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseHub:
    """Point the hub's client, with a cache of its own that is empty, to a server."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def use(url: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    return use


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(99)
    state: dict[str, torch.Tensor] = timm.create_model("test_resnet").state_dict()
    return state


def refusal(model_name: str) -> str:
    began = time.monotonic()
    with pytest.raises(PretrainedUnavailable) as caught:
        check_pretrained(model_name)
    assert time.monotonic() - began < TOTAL_TIMEOUT_SECONDS + 2
    message = str(caught.value)
    assert model_name in message
    assert "pretrained set to false" in message
    return message


def test_without_a_hub_the_answer_comes_within_seconds(use_hub: UseHub) -> None:
    use_hub("http://127.0.0.1:9")  # the discard port: nothing listens
    assert "cannot be reached" in refusal("test_resnet")


def test_a_hub_that_hangs_does_not_hang_the_answer(use_hub: UseHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer_timm.pretrained.TOTAL_TIMEOUT_SECONDS", 0.5)
    with serving(HubServer({}, delay_seconds=2.0)) as hub:
        use_hub(hub.url)
        assert "did not answer within" in refusal("test_resnet")


def test_offline_mode_is_named(use_hub: UseHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal("test_resnet")


@pytest.mark.parametrize("refused", [(401, "GatedRepo"), (404, "RepoNotFound"), (404, "EntryNotFound")])
def test_a_hub_that_refuses_is_told_from_one_that_is_away(use_hub: UseHub, refused: tuple[int, str]) -> None:
    with serving(HubServer({}, refusal=refused)) as hub:
        use_hub(hub.url)
        assert "need an access permission or do not exist" in refusal("test_resnet")


@pytest.mark.parametrize("name", ["resnet18.no_such_tag", "no_such_model", "test_resnet2"])
def test_what_timm_has_no_weights_for(name: str) -> None:
    assert f"timm has no pretrained weights for {name}." in refusal(name)


def test_the_second_file_name_is_tried(use_hub: UseHub) -> None:
    with serving(HubServer({f"{REPOSITORY}/pytorch_model.bin": b"weights"})) as hub:
        use_hub(hub.url)
        check_pretrained("test_resnet")
        assert [method for method, _ in hub.requests] == ["HEAD", "HEAD"]


def test_weights_come_from_a_hub_once_and_then_from_the_cache(
    use_hub: UseHub, weights: dict[str, torch.Tensor], textures: TrainingDataset, tmp_path: Path
) -> None:
    with serving(HubServer({f"{REPOSITORY}/model.safetensors": save(weights)})) as hub:
        use_hub(hub.url)
        check_pretrained("test_resnet")
        assert all(method == "HEAD" for method, _ in hub.requests), "a check must not download"
        fetched = build_model("test_resnet", 3, 32, pretrained=True)
    # Now the hub is away.
    assert local_weights("test_resnet") is not None
    check_pretrained("test_resnet")
    began = time.monotonic()
    cached = build_model("test_resnet", 3, 32, pretrained=True)
    assert time.monotonic() - began < 2.0
    for model in (fetched, cached):
        state = model.state_dict()
        kept = [name for name in state if not name.startswith("fc.")]
        assert kept and all(torch.equal(state[name], weights[name]) for name in kept)
        assert state["fc.weight"].shape[0] == 3
    # A training starts from them: with next to no learning rate it also ends with them.
    recorder = Recorder()
    spec = make_spec(pretrained=True, epochs=1, learning_rate=1e-12)
    assert TimmAdapter().train(spec, textures, tmp_path / "run", recorder)
    trained = load_model(recorder.checkpoints[-1][1])[1]
    assert torch.allclose(trained["conv1.0.weight"], weights["conv1.0.weight"], atol=1e-6)


def test_cached_weights_in_timms_layout_serve_models_whose_originals_have_another(
    use_hub: UseHub, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    source = timm.create_model("vit_tiny_patch16_224").state_dict()
    assert weights_config("vit_tiny_patch16_224").custom_load
    snapshot = tmp_path / "hub" / "models--timm--vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("0" * 40)
    (snapshot / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (snapshot / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(save(source))
    use_hub("http://127.0.0.1:9")
    check_pretrained("vit_tiny_patch16_224")
    built = build_model("vit_tiny_patch16_224", 3, 224, pretrained=True).state_dict()
    assert torch.equal(built["blocks.0.attn.qkv.weight"], source["blocks.0.attn.qkv.weight"])


def test_weights_of_a_plain_url_are_found_where_torch_keeps_them(use_hub: UseHub, tmp_path: Path) -> None:
    name = next(name for name in timm.list_models(pretrained=True) if not weights_config(name).hf_hub_id)
    file = tmp_path / "torch" / "hub" / "checkpoints" / Path(weights_config(name).url).name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    check_pretrained(name)


def test_broken_cached_weights_are_a_sentence(use_hub: UseHub, tmp_path: Path) -> None:
    with serving(HubServer({f"{REPOSITORY}/model.safetensors": b"torn"})) as hub:
        use_hub(hub.url)
        for _ in ("fetched", "cached"):
            with pytest.raises(PretrainedUnavailable, match="could not be loaded"):
                build_model("test_resnet", 3, 32, pretrained=True)


def test_without_weights_a_training_does_not_begin(use_hub: UseHub, textures: TrainingDataset, tmp_path: Path) -> None:
    use_hub("http://127.0.0.1:9")
    recorder = Recorder()
    with pytest.raises(PretrainedUnavailable):
        TimmAdapter().train(make_spec(pretrained=True), textures, tmp_path, recorder)
    assert recorder.beginnings == []
