"""The catalogue is timm's own, read without building models."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm

from trainer_timm import catalogue, parameter_counts
from trainer_timm.adapter import TimmAdapter
from trainer_timm.parameter_counts import CountedModels, counted_models


def test_every_architecture_of_timm_is_listed_within_a_second() -> None:
    adapter = TimmAdapter()
    began = time.monotonic()
    models = adapter.list_models()
    assert time.monotonic() - began < 1.0
    assert [model.name for model in models] == timm.list_models()
    assert all(model.parameters > 0 for model in models)
    assert all(model.task_types == ("IMAGE_CLASSIFICATION",) for model in models)
    assert all(len(model.mean) == len(model.std) == 3 for model in models)
    assert all(model.default_image_size > 0 and model.interpolation and model.description for model in models)


def test_a_model_says_what_its_weights_want() -> None:
    model = TimmAdapter().get_model("resnet18")
    assert model.parameters == 11_689_512
    assert model.default_image_size == 224
    assert model.mean == (0.485, 0.456, 0.406)
    assert model.std == (0.229, 0.224, 0.225)
    assert model.interpolation == "bicubic"
    assert model.license == "apache-2.0"
    # The first tag is the one that the bare name stands for.
    assert model.pretrained_tags[0] == timm.models.get_pretrained_cfg_value("resnet18", "tag")
    assert "tv_in1k" in model.pretrained_tags


def test_a_pretrained_tag_has_its_own_preprocessing_and_licence() -> None:
    adapter = TimmAdapter()
    model = adapter.get_model("resnet18.fb_swsl_ig1b_ft_in1k")
    assert model.name == "resnet18.fb_swsl_ig1b_ft_in1k"
    assert model.interpolation == "bilinear"
    assert model.license == "cc-by-nc-4.0"
    assert model.parameters == adapter.get_model("resnet18").parameters


def test_licences_are_those_that_timm_names() -> None:
    models = TimmAdapter().list_models()
    assert {model.license for model in models} >= {"apache-2.0", "mit", "cc-by-nc-4.0"}
    unnamed = [model.name for model in models if model.pretrained_tags and not model.license]
    assert [name for name in unnamed if timm.models.get_pretrained_cfg_value(name, "license")] == []
    assert len(unnamed) < 20


def test_the_file_of_counts_is_that_of_the_timm_installed() -> None:
    counted = counted_models()
    assert counted.timm_version == timm.__version__, "run python -m trainer_timm.count_parameters"
    assert list(counted.parameters) == timm.list_models()


@pytest.mark.parametrize(
    "name", ["test_vit", "mobilenetv3_small_050", "resnet10t", "regnetx_002", "convnext_atto", "vit_tiny_patch16_224"]
)
def test_counts_are_those_of_the_models_built(name: str) -> None:
    built = timm.create_model(name)
    assert counted_models().parameters[name] == sum(parameter.numel() for parameter in built.parameters())


def test_a_model_newer_than_the_file_is_counted_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: count for name, count in counted_models().parameters.items() if name != "test_resnet"}
    monkeypatch.setattr(parameter_counts, "counted_models", lambda: CountedModels("1.0.0", known))
    parameter_counts.parameters_of.cache_clear()
    catalogue.list_models.cache_clear()
    catalogue.get_model.cache_clear()
    listed = {model.name: model.parameters for model in catalogue.list_models()}
    assert listed["test_resnet"] == 0 and listed["resnet18"] == 11_689_512
    assert catalogue.get_model("test_resnet").parameters == counted_models().parameters["test_resnet"] > 300_000
    catalogue.list_models.cache_clear()
    catalogue.get_model.cache_clear()


def test_the_command_writes_such_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer_timm.count_parameters", "--out", str(tmp_path / "counts.json")]
    subprocess.run([*command, "test_resnet"], check=True, stdout=subprocess.DEVNULL)
    written = json.loads((tmp_path / "counts.json").read_text())
    assert written == {
        "timm_version": timm.__version__,
        "parameters": {"test_resnet": counted_models().parameters["test_resnet"]},
    }


@pytest.mark.parametrize("name", ["resnet", "resnet18.no_such_tag", "", ".a1_in1k"])
def test_an_unknown_model_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        TimmAdapter().get_model(name)


def test_heavy_imports_wait_for_the_first_call_that_needs_them() -> None:
    code = (
        "import sys; from trainer_timm.adapter import TimmAdapter; adapter = TimmAdapter(); adapter.versions(); "
        "adapter.task_types(); adapter.primary_metrics('IMAGE_CLASSIFICATION'); "
        "print(sorted({'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_adapter_names_itself() -> None:
    adapter = TimmAdapter()
    assert adapter.framework == "timm"
    assert adapter.versions()["timm"] == timm.__version__
    assert next(iter(adapter.primary_metrics("IMAGE_CLASSIFICATION").items())) == ("accuracy", "max")
    with pytest.raises(KeyError):
        adapter.primary_metrics("OBJECT_DETECTION")
