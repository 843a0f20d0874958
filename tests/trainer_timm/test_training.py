"""Training: what it reports, that it learns, that it can be stopped and resumed exactly."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from tests.trainer_timm.helpers import DEFAULTS, PLAIN, Recorder, make_spec
from trainer.adapter import ConfigValue, Sample, TrainingDataset, TrainingDiverged
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import load_training_state
from trainer_timm.evaluation import metric_names
from trainer_timm.schema import classification_schema

# Everything random at once.
RANDOM: dict[str, ConfigValue] = {
    **DEFAULTS,
    "augmentation.auto_augment": "rand-m9-mstd0.5-inc1",
    "augmentation.random_erasing": 0.5,
    "regularization.drop_rate": 0.3,
    "scheduler.warmup_epochs": 1,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> TrainingDataset:
    """scikit-learn's digits at 32 pixels, greyscale: 1,437 to train on, 360 to validate with."""
    root = tmp_path_factory.mktemp("digits")
    data = load_digits()
    samples = []
    for place, index in enumerate(np.random.default_rng(0).permutation(len(data.images))):
        split = "train" if place < 1437 else "val"
        path = f"{split}-{index}.png"
        Image.fromarray((data.images[index] * 255 / 16).astype(np.uint8)).resize((32, 32)).save(root / path)
        samples.append(Sample(path, split, int(data.target[index])))
    return TrainingDataset(root, tuple("0123456789"), tuple(samples))


def test_the_basic_preset_learns_digits_in_two_epochs(digits: TrainingDataset, tmp_path: Path) -> None:
    basic = classification_schema().presets[0]
    recorder = Recorder()
    spec = make_spec(basic.config, batch_size=32, learning_rate=4e-3)
    assert TimmAdapter().train(spec, digits, tmp_path, recorder)
    assert recorder.epochs[-1].accuracy >= 0.95
    assert recorder.epochs[-1].extra["top5_accuracy"] >= recorder.epochs[-1].accuracy


def test_every_epoch_is_reported(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    assert TimmAdapter().train(make_spec(epochs=3), textures, tmp_path, recorder)
    # 15 images in batches of 8.
    assert recorder.beginnings == [(3, 1, 2, "cuda" if torch.cuda.is_available() else "cpu")]
    assert [(epoch.epoch, epoch.step) for epoch in recorder.epochs] == [(1, 2), (2, 4), (3, 6)]
    assert {step[:3] for step in recorder.steps} >= {(1, 2, 2), (2, 2, 2), (3, 2, 2)}
    last = recorder.epochs[-1]
    assert last.learning_rate == 1e-3
    assert set(last.extra) == (metric_names() - {"accuracy"}) | {"samples_per_second"}
    assert last.loss > 0 and last.extra["val_loss"] > 0 and last.extra["samples_per_second"] > 0
    assert [item[0] for item in recorder.checkpoints] == [1, 2, 3]
    # Checkpoints are the agent's to remove.
    assert all(folder.is_dir() for _, folder, _, _ in recorder.checkpoints)
    assert recorder.checkpoints[-1][3] == {
        "loss": last.loss,
        "accuracy": last.accuracy,
        **{name: value for name, value in last.extra.items() if name != "samples_per_second"},
    }


def test_the_validation_summary_agrees_with_itself(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec(epochs=1), textures, tmp_path, recorder)
    epoch, summary = recorder.validations[0]
    assert epoch == 1
    confusion: Any = summary["confusion_matrix"]
    per_class: Any = summary["per_class"]
    metrics: Any = summary["metrics"]
    matrix = np.array(confusion)
    assert matrix.sum() == 6
    assert [row["label"] for row in per_class] == ["a", "b", "c"]
    assert [row["support"] for row in per_class] == [2, 2, 2] == matrix.sum(axis=1).tolist()
    assert metrics["accuracy"] == pytest.approx(np.trace(matrix) / 6)
    for index, row in enumerate(per_class):
        assert row["recall"] == pytest.approx(matrix[index, index] / 2)
        assert row["precision"] == pytest.approx(matrix[index, index] / max(1, matrix[:, index].sum()))
    assert metrics["f1"] == pytest.approx(np.mean([row["f1"] for row in per_class]), abs=1e-6)


def test_the_seed_alone_decides(textures: TrainingDataset, tmp_path: Path) -> None:
    runs = []
    for index, seed in enumerate((3, 3, 4)):
        recorder = Recorder()
        TimmAdapter().train(make_spec(RANDOM, seed=seed, epochs=1), textures, tmp_path / str(index), recorder)
        runs.append(recorder.epochs[0].loss)
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(("stop_at", "checkpoints"), [(1, 0), (3, 0), (4, 1), (6, 1)])
def test_a_stop_is_heeded_at_the_next_batch(
    stop_at: int, checkpoints: int, textures: TrainingDataset, tmp_path: Path
) -> None:
    recorder = Recorder(stop_at=stop_at)
    assert not TimmAdapter().train(make_spec(), textures, tmp_path, recorder)
    assert recorder.asked == stop_at
    assert len(recorder.checkpoints) == len(recorder.epochs) == checkpoints


def test_resuming_a_finished_training_has_nothing_to_do(textures: TrainingDataset, tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    TimmAdapter().train(make_spec(epochs=1), textures, tmp_path / "first", first)
    spec = make_spec(epochs=1, resume_from=first.checkpoints[-1][1])
    assert TimmAdapter().train(spec, textures, tmp_path / "second", second)
    assert second.checkpoints == []


@pytest.mark.parametrize(("metric", "mode"), [("accuracy", "max"), ("val_loss", "min"), ("loss", "max")])
def test_the_best_checkpoint_is_the_best_by_the_primary_metric(
    metric: str, mode: str, textures: TrainingDataset, tmp_path: Path
) -> None:
    recorder = Recorder()
    spec = make_spec(epochs=4, learning_rate=0.01, primary_metric=metric, primary_metric_mode=mode)
    TimmAdapter().train(spec, textures, tmp_path, recorder)
    values = [metrics[metric] for _, _, _, metrics in recorder.checkpoints]
    bests = list(itertools.accumulate(values, max if mode == "max" else min))
    improved = [index == 0 or bests[index] != bests[index - 1] for index in range(len(values))]
    assert [is_best for _, _, is_best, _ in recorder.checkpoints] == improved
    assert load_training_state(recorder.checkpoints[-1][1]).best_metric == bests[-1]


def test_the_best_metric_survives_a_resume(textures: TrainingDataset, tmp_path: Path) -> None:
    # The highest training loss is that of the first epoch, so that no later one is best.
    spec = make_spec(epochs=1, learning_rate=0.01, primary_metric="loss")
    first, second = Recorder(), Recorder()
    TimmAdapter().train(spec, textures, tmp_path / "first", first)
    longer = make_spec(epochs=2, learning_rate=0.01, primary_metric="loss", resume_from=first.checkpoints[-1][1])
    TimmAdapter().train(longer, textures, tmp_path / "second", second)
    assert second.epochs[0].loss < first.epochs[0].loss
    assert [is_best for _, _, is_best, _ in second.checkpoints] == [False]


def test_a_loss_that_is_not_finite_ends_the_training(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    spec = make_spec({"optimizer.type": "sgd"}, epochs=5, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match="lower learning rate"):
        TimmAdapter().train(spec, textures, tmp_path, recorder)
    assert recorder.checkpoints == []


def test_a_warm_up_that_never_ends_is_mentioned(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec({"scheduler.warmup_epochs": 2}, epochs=2), textures, tmp_path, recorder)
    assert [level for level, _ in recorder.lines] == ["warning"]


def test_a_batch_larger_than_the_train_split_trains_on_what_there_is(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec(epochs=1, batch_size=64), textures, tmp_path, recorder)
    assert recorder.beginnings[0][2] == 1
    assert recorder.lines == [
        ("warning", "An epoch is one batch of 15 images: the train split has fewer than batch_size.")
    ]


def test_an_odd_train_split_in_one_batch_says_that_nothing_is_mixed(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    TimmAdapter().train(make_spec({"mixing.type": "mixup"}, epochs=1, batch_size=64), textures, tmp_path, recorder)
    assert [line for _, line in recorder.lines if "15 images make no pairs" in line]


def test_a_cpu_says_that_it_ignores_mixed_precision(
    textures: TrainingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer_timm.training.has_fast_bfloat16", lambda: False)
    plain, mixed = Recorder(), Recorder()
    TimmAdapter().train(make_spec(epochs=1), textures, tmp_path / "plain", plain)
    TimmAdapter().train(make_spec({"precision.amp": True}, epochs=1), textures, tmp_path / "mixed", mixed)
    assert [epoch.loss for epoch in plain.epochs] == [epoch.loss for epoch in mixed.epochs]
    assert plain.lines == []
    assert [line for _, line in mixed.lines if line.startswith("Mixed precision is ignored")]


def test_early_stopping_completes_and_says_when_and_why(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    config: dict[str, ConfigValue] = {
        "early_stopping.enabled": True,
        "early_stopping.metric": "val_loss",
        "early_stopping.patience": 2,
        "early_stopping.min_change": 100.0,
        "checkpoint.interval": 100,
    }
    assert TimmAdapter().train(make_spec(config, epochs=9), textures, tmp_path / "run", recorder)
    assert [epoch.epoch for epoch in recorder.epochs] == [1, 2, 3]
    assert recorder.checkpoints[-1][0] == 3
    ((level, line),) = recorder.lines
    assert level == "info"
    assert line.startswith("Stopped early after epoch 3: val_loss has not become better than ")
    assert line.endswith("that of epoch 1, by more than 100 for 2 epochs.")
    # Whoever resumes it is told the same: there is nothing left to do.
    again = Recorder()
    spec = make_spec(config, epochs=9, resume_from=recorder.checkpoints[-1][1])
    assert TimmAdapter().train(spec, textures, tmp_path / "again", again)
    assert again.epochs == []


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_a_class_that_a_view_left_no_image_keeps_its_place(
    loss: str, textures: TrainingDataset, tmp_path: Path
) -> None:
    names = ("none", *textures.class_names, "nothing")
    samples = tuple(Sample(sample.path, sample.split, sample.label_id + 1) for sample in textures.samples)
    recorder = Recorder()
    spec = make_spec({"loss.type": loss, "loss.class_weights": "balanced", "loading.balanced_sampling": True}, epochs=1)
    assert TimmAdapter().train(spec, TrainingDataset(textures.root, names, samples), tmp_path, recorder)
    summary: dict[str, Any] = dict(recorder.validations[-1][1])
    support = {item["label"]: item["support"] for item in summary["per_class"]}
    assert list(support) == list(names) and support["none"] == support["nothing"] == 0
    assert all(np.isfinite(value) for value in summary["metrics"].values())


def test_batches_that_leave_one_image_over_train(textures: TrainingDataset, tmp_path: Path) -> None:
    recorder = Recorder()
    # 15 images in batches of 7 leave one, which batch normalisation could not take.
    TimmAdapter().train(make_spec(epochs=1, batch_size=7), textures, tmp_path, recorder)
    assert recorder.beginnings[0][2] == 2


@pytest.mark.parametrize("preset", classification_schema().presets, ids=lambda preset: preset.name)
@pytest.mark.parametrize("model_name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_presets_train_several_architectures(
    preset: Any, model_name: str, textures: TrainingDataset, tmp_path: Path
) -> None:
    recorder = Recorder()
    spec = make_spec(preset.config, model_name=model_name, epochs=1)
    assert set(preset.config) <= set(PLAIN)
    assert TimmAdapter().train(spec, textures, tmp_path, recorder)
    assert recorder.checkpoints[0][2]
