"""Batches: transforms that can be turned off, a bounded cache, workers that give the same words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer_timm.helpers import PLAIN, write_dataset
from trainer.adapter import BadTrainingData, Sample, TrainingDataset
from trainer_timm.loading import (
    MOST_WORKERS,
    SMALL_DATASET_BYTES,
    DecodedImages,
    LoadingPlan,
    SampleImages,
    evaluation_loader,
    plan_loading,
    read_batches,
    training_loader,
)
from trainer_timm.transforms import Preprocessing, evaluation_transform, training_transform

PREPROCESSING = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0, "center")
CUDA = torch.device("cuda")


def test_with_augmentation_off_training_sees_what_validation_sees() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    train, evaluation = training_transform(PREPROCESSING, PLAIN), evaluation_transform(PREPROCESSING)
    assert all(torch.equal(train(image), evaluation(image)) for _ in range(5))


def test_a_flip_mirrors_left_and_right() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    flip = training_transform(PREPROCESSING, {**PLAIN, "augmentation.hflip": 1.0})
    assert torch.equal(flip(image), evaluation_transform(PREPROCESSING)(image).flip(-1))


def test_without_random_crops_an_oblong_image_keeps_its_shape() -> None:
    # A wide image of square tiles: the central square, undistorted, is what both see.
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, 16:48] = 255
    tensor = training_transform(PREPROCESSING, PLAIN)(Image.fromarray(pixels))
    assert torch.equal(tensor, torch.ones(3, 32, 32))


def test_the_cache_keeps_what_fits_and_no_more(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, train=4, val=2)
    images = DecodedImages(dataset.root, limit_bytes=3 * 32 * 32 * 4)
    for sample in dataset.samples:
        first, again = images[sample.path], images[sample.path]
        assert first.tobytes() == again.tobytes()
    assert len(images) == 3
    # Those in memory need their files no more.
    (tmp_path / "train" / "0.png").unlink()
    assert images["train/0.png"].size == (32, 32)


def test_augmentation_leaves_cached_images_as_they_were(textures: TrainingDataset) -> None:
    images = DecodedImages(textures.root, 10**6)
    before = images["train/0.png"].tobytes()
    config = {**PLAIN, "augmentation.auto_augment": "original", "augmentation.hflip": 0.5}
    sample_images = SampleImages(images, textures.split("train")[:1], training_transform(PREPROCESSING, config))
    for _ in range(50):
        sample_images[0]
    assert images["train/0.png"].tobytes() == before


def test_workers_serve_big_datasets_beside_an_accelerator_only(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(SMALL_DATASET_BYTES // 2 + 1)  # a hole: takes no space on disk
    big = [Sample("a.png", "train", 0), Sample("b.png", "val", 1)]
    assert plan_loading(tmp_path, big, torch.device("cpu"), 4).workers == 0
    assert plan_loading(tmp_path, big[:1], CUDA, 4).workers == 0
    assert [plan_loading(tmp_path, big, CUDA, threads).workers for threads in (1, 4, 99)] == [1, 4, MOST_WORKERS]


def test_workers_give_the_same_batches_and_the_same_words(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path)
    plan = LoadingPlan(workers=2, cache_bytes=0, pin_memory=False)
    images = SampleImages(DecodedImages(tmp_path, 0), dataset.split("train"), evaluation_transform(PREPROCESSING))
    here = list(read_batches(evaluation_loader(images, 4, LoadingPlan(0, 0, False))))
    there = list(read_batches(evaluation_loader(images, 4, plan)))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(here, there, strict=True))
    (tmp_path / "train" / "7.png").write_bytes(b"broken")
    with pytest.raises(BadTrainingData) as caught:
        list(read_batches(training_loader(images, 4, torch.Generator().manual_seed(0), plan)))
    assert str(caught.value) == "train/7.png cannot be read as an image: UnidentifiedImageError."


def test_augmentation_in_workers_is_a_function_of_the_generator(textures: TrainingDataset) -> None:
    plan = LoadingPlan(workers=1, cache_bytes=0, pin_memory=False)
    config = {**PLAIN, "augmentation.hflip": 0.5, "augmentation.random_crop_scale_min": 0.2}
    images = SampleImages(
        DecodedImages(textures.root, 0), textures.split("train"), training_transform(PREPROCESSING, config)
    )
    tellings = [
        torch.cat([batch[0] for batch in training_loader(images, 4, torch.Generator().manual_seed(seed), plan)])
        for seed in (1, 1, 2)
    ]
    assert torch.equal(tellings[0], tellings[1])
    assert not torch.equal(tellings[0], tellings[2])
