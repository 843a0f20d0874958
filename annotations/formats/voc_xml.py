"""One XML file of Pascal VOC: which image it is for, and its objects as they stand there.

Boxes count pixels from 1, and their last pixel belongs to the object (development kit of VOC2012, "Annotations"); the
model has edges, so 1 becomes 0 and the last pixel's number is its far edge. Files that count from 0 are common too, and
are one pixel off by this; of them a 0 stays 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from annotations.formats.small_files import Unreadable

_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """An object: its class, empty where none is given, and x_min, y_min, x_max, y_max as edges in pixels.

    The box is None where there is none; of its values those that are no numbers are the text that stands there.
    """

    name: str
    box: tuple[float | str, ...] | None


@dataclass(frozen=True, slots=True)
class VocFile:
    """What a file says. ``size`` is width and height, None where it is not given."""

    file_name: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def parse_voc(data: bytes) -> VocFile:
    """Read a file's bytes. Raises Unreadable; entities and document types are refused before they are expanded."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        raise Unreadable(f"The file is no XML: {error}.") from error
    except (ValueError, LookupError) as error:  # defusedxml's refusals are ValueErrors
        raise Unreadable(
            "The file has a document type, an entity or an encoding that is not read. Save it as plain XML in UTF-8."
        ) from error
    if root.tag != "annotation":
        raise Unreadable(f"The file holds <{root.tag[:50]}> in place of <annotation>, as Pascal VOC has it.")
    return VocFile(_text(root, "filename"), _size(root), tuple(_objects(root)))


def _objects(root: Element) -> Iterator[VocObject]:
    for found in root.iterfind("object"):
        box = found.find("bndbox")
        yield VocObject(_text(found, "name"), None if box is None else _box(box))


def _box(box: Element) -> tuple[float | str, ...]:
    values = [_number(_text(box, edge)) for edge in _EDGES]
    first = (value if isinstance(value, str) or value == 0 else value - 1 for value in values[:2])
    return (*first, *values[2:])


def _size(root: Element) -> tuple[int, int] | None:
    size = root.find("size")
    if size is None:
        return None
    width, height = _number(_text(size, "width")), _number(_text(size, "height"))
    # Tools that did not know the size write 0.
    if isinstance(width, str) or isinstance(height, str) or not (0 < width < 1e9 and 0 < height < 1e9):
        return None
    return int(width), int(height)


def _text(parent: Element, tag: str) -> str:
    return (parent.findtext(tag) or "").strip()


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text[:50]
