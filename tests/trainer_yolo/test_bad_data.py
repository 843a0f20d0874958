"""Data, jobs and weights that cannot work are refused, each with a reason that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from annotations.document import write_document
from annotations.model import AnnotatedImage, AnnotatedObject, Box, Category, Keypoint, RunLengthMask, Visibility
from tests.trainer_yolo.helpers import SIZE, Recorder, defaults, make_spec
from trainer.adapter import BadTrainingData, ConfigValue, JobDraft, Sample, TrainingDataset, TrainingSpec
from trainer_yolo.adapter import YoloAdapter
from trainer_yolo.labels import read_labels
from trainer_yolo.names import CLASSIFICATION, DETECTION, ORIENTED, POSE, SEGMENTATION

DatasetOf = Callable[[str], TrainingDataset]
BOX = Box(8, 8, 40, 40)
SQUARE = (8.0, 8.0, 40.0, 8.0, 40.0, 40.0, 8.0, 40.0)
NAMES = ("top", "bottom")
POINTS = (Keypoint(24, 8, Visibility.VISIBLE), Keypoint(24, 40, Visibility.OCCLUDED))


def annotated(
    folder: Path, objects: Sequence[AnnotatedObject], categories: Sequence[Category] = (Category("a"), Category("b"))
) -> TrainingDataset:
    """Two images to train on and one to validate with, each with the same objects."""
    images = []
    for path, split in (("a.png", "train"), ("b.png", "train"), ("c.png", "val")):
        Image.new("RGB", (SIZE, SIZE), "grey").save(folder / path)
        images.append(AnnotatedImage(path, SIZE, SIZE, split, tuple(objects)))
    write_document(folder / "document", categories, images, len(images))
    return TrainingDataset(folder, tuple(category.name for category in categories), (), folder / "document")


def refused(spec: TrainingSpec, dataset: TrainingDataset, folder: Path) -> str:
    """Why a training is refused before it begins."""
    recorder = Recorder()
    with pytest.raises(BadTrainingData) as caught:
        YoloAdapter().train(spec, dataset, folder / "run", recorder)
    assert not recorder.beginnings
    return str(caught.value)


def test_labels_of_whole_images_train_no_detector(dataset_of: DatasetOf, tmp_path: Path) -> None:
    assert "classification alone" in refused(make_spec(), dataset_of(CLASSIFICATION), tmp_path)


def test_a_dataset_without_objects_has_nothing_to_learn(tmp_path: Path) -> None:
    assert "No object is annotated" in refused(make_spec(), annotated(tmp_path, []), tmp_path)


@pytest.mark.parametrize(
    ("task_type", "what"), [(SEGMENTATION, "mask"), (ORIENTED, "rotated box"), (POSE, "names keypoints")]
)
def test_boxes_alone_train_a_detector_alone(task_type: str, what: str, tmp_path: Path) -> None:
    assert what in refused(make_spec(task_type), annotated(tmp_path, [AnnotatedObject(0, BOX)]), tmp_path)


def test_a_pose_without_a_single_point_is_none(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX)], [Category("a", NAMES)])
    assert "No object of the dataset has a keypoint" in refused(make_spec(POSE), dataset, tmp_path)


def test_classes_of_a_pose_have_the_same_number_of_points(tmp_path: Path) -> None:
    categories = [Category("hand", NAMES), Category("face", ("nose",))]
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX, keypoints=POINTS)], categories)
    assert "hand has 2 keypoints and face 1" in refused(make_spec(POSE), dataset, tmp_path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_images_is_named(split: str, dataset_of: DatasetOf, tmp_path: Path) -> None:
    dataset = dataset_of(CLASSIFICATION)
    samples = tuple(sample for sample in dataset.samples if sample.split != split)
    why = refused(make_spec(CLASSIFICATION), replace(dataset, samples=samples), tmp_path)
    assert f"The {split} split has no images" in why


def test_one_class_cannot_be_told_apart(dataset_of: DatasetOf, tmp_path: Path) -> None:
    dataset = dataset_of(CLASSIFICATION)
    one = tuple(replace(sample, label_id=0) for sample in dataset.samples)
    assert "at least two classes" in refused(
        make_spec(CLASSIFICATION), replace(dataset, class_names=("a",), samples=one), tmp_path
    )
    assert "nothing to tell apart" in refused(make_spec(CLASSIFICATION), replace(dataset, samples=one), tmp_path)
    wrong = (*dataset.samples, Sample("train/0.png", "train", 9))
    assert "label id 9" in refused(make_spec(CLASSIFICATION), replace(dataset, samples=wrong), tmp_path)


def test_a_file_that_is_no_image_is_named_also_when_a_worker_reads_it(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX)])
    (tmp_path / "b.png").write_bytes(b"no image")
    for workers in (0, 1):
        spec = make_spec(DETECTION, {"computation.workers": workers}, batch_size=1)
        with pytest.raises(BadTrainingData, match=r"^b\.png cannot be read as an image\.$"):
            YoloAdapter().train(spec, dataset, tmp_path / "run", Recorder())


def test_an_image_of_another_size_than_its_annotations_is_named(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX)])
    Image.new("RGB", (SIZE, 2 * SIZE)).save(tmp_path / "a.png")
    with pytest.raises(BadTrainingData, match=r"a\.png has 64×128 pixels, its annotations are for 64×64"):
        YoloAdapter().train(make_spec(), dataset, tmp_path / "run", Recorder())


def test_an_image_that_is_stored_on_its_side_is_learned_from_upright(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX)])
    for path in ("a", "b", "c"):
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        Image.new("RGB", (2 * SIZE, SIZE)).save(tmp_path / f"{path}.jpg", exif=exif)
    images = [
        AnnotatedImage(f"{path}.jpg", SIZE, 2 * SIZE, split, (AnnotatedObject(0, BOX),))
        for path, split in (("a", "train"), ("b", "train"), ("c", "val"))
    ]
    write_document(tmp_path / "document", [Category("a")], images, 3)
    assert YoloAdapter().train(make_spec(epochs=1), replace(dataset, class_names=("a",)), tmp_path / "run", Recorder())


def test_a_last_batch_of_one_image_is_refused_where_nothing_can_be_normalised(tmp_path: Path) -> None:
    dataset = annotated(tmp_path, [AnnotatedObject(0, BOX)])
    why = refused(make_spec(batch_size=1, image_size=32), dataset, tmp_path)
    assert "another batch_size" in why and "never below 64" in why
    changing: dict[str, ConfigValue] = {"augmentation.multi_scale": 0.5}
    assert "at 32 pixels" in refused(make_spec(DETECTION, changing, batch_size=1), dataset, tmp_path)
    assert YoloAdapter().train(make_spec(batch_size=1, epochs=1), dataset, tmp_path / "run", Recorder())


def test_a_batch_larger_than_the_dataset_is_said_and_trained(dataset_of: DatasetOf, tmp_path: Path) -> None:
    recorder = Recorder()
    assert YoloAdapter().train(make_spec(batch_size=500, epochs=1), dataset_of(DETECTION), tmp_path, recorder)
    assert recorder.beginnings[0][2] == 1
    assert ("warning", "An epoch is one batch of 10 images: the train split has no more.") in recorder.lines


def test_a_model_of_another_task_or_of_another_trainer_is_refused(dataset_of: DatasetOf, tmp_path: Path) -> None:
    assert "yolo11n is for OBJECT_DETECTION" in refused(
        make_spec(SEGMENTATION, model_name="yolo11n"), dataset_of(SEGMENTATION), tmp_path
    )
    assert "no model named resnet18" in refused(make_spec(model_name="resnet18"), dataset_of(DETECTION), tmp_path)


def test_a_learning_rate_beyond_one_and_a_metric_that_is_not_measured_are_refused(
    dataset_of: DatasetOf, tmp_path: Path
) -> None:
    assert "at most 1" in refused(make_spec(learning_rate=2.0), dataset_of(DETECTION), tmp_path)
    assert "mAP75 is not measured" in refused(make_spec(primary_metric="mAP75"), dataset_of(DETECTION), tmp_path)


@pytest.mark.parametrize(
    ("model", "size", "advice"),
    [
        ("yolo11n", 7, "multiples of 32 pixels: use 32, not 7"),
        ("yolo11n", 100, "use 96 or 128, not 100"),
        ("yolov5n-p6", 96, "multiples of 64 pixels: use 64 or 128"),
        ("yolo11n-cls", 225, "use 224 or 256"),
        ("yolo11n", 100_000, "at most 4096 pixels"),
    ],
)
def test_an_image_size_is_refused_with_the_nearest_that_fit(model: str, size: int, advice: str) -> None:
    adapter = YoloAdapter()
    [task_type] = adapter.get_model(model).task_types
    [violation] = adapter.check_job(task_type, JobDraft(model_name=model, image_size=size), defaults(task_type))
    assert violation.field == "image_size" and advice in violation.description
    assert not adapter.check_job(task_type, JobDraft(model_name=model, image_size=640), defaults(task_type))


@pytest.mark.parametrize(
    ("model", "changes", "field"),
    [
        ("rtdetr-l", {"loss.box": 3.0}, "advanced_config.loss.box"),
        ("rtdetr-l", {"learning.rect": True}, "advanced_config.learning.rect"),
        ("yolo11n-pose", {"loss.rle": 2.0}, "advanced_config.loss.rle"),
        ("yolo11n", {"learning.freeze": 24}, "advanced_config.learning.freeze"),
        ("yolo11n", {"scheduler.warmup_epochs": 20.0}, "advanced_config.scheduler.warmup_epochs"),
    ],
)
def test_settings_that_a_model_has_no_use_for_are_refused(
    model: str, changes: dict[str, ConfigValue], field: str
) -> None:
    adapter = YoloAdapter()
    [task_type] = adapter.get_model(model).task_types
    draft = JobDraft(model_name=model, epochs=10)
    assert not adapter.check_job(task_type, draft, defaults(task_type))
    [violation] = adapter.check_job(task_type, draft, {**defaults(task_type), **changes})
    assert violation.field == field


def test_a_classifier_wants_two_classes_before_a_job_is_made() -> None:
    draft = JobDraft(model_name="yolo11n-cls", num_classes=1)
    [violation] = YoloAdapter().check_job(CLASSIFICATION, draft, defaults(CLASSIFICATION))
    assert "at least two classes" in violation.description
    assert not YoloAdapter().check_job(DETECTION, JobDraft(num_classes=1), defaults(DETECTION))


def test_a_learning_rate_that_ultralytics_refuses_is_refused_before_a_job_is_made() -> None:
    draft = JobDraft(model_name="yolo11n", learning_rate=1.5)
    [violation] = YoloAdapter().check_job(DETECTION, draft, defaults(DETECTION))
    assert (violation.field, violation.description) == ("learning_rate", "ultralytics takes at most 1.")
    assert not YoloAdapter().check_job(DETECTION, JobDraft(learning_rate=1.0), defaults(DETECTION))


def test_labels_are_shares_of_the_image_and_what_lies_outside_is_cut_off(tmp_path: Path) -> None:
    objects = [
        AnnotatedObject(1, Box(-10, 16, 32, 80)),
        AnnotatedObject(0, Box(70, 0, 80, 9)),
        AnnotatedObject(0, BOX, crowd=True),
    ]
    labels = read_labels(annotated(tmp_path, objects), DETECTION)
    assert labels.train[0]["cls"].tolist() == [[1.0]]
    assert labels.train[0]["bboxes"].tolist() == [[0.25, 0.625, 0.5, 0.75]]
    assert labels.train[0]["shape"] == (SIZE, SIZE)
    assert [line.split()[:3] for line in labels.oddities] == [["3", "objects", "are"], ["3", "objects", "have"]]


def test_a_mask_becomes_its_outline_and_an_object_without_one_its_box(tmp_path: Path) -> None:
    # Columns 8 to 23 of a mask of half the image's pixels, rows 4 to 11.
    counts = [8 * 32 + 4, *([8, 24] * 15), 8]
    mask = RunLengthMask(32, 32, (*counts, 32 * 32 - sum(counts)))
    objects = [AnnotatedObject(0, Box(16, 8, 48, 24), mask=mask), AnnotatedObject(1, BOX)]
    labels = read_labels(annotated(tmp_path, objects), SEGMENTATION)
    first, second = labels.train[0]["segments"]
    assert first.min(axis=0) == pytest.approx([8 / 32, 4 / 32]) and first.max(axis=0) == pytest.approx(
        [23 / 32, 11 / 32]
    )
    assert second.tolist() == [[0.125, 0.125], [0.625, 0.125], [0.625, 0.625], [0.125, 0.625]]
    assert labels.oddities == ["3 objects have no mask: their boxes are taken for it."]


def test_two_parts_of_an_object_become_one_outline(tmp_path: Path) -> None:
    parts = ((0.0, 0.0, 16.0, 0.0, 16.0, 16.0), (32.0, 32.0, 64.0, 32.0, 64.0, 64.0))
    labels = read_labels(annotated(tmp_path, [AnnotatedObject(0, Box(0, 0, 64, 64), polygons=parts)]), SEGMENTATION)
    [outline] = labels.train[0]["segments"]
    assert {(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 1.0)} <= {tuple(point) for point in outline.tolist()}
    assert labels.train[0]["bboxes"].tolist() == [[0.5, 0.5, 1.0, 1.0]]


def test_a_pose_keeps_its_points_and_how_they_mirror(tmp_path: Path) -> None:
    categories = [Category("a", NAMES, ((0, 1),), (1, 0)), Category("b")]
    objects = [AnnotatedObject(0, BOX, keypoints=POINTS), AnnotatedObject(1, BOX)]
    labels = read_labels(annotated(tmp_path, objects, categories), POSE)
    assert labels.train[0]["keypoints"].tolist() == [[[0.375, 0.125, 2], [0.375, 0.625, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert labels.keypoints is not None and labels.keypoints.flip_indices == (1, 0)
    assert labels.keypoints.skeleton == ((0, 1),)


def test_a_rotated_box_keeps_its_corners_beyond_the_edge(tmp_path: Path) -> None:
    corners = (32.0, -8.0, 72.0, 32.0, 32.0, 72.0, -8.0, 32.0)
    labels = read_labels(annotated(tmp_path, [AnnotatedObject(0, Box(0, 0, 64, 64), rotated_box=corners)]), ORIENTED)
    assert labels.train[0]["segments"][0].ravel().tolist() == [0.5, -0.125, 1.125, 0.5, 0.5, 1.125, -0.125, 0.5]
