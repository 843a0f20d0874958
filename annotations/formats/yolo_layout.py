"""Where the images of a YOLO dataset lie, which split each is in, and which label file belongs to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from annotations.draft import Draft
from annotations.formats.folders import is_image_path
from annotations.formats.paths import folder_of, inside, is_visible, join, name_of, split_of, without_suffix
from annotations.formats.small_files import read_lines
from annotations.model import SPLITS
from annotations.problems import WARNING, Problem
from annotations.reading import Source

_NO_LABELS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "notes.txt")
_SAYING_NOTHING = ("images", "image", "imgs", "img")
_NO_LABEL_BEGINNINGS = ("readme", "license", "licence", "changelog", "requirements")


def label_paths(image: str) -> tuple[str, ...]:
    """Where the labels of an image may lie: where ultralytics looks for them, then beside the image.

    Ultralytics (``img2label_paths`` in ``data/utils.py``) puts ``labels`` in place of the last folder ``images``.
    """
    beside = f"{without_suffix(image)}.txt"
    before, images, after = f"/{beside}".rpartition("/images/")
    return (f"{before}/labels/{after}"[1:], beside) if images else (beside,)


def may_be_label(path: str) -> bool:
    """Whether a file's name is one that labels have."""
    name = name_of(path).lower()
    told = name.endswith(".txt") and name not in _NO_LABELS and not name.startswith(_NO_LABEL_BEGINNINGS)
    return told and is_visible(path)


class Files:
    """The files of a dataset, to be found by what a ``data.yaml`` says of them."""

    def __init__(self, paths: Sequence[str], base: str) -> None:
        """``base`` is the folder of the ``data.yaml``."""
        self.images = [path for path in paths if is_image_path(path)]
        self._image_set = frozenset(self.images)
        self._texts = {path for path in paths if path.lower().endswith(".txt") and is_visible(path)}
        self._folders = {folder for path in self.images for folder in _folders_above(path)}
        self._base = base

    def labels_of(self, image: str) -> str | None:
        """The label file of an image, None when it has none."""
        return next((path for path in label_paths(image) if path in self._texts), None)

    def below(self, folder: str) -> Iterable[str]:
        """The images in a folder and in those below."""
        if not folder:
            return self.images
        # "0" follows "/": everything between begins with the folder's name and a slash.
        return self.images[bisect_left(self.images, f"{folder}/") : bisect_left(self.images, f"{folder}0")]

    def folder_or_list(self, root: str, place: str) -> str | None:
        """The folder with images, or the list of them, that a ``data.yaml`` means by a place below its ``path``.

        The place as it stands comes first. Then what is left of it when folders are taken away from its front, so that
        ``/home/me/coins/images/train`` is found as ``images/train``, ``../train/images`` as ``train/images``. What is
        left must say something: ``images`` alone would be the images of every split.
        """
        for written in (join(root, place), place):
            for candidate in self._tails(inside(written), (self._base, "")):
                if candidate in self._folders or candidate in self._texts:
                    return candidate
        return None

    def listed_image(self, line: str, folder: str) -> str | None:
        """The image that a line of a list in ``folder`` means."""
        return next(
            (path for path in self._tails(inside(line), (folder, self._base, "")) if path in self._image_set), None
        )

    def lost_labels(self) -> Iterator[str]:
        """Label files that belong to no image, sorted."""
        used = {path for image in self.images for path in label_paths(image)}
        beside = {folder_of(path) for path in self.images}
        for path in sorted(self._texts - used):
            if may_be_label(path) and ("labels" in path.split("/")[:-1] or folder_of(path) in beside):
                yield path

    @staticmethod
    def _tails(path: str, bases: Sequence[str]) -> Iterator[str]:
        parts = path.split("/") if path else []
        for start in range(max(len(parts), 1)):
            if start and len(parts) - start == 1 and parts[start].lower() in _SAYING_NOTHING:
                return
            for base in bases:
                yield join(base, *parts[start:])


def place_images(
    source: Source, draft: Draft, files: Files, yaml_path: str, root: str, splits: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """The split of every image that is in one, by path, as the splits of a ``data.yaml`` have it.

    Without such splits, or when none of them is found, all images are taken, and folders called after splits count.
    """
    placed: dict[str, str] = {}
    for split in SPLITS:
        twice = 0
        for place in splits.get(split, ()):
            found = files.folder_or_list(root, place)
            if found is None:
                said = f"The split {split!r} is said to lie in {place[:200]!r}, which the dataset does not hold."
                draft.report(Problem(yaml_path, "split_not_found", WARNING, said))
                continue
            for image in _images_at(source, draft, files, found):
                twice += placed.setdefault(image, split) != split
        if twice:
            said = (
                f"{twice} images of the split {split!r} are in an earlier split too. They stay there: an image that is "
                "trained on says nothing in validation."
            )
            draft.report(Problem(yaml_path, "image_in_splits", WARNING, said))
    if not placed:
        return {image: split_of(image) for image in files.images}
    if outside := len(files.images) - len(placed):
        said = f"{outside} images lie in none of the splits that are named; they were left out."
        draft.report(Problem(yaml_path, "images_outside_splits", WARNING, said))
    return placed


def _images_at(source: Source, draft: Draft, files: Files, found: str) -> Iterator[str]:
    if not found.lower().endswith(".txt"):
        yield from files.below(found)
        return
    for line in read_lines(source, found):
        image = files.listed_image(line, folder_of(found))
        if image is not None:
            yield image
        else:
            said = f"It lists {line[:200]!r}, which the dataset does not hold."
            draft.report(Problem(found, "image_not_found", WARNING, said))


def _folders_above(path: str) -> Iterator[str]:
    yield ""
    folder = folder_of(path)
    while folder:
        yield folder
        folder = folder_of(folder)
