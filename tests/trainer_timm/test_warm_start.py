"""Warm starts: what a training takes over of an earlier one's weights, and what it says about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from tests.trainer_timm.helpers import Recorder, make_spec, write_dataset
from trainer.adapter import BadTrainingData, TrainingDataset
from trainer_timm.adapter import TimmAdapter
from trainer_timm.checkpoint import ModelDescription, TrainingState, load_model, take_snapshot
from trainer_timm.heads import head_names, is_of
from trainer_timm.models import build_model
from trainer_timm.transforms import resolve_preprocessing
from trainer_timm.warm_start import start_from
from trainer_torch.checkpoint_files import write_checkpoint

# So small that an epoch changes no weight that one could see.
STILL = 1e-12
NAMES = ("a", "b", "c")
# It keeps no running statistics: an epoch that changes no weight changes nothing at all.
MODEL = "test_vit2"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, textures: TrainingDataset) -> Recorder:
    """A training that has learnt the textures."""
    recorder = Recorder()
    spec = make_spec(model_name=MODEL, epochs=10, batch_size=4, learning_rate=2e-3)
    assert TimmAdapter().train(spec, textures, tmp_path_factory.mktemp("source"), recorder)
    assert recorder.epochs[-1].accuracy == 1.0 and recorder.epochs[0].accuracy < 1.0
    return recorder


def weights_of(recorder: Recorder) -> Path:
    return recorder.checkpoints[-1][1]


def permuted(textures: TrainingDataset, names: Sequence[str]) -> TrainingDataset:
    """The same images and truths, the classes in another order."""
    samples = [
        replace(sample, label_id=names.index(textures.class_names[sample.label_id])) for sample in textures.samples
    ]
    return TrainingDataset(textures.root, tuple(names), tuple(samples))


def started(
    folder: Path, names: Sequence[str], size: int = 32, model_name: str = MODEL
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], str]:
    """A new model's weights as built and after the warm start, before any update, and what was logged."""
    recorder = Recorder()
    model = build_model(model_name, len(names), size)
    built = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start_from(model, folder, make_spec(model_name=model_name, image_size=size), names, recorder)
    [(level, line)] = recorder.lines
    assert level == "info"
    return built, model.state_dict(), line


def saved(folder: Path, model_name: str, names: Sequence[str], size: int) -> tuple[Path, dict[str, torch.Tensor]]:
    """A checkpoint of an untrained model."""
    torch.manual_seed(3)
    model = build_model(model_name, len(names), size)
    description = ModelDescription(model_name, tuple(names), resolve_preprocessing(model, size), 5, {}, {})
    state = TrainingState(optimizer={"state": {}, "param_groups": []}, epoch=5, updates=1, best_metric=0.0)
    return write_checkpoint(folder, take_snapshot(description, model.state_dict(), state)), model.state_dict()


def test_a_warm_start_is_as_good_as_its_source_from_the_first_epoch(
    source: Recorder, textures: TrainingDataset, tmp_path: Path
) -> None:
    recorder = Recorder()
    # Published weights are asked for too; nobody looks for them, with or without a hub.
    spec = make_spec(
        model_name=MODEL, epochs=1, learning_rate=STILL, pretrained=True, initial_weights=weights_of(source)
    )
    assert TimmAdapter().train(spec, textures, tmp_path, recorder)
    assert recorder.beginnings[0][:2] == (1, 1)  # a fresh training: epoch 1 and its first update
    assert [(epoch.epoch, epoch.step) for epoch in recorder.epochs] == [(1, 2)]
    assert recorder.epochs[0].accuracy == source.epochs[-1].accuracy == 1.0
    assert recorder.epochs[0].extra["val_loss"] == pytest.approx(source.epochs[-1].extra["val_loss"], rel=1e-5)
    [line] = [text for _, text in recorder.lines if "Warm start" in text]
    assert "weights of epoch 10 of test_vit2" in line and "the head is kept" in line
    assert "pretrained is ignored" in line
    before, after = load_model(weights_of(source))[1], load_model(weights_of(recorder))[1]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_everything_is_taken_over_for_the_same_classes(source: Recorder) -> None:
    weights = load_model(weights_of(source))[1]
    _, state, line = started(weights_of(source), NAMES)
    assert all(torch.equal(state[name], weights[name]) for name in state)
    assert f"{len(state)} of {len(state)} tensors" in line and "pretrained" not in line


@pytest.mark.parametrize("names", [("a", "b", "d"), ("a", "b"), ("a", "b", "c", "d")])
def test_other_classes_get_a_new_head_on_the_same_backbone(source: Recorder, names: Sequence[str]) -> None:
    weights = load_model(weights_of(source))[1]
    built, state, line = started(weights_of(source), names)
    assert state["head.weight"].shape[0] == len(names)
    for name in state:
        expected = built if name.startswith("head.") else weights
        assert torch.equal(state[name], expected[name]), name
    assert f"{len(state) - 2} of {len(state)} tensors" in line and "the head is new" in line


def test_a_training_with_other_classes_begins(source: Recorder, tmp_path: Path) -> None:
    pets = write_dataset(tmp_path / "pets", ("cat", "dog"), train=8, val=4)
    recorder = Recorder()
    spec = make_spec(model_name=MODEL, epochs=1, initial_weights=weights_of(source))
    assert TimmAdapter().train(spec, pets, tmp_path / "run", recorder)
    assert load_model(weights_of(recorder))[0].class_names == ("cat", "dog")


def test_classes_in_another_order_keep_their_meaning(
    source: Recorder, textures: TrainingDataset, tmp_path: Path
) -> None:
    names = ("c", "a", "b")
    weights = load_model(weights_of(source))[1]
    _, state, line = started(weights_of(source), names)
    assert torch.equal(state["head.weight"], weights["head.weight"][[2, 0, 1]])
    assert torch.equal(state["head.bias"], weights["head.bias"][[2, 0, 1]])
    assert "order of classes" in line
    recorder = Recorder()
    spec = make_spec(model_name=MODEL, epochs=1, learning_rate=STILL, initial_weights=weights_of(source))
    assert TimmAdapter().train(spec, permuted(textures, names), tmp_path, recorder)
    assert recorder.epochs[0].accuracy == 1.0


def test_a_head_that_has_no_plain_rows_is_replaced_rather_than_mislabelled(tmp_path: Path) -> None:
    folder, weights = saved(tmp_path, "levit_128s", NAMES, 224)
    _, state, line = started(folder, ("b", "a", "c"), 224, "levit_128s")
    assert "the head is new" in line
    assert not torch.equal(state["head.linear.weight"], weights["head.linear.weight"])
    assert torch.equal(state["stem.conv1.linear.weight"], weights["stem.conv1.linear.weight"])


@pytest.mark.parametrize("names", [NAMES, ("c", "b", "a"), ("x", "y")])
def test_positions_are_stretched_to_another_image_size(names: Sequence[str], tmp_path: Path) -> None:
    folder, weights = saved(tmp_path, "test_vit", NAMES, 32)
    _, state, line = started(folder, names, 64, "test_vit")
    assert state["pos_embed"].shape != weights["pos_embed"].shape
    assert torch.equal(state["blocks.0.attn.qkv.weight"], weights["blocks.0.attn.qkv.weight"])
    assert state["head.weight"].shape[0] == len(names)
    if names == ("c", "b", "a"):
        assert torch.equal(state["head.weight"], weights["head.weight"][[2, 1, 0]])
    assert "trained at 32 pixels, now 64" in line


def test_weights_of_another_model_are_refused(source: Recorder, textures: TrainingDataset, tmp_path: Path) -> None:
    spec = make_spec(model_name="test_resnet", initial_weights=weights_of(source))
    with pytest.raises(BadTrainingData, match="are of test_vit2, not of test_resnet"):
        TimmAdapter().train(spec, textures, tmp_path, Recorder())


def test_a_resumed_warm_start_needs_the_weights_no_more(
    source: Recorder, textures: TrainingDataset, tmp_path: Path
) -> None:
    first, second = Recorder(), Recorder()
    spec = make_spec(model_name=MODEL, epochs=1, learning_rate=STILL, initial_weights=weights_of(source))
    assert TimmAdapter().train(spec, textures, tmp_path / "first", first)
    longer = make_spec(model_name=MODEL, epochs=2, learning_rate=STILL, resume_from=weights_of(first))
    assert TimmAdapter().train(longer, textures, tmp_path / "second", second)
    assert second.epochs[0].epoch == 2 and second.epochs[0].accuracy == 1.0
    assert not any("Warm start" in line for _, line in second.lines)


def test_every_tiny_architecture_tells_its_head() -> None:
    for name in timm.list_models("test_*"):
        with torch.device("meta"):
            few, many = (timm.create_model(name, num_classes=classes).state_dict() for classes in (11, 13))
            heads = head_names(timm.create_model(name))
        changed = {key for key in few if few[key].shape != many[key].shape}
        assert changed and all(is_of(key, heads) for key in changed), name
