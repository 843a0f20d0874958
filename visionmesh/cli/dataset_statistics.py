"""What an analysis measured of a dataset, drawn as small tables and bars."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from visionmesh.cli.tables import print_table
from visionmesh.v1 import dataset_pb2

SPLITS = ("train", "val", "test")
MOST_CLASSES = 20
BAR_CHARACTERS = 24


def print_statistics(console: Console, dataset: dataset_pb2.Dataset, statistics: dataset_pb2.DatasetStatistics) -> None:
    """Draw images and objects by split and class, then the histograms."""
    splits = [split for split in SPLITS if split in statistics.images]
    if not splits:
        return
    print_table(
        console, ["class", *(f"{split}#" for split in splits)], _by_class(dataset, statistics, splits), empty=""
    )
    if len(dataset.class_names) > MOST_CLASSES:
        console.print(f"and {len(dataset.class_names) - MOST_CLASSES} more classes; --json lists all")
    for title, histogram, share in (
        ("objects in an image", statistics.objects_per_image, False),
        ("size of a box, as a share of its image's side", statistics.relative_box_sizes, True),
        ("longer side in pixels", statistics.image_sizes, False),
        ("width / height", statistics.aspect_ratios, False),
    ):
        if any(histogram.counts):
            print_table(console, [title, "count#", ""], _bars(histogram, share), empty="")


def _by_class(
    dataset: dataset_pb2.Dataset, statistics: dataset_pb2.DatasetStatistics, splits: list[str]
) -> Iterator[tuple[object, ...]]:
    """Images that show the class, and its objects where there are any; then what each split holds in all."""
    for name in dataset.class_names[:MOST_CLASSES]:
        yield name, *(_counts(dataset, statistics, split, name) for split in splits)
    if statistics.images_without_objects:
        yield "(no objects)", *(statistics.images_without_objects.get(split, 0) for split in splits)
    yield "images", *(statistics.images[split] for split in splits)


def _counts(dataset: dataset_pb2.Dataset, statistics: dataset_pb2.DatasetStatistics, split: str, name: str) -> str:
    # Asking a map of messages for a key that it lacks would put it in.
    images = dataset.class_distribution[split].images.get(name, 0) if split in dataset.class_distribution else 0
    if not statistics.objects:
        return str(images)
    objects = statistics.objects[split].objects.get(name, 0) if split in statistics.objects else 0
    return f"{objects} in {images}"


def _bars(histogram: dataset_pb2.Histogram, share: bool) -> Iterator[tuple[object, ...]]:
    """One row for each range from the first to the last that is not empty."""
    filled = [place for place, count in enumerate(histogram.counts) if count]
    bounds = [f"{bound:.0%}" if share else f"{bound:g}" for bound in histogram.lower_bounds]
    most = max(histogram.counts)
    for place in range(filled[0], filled[-1] + 1):
        name = f"{bounds[place]} to {bounds[place + 1]}" if place + 1 < len(bounds) else f"from {bounds[place]}"
        count = histogram.counts[place]
        yield name, count, "█" * max(count > 0, round(count / most * BAR_CHARACTERS))
