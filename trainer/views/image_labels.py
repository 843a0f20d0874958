"""IMAGE_LABELS: an image whose objects are all of one class gets that label; other images are left out."""

from __future__ import annotations

from annotations.document import read_images
from trainer.adapter import Sample, TrainingDataset
from trainer.views.counts import ViewCounts


def label_images(dataset: TrainingDataset) -> tuple[TrainingDataset, ViewCounts]:
    """A dataset to classify of the same files, and what was left out. A crowd says its class as an object does.

    Raises ValueError when the annotations make no sense.
    """
    assert dataset.annotations is not None
    samples, counts = [], ViewCounts()
    for image in read_images(dataset.annotations):
        classes = {found.category_id for found in image.objects}
        if not all(0 <= label_id < len(dataset.class_names) for label_id in classes):
            raise ValueError(f"annotations: {image.path!r} has a category that is no class")
        counts.add(image.split, "images")
        if not classes:
            counts.add(image.split, "without objects")
        elif len(classes) > 1:
            counts.add(image.split, "of several classes")
        else:
            samples.append(Sample(image.path, image.split, classes.pop()))
    return TrainingDataset(dataset.root, dataset.class_names, tuple(samples)), counts
