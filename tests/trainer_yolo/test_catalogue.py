"""The catalogue is what the installed ultralytics defines for the mesh's tasks, read without importing it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.trainer_yolo.conftest import SMALLER
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.catalogue import list_models
from trainer_yolo.counts import counted_models, measure
from trainer_yolo.definitions import Definition, definitions, package_folder, ultralytics_version
from trainer_yolo.models import build_model
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

SHIPPED = {name: definition for name, definition in definitions().items() if name not in SMALLER}
MODELS = {model.name: model for model in YoloAdapter().list_models() if model.name not in SMALLER}


def test_every_definition_that_ships_is_listed_or_is_of_a_task_that_the_mesh_lacks() -> None:
    files = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (package_folder() / "cfg" / "models").rglob("*.yaml")
    }
    listed = [definition.content for definition in SHIPPED.values()]
    left_out = {stem for stem, content in files.items() if content not in listed}
    assert left_out == {
        *("yolo26-depth", "yolo26-sem"),
        *("yoloe-11", "yoloe-11-seg", "yoloe-26", "yoloe-26-seg", "yoloe-v8", "yoloe-v8-seg"),
        *("yolov8-world", "yolov8-worldv2"),
    }


def test_the_page_says_how_many_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "yolo.md").read_text(encoding="utf-8")
    assert f"lists all {len(MODELS)}:" in page


def test_families_sizes_and_tasks_are_those_of_ultralytics() -> None:
    assert {"yolov3", "yolov3-tiny", "yolov5n", "yolov5x-p6", "yolov6m", "yolov8n", "yolov9c-seg", "yolov10b"} <= set(
        MODELS
    )
    assert {f"yolo11{size}{task}" for size in "nsmlx" for task in ("", "-seg", "-pose", "-obb", "-cls")} <= set(MODELS)
    assert {f"yolo26{size}" for size in "nsmlx"} | {"yolo12x", "rtdetr-l", "rtdetr-resnet50"} <= set(MODELS)
    # Not a size each: these backbones have one.
    assert {name for name in MODELS if "resnet" in name and name.startswith("yolo")} == {
        *("yolov8-cls-resnet50", "yolov8-cls-resnet101", "yolo11-cls-resnet18"),
    }
    assert set(Counter(model.task_types for model in MODELS.values())) == {
        *((DETECTION,), (SEGMENTATION,), (POSE,), (ORIENTED,), (CLASSIFICATION,)),
    }
    assert MODELS["rtdetr-l"].task_types == (DETECTION,)
    assert MODELS["yolo11n-obb"].task_types == (ORIENTED,)


def test_a_model_says_its_size_its_cost_its_images_and_its_licence() -> None:
    model = YoloAdapter().get_model("yolo11n")
    assert model.parameters == 2_624_080
    assert "6.7 GFLOPs an image of 640 pixels" in model.description and "multiples of 32" in model.description
    assert (model.default_image_size, model.license) == (640, "agpl-3.0")
    assert (model.mean, model.std, model.interpolation) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear")
    assert model.pretrained_tags == ()
    assert YoloAdapter().get_model("yolo11n-cls").default_image_size == 224


def test_the_file_of_measures_is_of_the_installed_version_and_of_every_model() -> None:
    counted = counted_models()
    assert counted.ultralytics_version == ultralytics_version()
    assert set(counted.models) == set(SHIPPED)
    assert all(model.parameters > 0 for model in MODELS.values())


@pytest.mark.parametrize("name", ["yolo26n-pose", "yolov10n", "yolo11n-cls"])
def test_what_the_file_says_is_what_is_measured(name: str) -> None:
    assert measure(SHIPPED[name]) == counted_models().models[name]


def test_a_model_that_the_file_lacks_is_measured_when_it_is_asked_for() -> None:
    listed = {model.name: model.parameters for model in list_models.__wrapped__()}
    assert listed["yolo11p"] == 0
    assert 0 < YoloAdapter().get_model("yolo11p").parameters < 500_000


def test_the_command_writes_what_is_served(tmp_path: Path) -> None:
    out = tmp_path / "counts.json"
    command = [sys.executable, "-m", "trainer_yolo.count_models", "--out", str(out), "yolo11n-cls"]
    subprocess.run(command, check=True, capture_output=True)
    content = json.loads(out.read_text())
    assert content["ultralytics_version"] == ultralytics_version()
    assert content["models"]["yolo11n-cls"]["parameters"] == MODELS["yolo11n-cls"].parameters


@pytest.mark.parametrize("name", ["yolo11", "resnet18", "test_resnet", "yolo11n.pt", "yoloe-11s", "../yolo11n", ""])
def test_another_name_is_no_model(name: str) -> None:
    with pytest.raises(KeyError):
        YoloAdapter().get_model(name)


def test_a_definition_with_published_weights_inside_is_built_without_fetching_any() -> None:
    definition: Definition = SHIPPED["yolo11-cls-resnet18"]
    assert definition.content["backbone"][0][3][2] == "DEFAULT"
    assert sum(parameter.numel() for parameter in build_model(definition, ["a", "b"]).parameters()) > 10_000_000


def test_the_server_lists_models_and_checks_jobs_without_torch() -> None:
    code = (
        "import sys\n"
        "from trainer.adapter import JobDraft, PretrainedUnavailable\n"
        "from trainer_yolo.adapter import YoloAdapter\n"
        "adapter = YoloAdapter()\n"
        "assert len(adapter.list_models()) > 150 and adapter.get_model('yolo11n').parameters\n"
        "assert all(adapter.config_schema(task).fields for task in adapter.task_types())\n"
        "job = JobDraft(model_name='yolo11n', epochs=3, image_size=640)\n"
        "config = {field.name: field.default for field in adapter.config_schema('OBJECT_DETECTION').fields}\n"
        "assert adapter.check_job('OBJECT_DETECTION', job, config) == []\n"
        "try:\n"
        "    adapter.check_pretrained('yolo11n')\n"
        "except PretrainedUnavailable:\n"
        "    pass\n"
        "assert adapter.versions()['ultralytics']\n"
        "assert not {'torch', 'ultralytics', 'cv2', 'numpy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
