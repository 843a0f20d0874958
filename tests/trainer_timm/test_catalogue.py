"""The catalogue is timm's own, read without building models."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import timm

from trainer_timm.adapter import TimmAdapter


def test_every_architecture_of_timm_is_listed_within_a_second() -> None:
    adapter = TimmAdapter()
    began = time.monotonic()
    models = adapter.list_models()
    assert time.monotonic() - began < 1.0
    assert [model.name for model in models] == timm.list_models()
    assert all(model.parameters == 0 for model in models)
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
