"""What an analysis measured of a dataset, drawn as small tables and bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    for title, histogram, name in (
        ("objects in an image", statistics.objects_per_image, _whole_numbers),
        ("side of a box / of its image", statistics.relative_box_sizes, _numbers),
        ("longer side in pixels", statistics.image_sizes, _whole_numbers),
        ("width / height", statistics.aspect_ratios, _numbers),
    ):
        if any(histogram.counts):
            print_table(console, [title, "count#", ""], _bars(histogram, name), empty="")


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


def _bars(histogram: dataset_pb2.Histogram, name: Callable[[float, float | None], str]) -> Iterator[tuple[object, ...]]:
    """One row for each range from the first to the last that is not empty."""
    filled = [place for place, count in enumerate(histogram.counts) if count]
    ends = [*histogram.lower_bounds[1:], None]
    most = max(histogram.counts)
    for place in range(filled[0], filled[-1] + 1):
        count = histogram.counts[place]
        bar = "█" * max(count > 0, round(count / most * BAR_CHARACTERS))
        yield name(histogram.lower_bounds[place], ends[place]), count, bar


def _numbers(begin: float, end: float | None) -> str:
    return f"from {begin:g}" if end is None else f"{begin:g} to {end:g}"


def _whole_numbers(begin: float, end: float | None) -> str:
    if end is None:
        return f"from {begin:g}"
    return f"{begin:g}" if end == begin + 1 else f"{begin:g} to {end - 1:g}"
