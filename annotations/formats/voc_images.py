"""Which image belongs to an XML file of Pascal VOC, and which images are in which of its sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from annotations.formats.folders import is_image_path
from annotations.formats.paths import folder_of, is_visible, join, name_of, split_of, without_suffix

_IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")
_XML_FOLDERS = ("annotations", "annotation", "xmls", "xml", "labels")
_MASK_FOLDERS = ("segmentationclass", "segmentationobject", "segmentationclassaug", "segmentationclassraw")
_SETS = ("train", "val", "trainval", "test")


class VocImages:
    """The images of a dataset, to be found by what XML files and sets say. Folders are found whatever their case."""

    def __init__(self, paths: Sequence[str]) -> None:
        pictures = [path for path in paths if is_image_path(path)]
        self.paths = [path for path in pictures if not is_mask(path)]
        self.mask_count = len(pictures) - len(self.paths)
        self._set = frozenset(self.paths)
        self._by_stem: dict[str, str] = {}
        self._by_name: dict[str, str | None] = {}
        self._folders: dict[str, list[str]] = {}
        for path in self.paths:
            self._by_stem.setdefault(without_suffix(path), path)
            for name in {name_of(path), name_of(without_suffix(path))}:
                self._by_name[name] = None if name in self._by_name else path
        for folder in sorted({folder_of(path) for path in self.paths}):
            self._folders.setdefault(folder.lower(), []).append(folder)

    def of_xml(self, path: str) -> str | None:
        """The image of the same name: beside the XML file, or where its folder's images lie."""
        stem = name_of(without_suffix(path))
        found = (self._by_stem.get(join(folder, stem)) for folder in self._near(folder_of(path)))
        return next((image for image in found if image), None)

    def of_file_name(self, path: str, file_name: str) -> str | None:
        """The image that an XML file names: near to it, or wherever it lies when only one has the name."""
        name = name_of(file_name.replace("\\", "/"))
        near = [join(folder, name) for folder in self._near(folder_of(path))]
        found = next((image for image in near if image in self._set), None) or self._by_name.get(name)
        # Some files name their image without its ending, or with that of the format it had before.
        stems = [stem for name in near for stem in (name, without_suffix(name))]
        return found or next((self._by_stem[stem] for stem in stems if stem in self._by_stem), None)

    def of_set_line(self, root: str, line: str) -> str | None:
        """The image that a line of a set in ``root`` means: ``2008_000002``, maybe followed by a flag."""
        for id in (line, line.split()[0]):
            for folder in self._near(join(root, "annotations")):
                found = join(folder, id)
                if image := self._by_stem.get(found) or (found if found in self._set else None):
                    return image
            if image := self._by_name.get(name_of(id)):
                return image
        return None

    def _near(self, folder: str) -> Iterator[str]:
        """Folders with images that belong to XML files in a folder."""
        yield folder
        parts = folder.split("/") if folder else []
        marks = [place for place, part in enumerate(parts) if part.lower() in _XML_FOLDERS]
        head, tail = (parts[: marks[-1]], parts[marks[-1] + 1 :]) if marks else (parts[:-1], [])
        for name in (*_IMAGE_FOLDERS, ""):
            yield from self._folders.get(join(*head, name, *tail).lower(), ())
        if not marks:
            for name in _IMAGE_FOLDERS:
                yield from self._folders.get(join(folder, name).lower(), ())


def is_mask(path: str) -> bool:
    """Whether a picture is a mask of VOC's segmentation task."""
    return any(part.lower() in _MASK_FOLDERS for part in path.split("/")[:-1])


def xml_paths(paths: Iterable[str]) -> list[str]:
    """The XML files of a dataset."""
    return [path for path in paths if path.lower().endswith(".xml") and is_visible(path)]


def set_files(paths: Iterable[str]) -> list[tuple[str, str, str]]:
    """The lists of sets, ``ImageSets/Main/train.txt`` or ``ImageSets/train.txt``.

    Each is its path, its set, and the folder that holds ``ImageSets``.
    """
    found = []
    for path in paths:
        folder, name = folder_of(path), name_of(path).lower()
        if name_of(folder).lower() == "main":
            folder = folder_of(folder)
        if name_of(folder).lower() == "imagesets" and name in {f"{each}.txt" for each in _SETS} and is_visible(path):
            found.append((path, name.removesuffix(".txt"), folder_of(folder)))
    return found


def splits_of_sets(sets: dict[str, set[str]]) -> dict[str, str]:
    """The split of each image that is in a set; an image of ``trainval`` alone is in the other split than its rest.

    Where there is nothing but ``trainval``, its images are in no split yet: the split is empty.
    """
    train, val = sets.get("train", set()), sets.get("val", set())
    rest = "val" if train and not val else "train" if val and not train else ""
    placed: dict[str, str] = {}
    for split, images in (("train", train), ("val", val), ("test", sets.get("test", set()))):
        for image in images:
            placed.setdefault(image, split)
    for image in sets.get("trainval", set()):
        placed.setdefault(image, rest)
    return placed


def splits_of_folders(images: Iterable[str]) -> dict[str, str]:
    """The split of each image by the folders it lies in."""
    return {image: split_of(image) for image in images}
